"""The smallest served function.

fal-serverless function serve examples/hello.py hello --alias hello
"""

from fal_serverless import isolated


@isolated(serve=True)
def hello(name: str = "world", times: int = 1) -> dict:
    """Say hello to somebody, perhaps several times."""
    return {"hello": " ".join([name] * times)}
