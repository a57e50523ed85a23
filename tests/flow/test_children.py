"""Children, where they are asked for: one for each further service, once, and left to people."""

from datetime import timedelta

import pytest

from app.core.incident import Incident
from app.core.link import Link, LinkState
from app.store import links
from app.store.engine import Database
from tests.flow.mirroring import MirrorWorld
from tests.standins.servicenow import Fault, Kind
from tests.standins.servicenow.instance import Record

SERVICES = ["exchange-online", "microsoft-teams", "sharepoint-online", "onedrive"]


class Family(MirrorWorld):
    """A mirror with children: what is under the ticket of one incident."""

    async def opens(self) -> Incident:
        body = {"title": "Sign-in is down", "services": SERVICES, "severity": "major"}
        return await self.fold.command(self.tenant, self._command("open", body))

    @property
    def children(self) -> list[Record]:
        return [t for t in self.tickets() if t.get("parent_incident")]

    def child_links(self, incident: Incident) -> list[Link]:
        known = self.db.read_now(lambda c: links.of_incidents(c, self.tenant, [incident.id]))
        return [link for link in known if link.is_child]


def family(database: Database, children: int = 5) -> Family:
    return Family(
        database, terms={"children": children, "poll": timedelta(minutes=2)},
        assignment_group={"microsoft-teams": "Hardware", "default": "Service Desk"},
    )  # fmt: skip


async def test_nobody_gets_children_who_did_not_ask(sqlite_database: Database) -> None:
    world = family(sqlite_database, 0)
    await world.opens()
    await world.run(600)
    assert (len(world.tickets()), world.children) == (1, [])


async def test_each_further_service_gets_one_child_that_follows_its_parent(
    database: Database,
) -> None:
    world = family(database)
    incident = await world.opens()
    await world.run(600)
    (parent,) = [t for t in world.tickets() if not t.get("parent_incident")]
    assert parent["correlation_id"] == f"sextant:{incident.id}"
    assert {t["parent_incident"] for t in world.children} == {parent["sys_id"]}
    names = {t["correlation_id"].partition(".")[2] for t in world.children}
    assert names == {"microsoft-teams", "sharepoint-online", "onedrive"}
    assert any(t["short_description"].startswith("Microsoft Teams: ") for t in world.children)
    before = len(world.writes())
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(600)
    written = {one.path.rpartition("/")[2] for one in world.writes("PATCH")[-3:]}
    assert len(world.writes()) > before
    assert written == {parent["sys_id"]}  # a child is never written to
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(600)
    assert {t["state"] for t in world.tickets()} == {"6"}
    assert {link.state for link in world.child_links(incident)} == {LinkState.ENDED}


async def test_children_are_capped_and_count_in_the_budget(sqlite_database: Database) -> None:
    world = Family(
        sqlite_database, terms={"children": 2, "budget": 2, "poll": timedelta(minutes=10)}
    )
    incident = await world.opens()
    await world.run(600)
    ours = [t for t in world.tickets() if "held-" not in t["correlation_id"]]
    assert (len(ours), len(world.child_links(incident))) == (2, 2)
    (summary,) = [t for t in world.tickets() if "held-" in t["correlation_id"]]
    assert "for 1 incidents" in summary["short_description"]
    await world.run(3700)
    assert len(world.children) == 2


@pytest.mark.parametrize("kind", [Kind.COMMIT_ERROR, Kind.COMMIT_RESET, Kind.ERROR])
async def test_a_child_whose_creation_nobody_heard_of_is_made_once(
    sqlite_database: Database, kind: Kind
) -> None:
    world = family(sqlite_database)
    await world.opens()
    world.instance.faults.append(Fault(kind=kind, method="POST", times=3))
    await world.run(1800)
    assert len(world.tickets()) == 4
    assert len({t["correlation_id"] for t in world.tickets()}) == 4


async def test_a_child_that_the_instance_leaves_open_waits_for_a_person(
    sqlite_database: Database,
) -> None:
    world = family(sqlite_database)
    incident = await world.opens()
    await world.run(600)
    await world.do("dismiss", incident, resolution="false_positive", reason="none")
    await world.run(300)
    assert {t["state"] for t in world.children} == {"1"}
    assert {link.state for link in world.child_links(incident)} == {LinkState.AWAITING_HUMAN}
