"""An ASGI app that is returned instead of run is served as well, with its lifespan.

fal-serverless function serve examples/fastapi_app.py items --alias items --auth public
"""

from fal_serverless import isolated


@isolated(requirements=["fastapi"], exposed_port=8000)
def items():
    from contextlib import asynccontextmanager

    from fastapi import FastAPI

    stock = {}

    @asynccontextmanager
    async def lifespan(app):
        stock["apple"] = 3
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/items/{name}")
    def item(name: str) -> dict:
        return {"name": name, "count": stock.get(name, 0)}

    return app
