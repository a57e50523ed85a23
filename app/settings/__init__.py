"""Settings: one frozen value, read once at the start."""

from app.settings.model import EgressRule, Settings, TenantSettings
from app.settings.read import known_keys, load

__all__ = ["EgressRule", "Settings", "TenantSettings", "known_keys", "load"]
