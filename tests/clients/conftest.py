"""Fixtures of the client tests: the stand-ins, running, and signing in there."""

from tests.clients.signing import http_for_msal, sign
from tests.standins.conftest import clock, http, standins

__all__ = ["clock", "http", "http_for_msal", "sign", "standins"]
