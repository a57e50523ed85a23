"""The channels of a tenant, as an operator looks at them before and during an outage."""

from types import SimpleNamespace

import httpx

from app.core.announce import Audience, ChannelFacts
from tests.api.conftest import Context

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
