"""A client that was generated from the committed document does what callers do."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.api.openapi import operations
from tests.api.surface import Surface, furnish, served
from tests.standins.server import serving

NAME = "sextant_generated"
CONFIG = "post_hooks: []\n"  # what it makes is not looked at, so it need not be formatted
# Lines are for programs that stream; a generated client sends arrays.
PASSED_OVER = {f"Unsupported content type application/{one}" for one in ("x-ndjson", "jsonl")}
COMPLAINT = re.compile(r"^(?:Unsupported|Unable|Cannot|Could not|Invalid) .*$", re.MULTILINE)


class Generated:
    """The generated package; its parts are found by name, as the generator puts them."""

    def __init__(self, package: ModuleType) -> None:
        self.models: Any = importlib.import_module(f"{package.__name__}.models")
        self.client: Any = importlib.import_module(f"{package.__name__}.client")

    async def call(self, tag: str, name: str, client: Any, *path: str, **given: Any) -> Any:
        """Call an operation; its answer with status and parsed body."""
        operation = importlib.import_module(f"{NAME}.api.{tag}.{name}")
        return await operation.asyncio_detailed(*path, client=client, **given)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("client")
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    made = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"), "generate",
            "--path", "openapi/v1.json", "--output-path", folder / NAME,
            "--meta", "none", "--config", config,
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert set(COMPLAINT.findall(made.stdout + made.stderr)) == PASSED_OVER
    sys.path.insert(0, str(folder))
    try:
        yield Generated(importlib.import_module(NAME))
    finally:
        sys.path.remove(str(folder))
        for name in [one for one in sys.modules if one.partition(".")[0] == NAME]:
            del sys.modules[name]


@pytest.fixture
async def surface(tmp_path: Path) -> AsyncIterator[Surface]:
    made = served(f"sqlite:///{tmp_path}/generated.db")
    try:
        yield await furnish(made)
    finally:
        made.db.close()


def test_every_operation_is_generated(generated: Generated) -> None:
    package = Path(str(generated.models.__file__)).parent.parent
    made = {file.stem for file in package.glob("api/*/*.py")} - {"__init__"}
    document = json.loads(Path("openapi/v1.json").read_text("utf-8"))
    assert made == {one["operationId"] for _, _, one in operations(document)}


async def test_a_key_is_made_and_used_to_report_list_page_and_subscribe(
    generated: Generated, surface: Surface
) -> None:
    models, call = generated.models, generated.call
    async with serving(surface.api, None) as base:

        def a_client(secret: str) -> Any:
            return generated.client.AuthenticatedClient(
                base_url=base, token=secret, raise_on_unexpected_status=True
            )

        async with a_client(surface.admin["authorization"].removeprefix("Bearer ")) as admin:
            scopes = [
                models.KeyInScopesItem(word)
                for word in ("reports:write", "incidents:write", "subscriptions:write")
            ]
            wanted = models.KeyIn(name="generated", scopes=scopes)
            key = await call("keys", "create_key", admin, body=wanted)
            assert key.status_code == 201
            assert key.parsed.scopes == sorted(scope.value for scope in scopes)

        async with a_client(key.parsed.key) as client:
            reports = [
                models.ClientReportIn(
                    service="microsoft-teams", http_status=503, reporter=f"person-{number}"
                )
                for number in range(30)
            ]
            taken = await call("intake", "post_client_reports", client, body=reports)
            assert (taken.status_code, taken.parsed.accepted) == (202, 30)
            again = await call("intake", "post_client_reports", client, body=reports[0])
            assert (again.parsed.accepted, again.parsed.duplicates) == (0, 1)

            seen, cursor = [], None
            while True:
                page = await call("incidents", "list_incidents", client, limit=2, cursor=cursor)
                seen += page.parsed.items
                cursor = page.parsed.next_
                if cursor is None:
                    break
            assert {surface.ids["incident_id"], surface.ids["other_incident"]} <= {
                one.id for one in seen
            }
            assert [one.updated_at.tzinfo is not None for one in seen] == [True] * len(seen)

            body = models.AcknowledgeIn(note="seen by the generated client")
            done = await call(
                "incidents", "acknowledge_incident", client, seen[0].id, body=body,
                if_match=f'"r{seen[0].revision}"',
            )  # fmt: skip
            assert done.parsed.acknowledged.note == "seen by the generated client"
            assert done.parsed.revision == seen[0].revision + 1

            receiver = models.SubscriptionIn(url="http://127.0.0.1:9000/generated")
            subscribed = await call("subscriptions", "create_subscription", client, body=receiver)
            assert subscribed.status_code == 201
            assert subscribed.parsed.secret.startswith("whsec_")
            assert subscribed.parsed.state.value == "unverified"

            missing = await call("incidents", "read_incident", client, "inc_none")
            assert missing.status_code == 404
            assert isinstance(missing.parsed, models.ProblemOut)
            assert missing.parsed.title == "There is nothing under that id."
            refused = await call("keys", "list_keys", client)
            assert refused.status_code == 403
