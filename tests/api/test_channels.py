"""The channels of a tenant, as an operator looks at them before and during an outage."""

from types import SimpleNamespace

import httpx
from sqlalchemy import Connection

from app.core.announce import Audience, ChannelFacts
from app.store import links
from tests.api.conftest import Context
from tests.builders import NOW

FACTS = (
    ChannelFacts(name="mail", kind="smtp", depends_on=("exchange-online",)),
    ChannelFacts(name="chat", kind="teams", depends_on=("microsoft-teams",)),
    ChannelFacts(name="pager", kind="pagerduty", audience=Audience.SOC),
)
FIELDS = {"title": "Mail is down", "services": ["exchange-online"], "severity": "major"}


async def test_each_channel_says_what_touches_it_and_what_would_silence_people(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    for tenant in world.settings.tenants:
        tenant.channels = [SimpleNamespace(facts=one) for one in FACTS]
        tenant.mirrors = [
            SimpleNamespace(name="snow", system="servicenow", depends_on=("entra-id",))
        ]
    quiet = (await client.get("/v1/channels", headers=admin)).json()
    assert [(i["name"], i["state"]) for i in quiet["items"]] == [
        ("mail", "usable"), ("chat", "usable"), ("pager", "usable"),
    ]  # fmt: skip
    (warning,) = quiet["warnings"]
    assert warning == (
        "All your channels for help desk (mail, chat) depend on Microsoft 365: a fault of "
        "Microsoft Entra, Exchange Online silences them all."
    )
    opened = (await client.post("/v1/incidents", headers=admin, json=FIELDS)).json()
    items = (await client.get("/v1/channels", headers=admin)).json()["items"]
    assert [(i["state"], i["service"], i["incidents"]) for i in items] == [
        ("impaired", "exchange-online", [opened["number"]]),
        ("doubtful", "exchange-online", [opened["number"]]),
        ("usable", None, []),
    ]


async def test_mirrors_say_what_they_need_and_whoever_fails_says_why(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    snow = SimpleNamespace(name="snow", system="servicenow", depends_on=("entra-id",))
    for tenant in world.settings.tenants:
        tenant.channels, tenant.mirrors = [SimpleNamespace(facts=FACTS[0])], [snow]
    body = {**FIELDS, "services": ["entra-id"]}
    opened = (await client.post("/v1/incidents", headers=admin, json=body)).json()

    def fail(c: Connection) -> None:
        for name in ("snow", "mail"):
            links.standing(c, name, opened["tenant"], now=NOW, position=0)
        links.fails(c, "snow", since=NOW, why="The instance answered 403. Give it the role itil.")

    world.db.write_now(fail)
    found = (await client.get("/v1/channels", headers=admin)).json()
    (mail,) = (i for i in found["items"] if i["tenant"] == opened["tenant"])
    (mirror,) = (i for i in found["mirrors"] if i["tenant"] == opened["tenant"])
    assert (mail["health"], mail["failing_since"], mail["trouble"]) == ("unused", None, None)
    assert (mirror["state"], mirror["service"]) == ("impaired", "entra-id")
    assert (mirror["depends_on"], mirror["health"]) == (["entra-id"], "failing")
    assert mirror["trouble"].endswith("the role itil.")
    assert mirror["failing_since"].startswith("2026-03-16T06:30:00")
