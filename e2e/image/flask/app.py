"""A small service as anybody might write it, and what the delivery contract asks of one: /livez, /readyz, and an end without a failed request."""

import logging
import os
import signal
import threading

from flask import Flask
from werkzeug.serving import make_server

# Longer than a Service needs to send nothing more to a pod that leaves.
DRAIN_SECONDS = 8

logging.getLogger("werkzeug").setLevel(logging.WARNING)
app = Flask(__name__)
leaving = threading.Event()


@app.route("/")
def hello():
    return os.environ.get("GREETING", "Hello, World!")


@app.route("/livez")
def livez():
    return "ok"


@app.route("/readyz")
def readyz():
    return ("leaving", 503) if leaving.is_set() else "ok"


def leave(*_):
    leaving.set()
    threading.Timer(DRAIN_SECONDS, server.shutdown).start()


server = make_server("0.0.0.0", 8080, app, threaded=True)
signal.signal(signal.SIGTERM, leave)
server.serve_forever()
