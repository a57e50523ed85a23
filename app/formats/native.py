"""The native wire format: the stored document as it is, or reduced to its thin form."""

import json

from app.core.ports import Body
from app.core.wire import thin

MEDIA_TYPE = "application/json"


class NativeV1:
    """Gives full bodies byte for byte as they were frozen."""

    name = "native"

    def encode(self, document: bytes, *, detail: str) -> Body:
        """Encode a stored event."""
        if detail == "thin":
            reduced = thin(json.loads(document))
            text = json.dumps(reduced, ensure_ascii=False, separators=(",", ":"))
            return Body(content=text.encode(), media_type=MEDIA_TYPE)
        return Body(content=document, media_type=MEDIA_TYPE)
