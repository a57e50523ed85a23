"""Settings of the Graph source: clouds, credentials, and what each refusal says to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.clients.credentials import Certificate, FederatedToken, ManagedIdentity, Secret
from app.sources.graph import (
    CLOUDS,
    GraphSettings,
    Shared,
    open_graph,
)
from app.sources.graph.remedies import remedy_of
from app.sources.graph.source import credential_of
from tests.builders import NOW

REFUSED = ("secret", "certificate", "managed_identity", "federated_token_file")
FIXTURES = Path(__file__).parent.parent / "fixtures" / "graph"
ISSUES: list[dict[str, Any]] = json.loads((FIXTURES / "issues_in_v1_shape.json").read_text())
BY_ID = {issue["id"]: issue for issue in ISSUES}
DOCS = json.loads((FIXTURES / "msdocs_v1_list_issues.json").read_text())
SETTINGS = {
    "tenant_id": "11111111-1111-1111-1111-111111111111",
    "client_id": "app",
    "credential": {"secret": "s3cret"},
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_its_addresses(cloud: str) -> None:
    made = GraphSettings(**SETTINGS, cloud=cloud)
    assert (made.authority_url, made.graph_url) == (
        f"{CLOUDS[cloud][0]}/{SETTINGS['tenant_id']}",
        CLOUDS[cloud][1],
    )


async def test_addresses_of_ones_own_are_taken_without_tenant_and_version() -> None:
    made = GraphSettings(
        **SETTINGS, authority="https://localhost:8443/", base_url="https://127.0.0.1:8444/"
    )
    assert made.authority_url == f"https://localhost:8443/{SETTINGS['tenant_id']}"
    assert made.graph_url == "https://127.0.0.1:8444"
    assert "s3cret" not in repr(made)
    shared = Shared()
    assert open_graph(made, shared).budget(NOW) is None
    await shared.aclose()


@pytest.mark.parametrize(
    ("credential", "kind", "made"),
    [
        ({"secret": "x"}, "secret", Secret),
        ({"certificate": {"file": "x.pem"}}, "certificate", Certificate),
        ({"certificate": {"file": "x.pfx", "password": "p"}}, "certificate", Certificate),
        ({"managed_identity": {}}, "managed_identity", ManagedIdentity),
        ({"managed_identity": {"client_id": "y"}}, "managed_identity", ManagedIdentity),
        ({"federated_token_file": "/var/run/token"}, "federated_token_file", FederatedToken),
    ],
)
def test_each_credential_is_taken(credential: dict[str, Any], kind: str, made: type) -> None:
    settings = GraphSettings(**{**SETTINGS, "credential": credential})
    assert settings.credential.kind == kind
    assert isinstance(credential_of(settings.credential), made)


@pytest.mark.parametrize("kind", ["secret", "certificate", "managed_identity", "x"])
def test_each_refusal_says_what_to_do_for_its_credential(kind: str) -> None:
    told = {remedy_of("token_refused", credential=name) for name in REFUSED}
    assert len(told) == 4
    assert remedy_of("token_refused", credential=kind, number=7000222).startswith(
        "The client secret has expired"
    )
    assert "clock" in remedy_of("token_refused", credential=kind, number=700024)
    assert "ServiceHealth.Read.All" in remedy_of("forbidden", credential=kind)
    assert ("PowerShell" in remedy_of("forbidden", credential=kind)) == (kind == "managed_identity")
    assert remedy_of("never_seen") == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant_id": "common"},
        {"tenant_id": "a/b"},
        {"cloud": "moon"},
        {"authority": "https://login.test"},
        {"base_url": "https://graph.test"},
        {"authority": "http://login.test", "base_url": "https://graph.test"},
        {"authority": "http://127.0.0.1", "base_url": "https://graph.test"},
        {"authority": "https://login.test", "base_url": "https://graph.test/v1.0"},
        {"authority": "https://login.test", "base_url": "https://graph.test?x=1"},
        {"authority": "https://login.test", "base_url": "graph.test"},
        {"poll_hot_seconds": 0},
        {"poll_hot_seconds": 600},
        {"requests_per_hour": 0},
        {"credential": {}},
        {"credential": {"secret": "x", "federated_token_file": "y"}},
        {"credential": {"certificate": {"password": "p"}}},
        {"client_id": ""},
        {"surprise": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GraphSettings(**{**SETTINGS, **wrong})
