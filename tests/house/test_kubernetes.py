"""The Kubernetes manifests in deploy/: valid by their schemas, and closed by default."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

VERSION = "1.34"
FILE = Path("deploy/kubernetes/sextant.yaml")
SERVING = {"Deployment", "Service"}
ITEMS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["items"]


def pods() -> list[dict[str, Any]]:
    return [item["spec"]["template"]["spec"] for item in ITEMS if "template" in item["spec"]]


@pytest.mark.parametrize("item", ITEMS, ids=[f"{i['kind']} {i['metadata']['name']}" for i in ITEMS])
def test_each_manifest_is_valid_by_the_schema_of_its_kind(item: dict[str, Any]) -> None:
    kubernetes_validate.validate(item, VERSION, strict=True)


def test_the_validator_refuses_what_is_wrong() -> None:
    wrong = {**ITEMS[1], "spec": {**ITEMS[1]["spec"], "replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_callers_meet_three_replicas_which_drain() -> None:
    found = {item["metadata"]["name"]: item for item in ITEMS if item["kind"] in SERVING}
    assert found["sextant-api"]["spec"]["replicas"] == 3
    assert found["sextant-api"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    selector = found["sextant"]["spec"]["selector"]
    labels = found["sextant-api"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    for name in ("sextant-api", "sextant-work"):
        pod = found[name]["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= 30  # the server drains for up to 25 s


def test_every_pod_is_nobody_and_writes_nowhere() -> None:
    assert len(pods()) == 3
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            locked = container["securityContext"]
            assert locked["readOnlyRootFilesystem"] is True
            assert locked["allowPrivilegeEscalation"] is False
            assert locked["capabilities"] == {"drop": ["ALL"]}
            for variable in container["env"]:
                secret = variable["name"] in {"SEXTANT_DATABASE__URL", "GRAPH_CLIENT_SECRET"}
                assert ("valueFrom" in variable) is secret
