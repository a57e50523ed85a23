"""CloudEvents 1.0 in structured mode, made from the stored native document.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import json
from typing import Any
from urllib.parse import quote

from app.core.ports import Body
from app.core.wire import thin

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"


class CloudEventsV1:
    """Puts our envelope into the attributes, and ``data`` under ``data``.

    ``source`` is the tenant, ``subject`` the incident, ``sequence`` (an extension, a string) the
    place in the tenant's log.
    """

    name = "cloudevents"

    def encode(self, document: bytes, *, detail: str) -> Body:
        """Encode a stored event."""
        native = json.loads(document)
        if detail == "thin":
            native = thin(native)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": native["id"],
            "source": f"/tenants/{quote(native['tenant'], safe='')}",
            "type": native["type"],
            "time": native["occurred_at"],
            "datacontenttype": "application/json",
            "sequence": str(native["sequence"]),
        }
        incident = native["data"].get("incident")
        if isinstance(incident, dict):
            event["subject"] = incident["id"]
        event["data"] = native["data"]
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        return Body(content=text.encode(), media_type=MEDIA_TYPE)
