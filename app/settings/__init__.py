"""Settings: one frozen value, read once at the start."""

from app.settings.agent import AgentSettings
from app.settings.model import EgressRule, Settings, TenantSettings
from app.settings.read import known_keys, load, load_agent

__all__ = [
    "AgentSettings", "EgressRule", "Settings", "TenantSettings", "known_keys", "load", "load_agent",
]  # fmt: skip
