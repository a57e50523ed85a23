"""A receiver of webhooks in one file, standard library only: checks the signature, prints the event.

Run it with ``python3 receiver.py 9000 secret.txt``; the file holds the subscription's secret.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TOLERANCE_SECONDS = 300  # older requests are replays
PORT, SECRET_FILE = int(sys.argv[1]), Path(sys.argv[2])


def is_signed(headers, body):
    """Whether one of the signatures is ours (Standard Webhooks 1.0, HMAC-SHA256)."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(SECRET_FILE.read_text().strip().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = headers["webhook-signature"].split()
    return any(hmac.compare_digest(wanted, signature) for signature in given)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, 401 to anything else."""

    def do_POST(self):
        """Take one event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        event = json.loads(body)
        known = SECRET_FILE.exists() and SECRET_FILE.read_text().strip()  # the ping that verifies the address comes before the secret
        accepted = is_signed(self.headers, body) if known else event["type"] == "test.ping"
        if accepted:
            incident = event["data"].get("incident") or {}
            print(event["type"], incident.get("number", ""), incident.get("title", ""), flush=True)
        self.send_response(204 if accepted else 401)
        self.end_headers()

    def log_message(self, *_):
        """Keep the terminal for events."""


HTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
