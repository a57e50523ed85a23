"""A receiver of webhooks, standard library only: checks the signature, prints the event.

Run it with ``python3 receiver.py 9000 secret.txt``; the file holds the subscription's secret.
"""
# ruff: noqa: INP001, T201, TID251 - an example that stands alone

import base64
import hashlib
import hmac
import json
import sys
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TOLERANCE_SECONDS = 300  # older requests are replays
PORT, SECRET_FILE = int(sys.argv[1]), Path(sys.argv[2])


def secret() -> str:
    """The subscription's secret, or nothing while it is not known yet."""
    return SECRET_FILE.read_text().strip() if SECRET_FILE.exists() else ""


def is_signed(headers: Message, body: bytes) -> bool:
    """Whether one of the signatures is right (Standard Webhooks 1.0, HMAC-SHA256)."""
    stamp = headers.get("webhook-timestamp", "0")
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(wanted, signature) for signature in given)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, 401 to anything else."""

    def do_POST(self) -> None:
        """Take one event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        event = json.loads(body)
        # The ping that tries the address comes before the secret is known.
        trying = not secret() and event["type"] == "test.ping"
        accepted = trying or (bool(secret()) and is_signed(self.headers, body))
        if accepted:
            incident = event["data"].get("incident") or {}
            print(event["type"], incident.get("number", ""), incident.get("title", ""), flush=True)
        self.send_response(204 if accepted else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the terminal for events."""


HTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
