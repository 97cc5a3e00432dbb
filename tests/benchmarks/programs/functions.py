"""The functions that are served in the benchmarks."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import BaseModel

from fal_serverless import isolated

PORT = int(os.environ.get("BENCH_PORT", "8080"))


class Item(BaseModel):
    text: str
    count: int = 1


@isolated(serve=True)
def plain(text):
    return text


@isolated(serve=True, requirements=["pydantic==2.14.3"])
def model(item: Item) -> dict:
    return {"text": item.text, "count": item.count}


@isolated(exposed_port=PORT)
def exposed():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # As servers for production have it; else every direct call would wait 40 ms.
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    Server(("127.0.0.1", PORT), Handler).serve_forever()
