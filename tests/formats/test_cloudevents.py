"""Wire formats: golden documents, thin and full, and the same bytes each time."""

import json

import pytest

from app.core.document import rfc3339
from app.core.events import EventType
from app.formats.cloudevents_v1 import CloudEventsV1
from app.formats.native import NativeV1
from app.formats.native_v1 import event_document
from tests.builders import NOW, an_event


def document(**changes: object) -> bytes:
    native = event_document(an_event(id="evt_1", **changes), public_url="https://sextant.example")
    return json.dumps(native, default=str).encode()


def test_the_native_format_gives_the_frozen_bytes() -> None:
    body = NativeV1().encode(b'{ "id" : "evt_1" }', detail="full")
    assert (body.content, body.media_type) == (b'{ "id" : "evt_1" }', "application/json")


def test_a_thin_native_body_names_the_incident_only() -> None:
    thin = json.loads(NativeV1().encode(document(), detail="thin").content)
    assert set(thin["data"]["incident"]) == {
        "id", "number", "revision", "status", "severity", "title", "services", "url", "updated_at",
    }  # fmt: skip
    assert thin["data"]["actor"]["kind"] == "engine"


def test_cloudevents_put_the_envelope_into_attributes() -> None:
    body = CloudEventsV1().encode(document(), detail="full")
    event = json.loads(body.content)
    assert body.media_type.startswith("application/cloudevents+json")
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "evt_1",
        "source": "/tenants/contoso",
        "type": "incident.opened",
        "time": rfc3339(NOW),
        "datacontenttype": "application/json",
        "sequence": "1",
        "subject": "inc_1",
    }
    assert data == json.loads(document())["data"]


@pytest.mark.parametrize("kind", list(EventType))
@pytest.mark.parametrize("detail", ["full", "thin"])
@pytest.mark.parametrize("wire", [NativeV1(), CloudEventsV1()], ids=lambda wire: wire.name)
def test_every_event_type_has_a_body_in_every_format(
    kind: EventType, detail: str, wire: NativeV1 | CloudEventsV1
) -> None:
    about = kind.value.partition(".")[0] == "incident"
    stored = document(type=kind, **({} if about else {"incident": None}))
    first, second = (wire.encode(stored, detail=detail) for _ in range(2))
    assert first == second
    parsed = json.loads(first.content)
    assert (parsed["id"], parsed["type"]) == ("evt_1", kind.value)
    assert ("incident" in parsed["data"]) is about
    assert ("subject" in parsed) is (about and wire.name == "cloudevents")
