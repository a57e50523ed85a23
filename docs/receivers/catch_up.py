"""Catch up by the feed: every event since the last time, without gaps and in order.

Run ``python catch_up.py https://sextant.example cursor.txt`` with the key in ``SEXTANT_KEY``: it prints
one event per line and keeps its place in the file. Needs only Python 3.9. Do your work where it prints;
the place is kept after it, so that an event may come twice after a crash, but is never left out.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

GONE = 410  # what followed the cursor is no longer kept


def pages(base, key, after):
    """Yield (events, cursor) until there is nothing new; ``after`` None begins at the oldest kept."""
    while True:
        url = f"{base}/v1/events?limit=500" + (f"&after={quote(after)}" if after else "")
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                page = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == GONE:
                print("the place is too old: read the incidents anew", file=sys.stderr)
                after = None
                continue
            if error.code in {429, 503}:
                time.sleep(float(error.headers.get("Retry-After") or 2))
                continue
            raise
        if not page["items"]:
            return
        yield page["items"], page["next"]
        after = page["next"]


def main(base, place):
    """Go on where the file says, and keep the place after each page."""
    place = Path(place)
    after = place.read_text().strip() if place.exists() else None
    for events, after in pages(base.rstrip("/"), os.environ["SEXTANT_KEY"], after):
        for event in events:
            print(json.dumps(event), flush=True)
        fresh = place.with_suffix(".new")
        fresh.write_text(after)
        fresh.replace(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
