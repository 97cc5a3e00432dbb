"""An HTTP server of this process, for as long as a test needs it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer


@contextmanager
def serving(handler, **attributes):
    """A server on any free port of loopback; ``attributes`` are its handlers' to use."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # What a client hangs up on is no failure of the test.
    server.handle_error = lambda *words: None
    for name, value in attributes.items():
        setattr(server, name, value)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
