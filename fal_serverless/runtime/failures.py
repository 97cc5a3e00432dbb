"""Failed answers as a metric: to Lambda, an invocation that answers 500 has succeeded.

A line in CloudWatch's embedded metric format costs no call and no time. Its dimensions are those
of Lambda's own ``Errors``, so that an alarm can add the two (``aws.alarms``).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

NAMESPACE = "FalServerless"
METRIC = "Failures"


def note(context: Any) -> None:
    """Write down a failed answer of a request that came by an alias; others have no split."""
    # arn:aws:lambda:<region>:<account>:function:<name>:<qualifier>
    parts = str(getattr(context, "invoked_function_arn", "")).split(":")
    if len(parts) < 8 or parts[7].isdigit() or parts[7] == "$LATEST":
        return
    dimensions = {
        "FunctionName": context.function_name,
        "Resource": f"{context.function_name}:{parts[7]}",
        "ExecutedVersion": context.function_version,
    }
    described = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": METRIC, "Unit": "Count"}],
    }
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]},
        **dimensions,
        METRIC: 1,
    }
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()
