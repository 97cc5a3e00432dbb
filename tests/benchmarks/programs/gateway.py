"""Our gateway as Lambda runs it."""

from fal_serverless.gateway.lambda_handler import handler

__all__ = ["handler"]
