"""The compose file in deploy/: by the words of the compose specification, and closed by default."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.postgres import Postgres

FOLDER = Path("deploy")
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# github.com/compose-spec/compose-spec: what a service may say, as far as we say it.
KNOWN = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "expose", "healthcheck",
    "image", "ports", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs",
    "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"\d+(ms|s|m|h)")


def test_every_service_says_what_the_specification_knows() -> None:
    assert {name for name in COMPOSE if not name.startswith("x-")} == {
        "name", "services", "networks", "volumes"
    }  # fmt: skip
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN, name
        after = service.get("depends_on", {})
        assert set(after) <= set(SERVICES), name
        if isinstance(after, dict):
            assert {one["condition"] for one in after.values()} <= CONDITIONS
        assert DURATION.fullmatch(service.get("stop_grace_period", "1s"))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source != "./sextant.toml":
                assert (FOLDER / source).is_file(), source
            elif not source.startswith("."):
                assert source in COMPOSE["volumes"]


def test_three_replicas_stand_behind_a_proxy_that_they_trust() -> None:
    replica = SERVICES["sextant"]
    assert replica["deploy"]["replicas"] == 3
    assert "ports" not in replica
    assert int(replica["stop_grace_period"].removesuffix("s")) >= 30  # it drains for up to 25 s
    (subnet,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    trusted = replica["environment"]["SEXTANT_SERVER__TRUSTED_PROXIES"]
    assert yaml.safe_load(trusted) == [subnet["subnet"]]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["proxy"]["ports"])
    for name in ("sextant", "migrate"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_the_role_of_the_compose_file_is_held_by_the_walls(
    postgres: Postgres, tmp_path: Path
) -> None:
    script = (FOLDER / "postgres" / "role.sh").read_text("utf-8")
    # What psql would do with the file, by the driver: the binaries of the tests have no psql.
    (told,) = re.findall(r"<<'SQL'\n(.*?)SQL\n", script, re.DOTALL)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        for statement in told.replace(":'password'", "'secret'").split(";"):
            if statement.strip():
                admin.execute(statement.strip().encode())
        try:
            query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = 'sextant'"
            assert admin.execute(query).fetchone() == (False,)
        finally:
            admin.execute("DROP DATABASE sextant")
            admin.execute("DROP ROLE sextant")
    run = subprocess.run(["/bin/sh", "-n", FOLDER / "postgres" / "role.sh"], check=False)
    assert run.returncode == 0
    assert os.access(FOLDER / "postgres" / "role.sh", os.X_OK)
