"""Lean: what a start on SQLite does not load, because it would wait for it."""

import subprocess
import sys

import pytest

LATE = ("psycopg", "sqlalchemy.dialects.postgresql", "rich", "pygments", "app.kit.guarded", "msal",
        "alembic", "jinja2.nativetypes", "httpx._main", "pydantic.v1")  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Modules that are there once the application can be made."""
    script = (
        "import sys\n"
        "from app.kit.lean import leave_out\n"
        "leave_out()\n"
        "import app.main, app.bootstrap\n"
        "print(*[name for name, module in sys.modules.items() if module is not None])\n"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    return set(found.stdout.decode().split())


def test_the_application_is_loaded(loaded: set[str]) -> None:
    assert {"app.main", "app.bootstrap", "fastapi"} <= loaded


@pytest.mark.parametrize("name", LATE)
def test_comes_late_or_never(loaded: set[str], name: str) -> None:
    assert name not in loaded


def test_the_port_listens_before_the_house_is_loaded() -> None:
    script = (
        "import sys\n"
        "import app.cli, app.main, app.kit.entrance, app.settings.model\n"
        "print(*{'fastapi', 'sqlalchemy', 'sqlmodel', 'app.bootstrap'} & set(sys.modules))\n"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert found.stdout.split() == []
