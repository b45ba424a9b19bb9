"""Steady traffic for the small service: asks URL until SIGTERM, then tells on one line what it met. Its lines are those of `crm-service load`."""

import json
import os
import signal
import sys
import time
import urllib.request

PAUSE_SECONDS = 0.05

url = os.environ["URL"]
told_to_end = False
kinds = {}


def end(*_):
    global told_to_end
    told_to_end = True


def ask():
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body = answer.read()
        return None if body == b"Hello, World!" else "wrong"
    except Exception as error:
        return f"failed: {error}"


signal.signal(signal.SIGTERM, end)
while ask() is not None and not told_to_end:
    time.sleep(PAUSE_SECONDS)
print(json.dumps({"second": 0}), flush=True)
requests = 0
while not told_to_end:
    requests += 1
    trouble = ask()
    if trouble:
        kinds[trouble] = kinds.get(trouble, 0) + 1
    time.sleep(PAUSE_SECONDS)
wrong = kinds.get("wrong", 0)
failed = sum(kinds.values()) - wrong
print(json.dumps({"requests": requests, "failed": failed, "wrong": wrong, "kinds": kinds}), flush=True)
sys.exit(1 if kinds else 0)
