"""Opens a mirror: the client of its instance and how it signs in."""

import ssl
from collections.abc import Callable
from datetime import datetime

from app.clients.servicenow import (
    CONNECT_SECONDS,
    ApiKey,
    Basic,
    ClientCredentials,
    ServiceNowClient,
    SignIn,
)
from app.kit import http
from app.sinks.servicenow.event import ServiceNowEvents
from app.sinks.servicenow.settings import MirrorCredential, MirrorSettings
from app.sinks.servicenow.sink import ServiceNowMirror


class _Nobody(Basic):
    """Where a client certificate is all that is shown."""

    def __init__(self) -> None:
        self._header = {}


def sign_in_of(credential: MirrorCredential, now: Callable[[], datetime]) -> SignIn:
    """How we prove who we are."""
    if credential.oauth is not None:
        given = credential.oauth
        secret = given.client_secret.get_secret_value()
        return ClientCredentials(given.client_id, secret, now=now, scope=given.scope)
    if credential.basic is not None:
        return Basic(credential.basic.username, credential.basic.password.get_secret_value())
    if credential.api_key is not None:
        return ApiKey(credential.api_key.get_secret_value())
    return _Nobody()


def context_of(settings: MirrorSettings) -> ssl.SSLContext:
    """What to trust, and for mutual TLS what to show."""
    context = http.tls_context(settings.ca_file)
    shown = settings.credential.certificate
    if shown is not None:
        password = shown.password.get_secret_value() if shown.password else None
        context.load_cert_chain(shown.file, password=password)
    return context


def open_mirror(settings: MirrorSettings, now: Callable[[], datetime]) -> ServiceNowMirror:
    """Make a mirror; nothing is sent.

    Raises:
        OSError: a certificate cannot be read.
    """
    return ServiceNowMirror(client_of(settings, now), settings)


def open_events(settings: MirrorSettings, now: Callable[[], datetime]) -> ServiceNowEvents:
    """Make what feeds Event Management; nothing is sent.

    Raises:
        OSError: a certificate cannot be read.
    """
    return ServiceNowEvents(client_of(settings, now), settings)


def client_of(settings: MirrorSettings, now: Callable[[], datetime]) -> ServiceNowClient:
    """The client of the instance, signed in as the settings say."""
    client = http.client(
        verify=context_of(settings),
        timeout_seconds=settings.timeout_seconds,
        connect_seconds=CONNECT_SECONDS,
        base_url=settings.base_url,
    )
    return ServiceNowClient(client, sign_in_of(settings.credential, now))
