"""Fixtures of the flow tests."""

from tests.flow.world import world

__all__ = ["world"]
