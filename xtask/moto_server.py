"""Runs moto, the second AWS emulator; `cargo xtask test` starts it with

    python moto_server.py

It says where it listens, and ends when its standard input does, which is when the process that
holds the other end is gone, however that came about.
"""

import os
import sys
import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server


def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)


class OneAtATime:
    """Answers one call after the other: what is one step at AWS, a transaction above all, is many in moto."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            return [b"".join(self.application(environ, start_response))]


threading.Thread(target=end_with_parent, daemon=True).start()
server = make_server(
    "127.0.0.1",
    0,
    OneAtATime(DomainDispatcherApplication(create_backend_app)),
    threaded=True,
    request_handler=MotoRequestHandler,
)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
