"""The same work by Lithops, on its backend for this machine; figures in ms on stderr."""

import json
import sys
import time

import lithops

COUNT = 40


def same(x):
    print(x)
    return x


def main():
    config = {
        "lithops": {"backend": "localhost", "storage": "localhost"},
        "localhost": {"runtime": sys.executable},
    }
    with lithops.FunctionExecutor(config=config, log_level="ERROR") as executor:
        executor.call_async(same, 0).result()
        began = time.perf_counter()
        executor.call_async(same, 1).result()
        called = time.perf_counter()
        executor.get_result(executor.map(same, range(COUNT)))
        mapped = time.perf_counter()
    found = {"call": (called - began) * 1e3, "map": (mapped - called) * 1e3 / COUNT}
    sys.stderr.write("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
