"""The ASGI entry: ``uvicorn app.main:app --factory``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.kit import logs
from app.settings import AgentSettings, Settings, load, load_agent

if TYPE_CHECKING:
    from fastapi import FastAPI


def read_settings(config: str | None = None) -> Settings:
    """Read the settings once: the file named, else ``SEXTANT_CONFIG``, else ``./sextant.toml``.

    Raises:
        SettingsError: they cannot be used.
    """
    named = config or os.environ.get("SEXTANT_CONFIG")
    default = Path("sextant.toml")
    path = Path(named) if named else (default if default.exists() else None)
    return load(path, os.environ)


def read_agent_settings(config: str) -> AgentSettings:
    """Read the settings of an agent from its own file.

    Raises:
        SettingsError: they cannot be used.
    """
    return load_agent(Path(config), os.environ)


def app() -> "FastAPI":
    """Make the application from the settings of this process."""
    from app.bootstrap import create_app  # noqa: PLC0415 - slow to import; commands do without

    logs.configure()
    return create_app(read_settings(), read_again=read_settings)
