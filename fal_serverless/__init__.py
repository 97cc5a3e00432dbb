"""Give a Python function a URL in your own AWS account.

``isolated`` describes what a function needs; ``fal-serverless function serve`` gives it a URL.
Importing this package does nothing: each public name is loaded when it is first used.
"""

from __future__ import annotations

from fal_serverless._version import __version__

# For type checkers alone, which know the name: importing typing is most of what this would cost.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from fal_serverless.caching import cached
    from fal_serverless.errors import FalServerlessError
    from fal_serverless.function import IsolatedFunction, isolated
    from fal_serverless.hosts import (
        FalServerlessHost,
        FalServerlessKeyCredentials,
        LambdaHost,
        LocalHost,
    )
    from fal_serverless.images import ContainerImage
    from fal_serverless.sync import sync_dir

_HOMES = {
    "ContainerImage": "fal_serverless.images",
    "FalServerlessError": "fal_serverless.errors",
    "FalServerlessHost": "fal_serverless.hosts",
    "FalServerlessKeyCredentials": "fal_serverless.hosts",
    "IsolatedFunction": "fal_serverless.function",
    "LambdaHost": "fal_serverless.hosts",
    "LocalHost": "fal_serverless.hosts",
    "cached": "fal_serverless.caching",
    "isolated": "fal_serverless.function",
    "sync_dir": "fal_serverless.sync",
}

__all__ = [
    "ContainerImage",
    "FalServerlessError",
    "FalServerlessHost",
    "FalServerlessKeyCredentials",
    "IsolatedFunction",
    "LambdaHost",
    "LocalHost",
    "__version__",
    "cached",
    "isolated",
    "sync_dir",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fal_serverless' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
