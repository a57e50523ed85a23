"""The instance as ServiceNow's own Python client sees it: somebody else's reading of the API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pysnc import ServiceNowClient  # type: ignore[import-untyped]  # it has no types
from pysnc.exceptions import RoleException  # type: ignore[import-untyped]  # the same

from app.kit.clock import FixedClock
from tests.standins.ca import create
from tests.standins.servicenow import Fault, Instance, Kind, User, serving
from tests.standins.servicenow.scene import NOW


class Served(NamedTuple):
    instance: Instance
    root: str
    ca_file: str


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    instance = Instance(now=FixedClock(NOW).now)
    instance.add_user(User(name="sextant", password="pw"))
    files = create(tmp_path)
    async with serving(instance, files) as root:
        yield Served(instance, root, str(files.ca_file))


async def threaded(work: Callable[[ServiceNowClient], Any], served: Served) -> Any:
    def run() -> Any:
        client = ServiceNowClient(served.root, ("sextant", "pw"), verify=served.ca_file)
        client.session.trust_env = False
        try:
            return work(client)
        finally:
            client.session.close()

    return await asyncio.to_thread(run)


async def test_pysnc_creates_reads_and_updates(served: Served) -> None:
    instance = served.instance
    group = instance.add_group("Messaging")

    def work(client: ServiceNowClient) -> tuple[str, str, str]:
        record = client.GlideRecord("incident")
        record.initialize()
        record.short_description = "Mail is down"
        record.assignment_group = group
        made = record.insert()
        again = client.GlideRecord("incident")
        assert again.get(made)
        again.work_notes = "Seen from Berlin."
        again.state = "2"
        again.update()
        return (
            str(again.short_description),
            again.assignment_group.get_display_value(),
            again.get_value("state"),
        )

    assert await threaded(work, served) == ("Mail is down", "Messaging", "2")
    (record,) = instance.incidents()
    assert instance.notes_of(record["sys_id"]) == ["Seen from Berlin."]


async def test_pysnc_walks_every_page(served: Served) -> None:
    instance = served.instance
    for number in range(25):
        instance.insert("cmdb_ci_service", name=f"service {number:02d}")

    def work(client: ServiceNowClient) -> list[str]:
        record = client.GlideRecord("cmdb_ci_service", batch_size=10)
        record.add_query("name", "STARTSWITH", "service")
        record.order_by("name")
        record.query()
        return [str(row.name) for row in record]

    assert await threaded(work, served) == [f"service {number:02d}" for number in range(25)]


async def test_pysnc_meets_the_data_policy_and_sleep(served: Served) -> None:
    instance = served.instance

    def work(client: ServiceNowClient) -> None:
        record = client.GlideRecord("incident")
        record.initialize()
        record.short_description = "Mail is down"
        record.get(record.insert())
        record.state = "6"
        record.update()

    with pytest.raises(RoleException, match="Data Policy Exception"):  # its word for a 403
        await threaded(work, served)
    assert instance.incidents()[0]["state"] == "1"
    instance.faults.append(Fault(kind=Kind.HIBERNATING, times=None))
    with pytest.raises(Exception, match=r"(?i)hibernat|json|expecting|decode"):
        await threaded(lambda client: client.GlideRecord("incident").get("x"), served)
