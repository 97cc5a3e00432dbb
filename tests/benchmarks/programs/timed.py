"""A fresh interpreter imports a handler, answers an event, then many more; standard library only.

``python timed.py CODE COUNT < EVENT``: CODE is a file that defines ``handler``. The last line of
standard error: milliseconds from before the import to the first answer, and microseconds of each
later call: the median of 20 stretches, as a neighbour's moment of work would be in their mean.
"""

import json
import statistics
import sys
import time


def main() -> None:
    event = json.load(sys.stdin)
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be counted
        code = compile(file.read(), sys.argv[1], "exec")
    names: dict = {"__name__": "handled"}
    begun = time.perf_counter()
    exec(code, names)
    handler = names["handler"]
    answer = handler(event, None)
    first = time.perf_counter()
    if answer["statusCode"] != 200:
        sys.exit(f"answered {answer}")
    stretches = []
    each = max(int(sys.argv[2]) // 20, 1)
    for _ in range(20):
        before = time.perf_counter()
        for _ in range(each):
            handler(event, None)
        stretches.append((time.perf_counter() - before) / each * 1e6)
    found = [(first - begun) * 1e3, statistics.median(stretches)]
    sys.stderr.write("\n" + json.dumps(found) + "\n")


main()
