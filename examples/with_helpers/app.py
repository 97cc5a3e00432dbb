"""A function with a module of its own beside it, which travels along.

fal-serverless function serve examples/with_helpers/app.py quote --alias quote
"""

from pricing import Order

from fal_serverless import isolated


@isolated(serve=True)
def quote(order: Order) -> dict:
    """Price an order; the whole JSON object is the order."""
    return {"item": order.item, "total": order.total()}
