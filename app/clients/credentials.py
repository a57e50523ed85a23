"""Credentials: how an application proves to Entra who it is, each as what msal takes for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import httpx

from app.clients.errors import VendorError

if TYPE_CHECKING:
    from app.kit.certificates import ClientCertificate

Stamp: TypeAlias = tuple[int, int, int] | None  # of a file: when it changed, its size, its inode


class Credential(Protocol):
    """One way to prove who we are."""

    def stamp(self) -> Stamp:
        """Say which state of its file it stands on; a new stamp calls for a new application."""
        ...

    def for_msal(self) -> Any:
        """Give what msal takes as ``client_credential``; runs in a thread, may read files."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret, by its value."""

    value: str

    def stamp(self) -> Stamp:
        """A secret stands on no file."""
        return None

    def for_msal(self) -> Any:
        """Give the text itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key in a PEM or PFX file; a renewed file is taken up by itself."""

    file: str
    password: str | None = None

    def stamp(self) -> Stamp:
        """Say which state of the file counts now."""
        return _stamp(self.file)

    def for_msal(self) -> Any:
        """Give key and certificate; msal derives the SHA-256 thumbprint and signs with PS256.

        Raises:
            VendorError: the file cannot be used.
        """
        made = self.read()
        return {"private_key": made.key_pem, "public_certificate": made.certificate_pem}

    def read(self) -> "ClientCertificate":
        """Read the file.

        Raises:
            VendorError: the file cannot be used.
        """
        # Reading certificates is slow to import, and only this kind of credential needs it.
        from app.kit.certificates import UnreadableCertificate, read_certificate  # noqa: PLC0415

        try:
            return read_certificate(Path(self.file), self.password)
        except UnreadableCertificate as error:
            raise VendorError("credential_unreadable", str(error)) from error


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """A token that the platform writes into a file and renews there, as Kubernetes does."""

    file: str

    def stamp(self) -> Stamp:
        """The file is read at every sign-in, so no application stands on it."""
        return None

    def for_msal(self) -> Any:
        """Give a reader that msal calls whenever it really signs in; a fixed text would expire."""
        return {"client_assertion": self.read}

    def read(self) -> str:
        """Read the token that is in the file now.

        Raises:
            VendorError: there is none.
        """
        try:
            token = Path(self.file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            text = f"The token file {Path(self.file).name} cannot be read."
            raise VendorError("credential_unreadable", text) from error
        if not token:
            raise VendorError("credential_unreadable", "The token file is empty.")
        return token


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity that Azure gave to the machine; by client id where it has several."""

    client_id: str | None = None

    def stamp(self) -> Stamp:
        """It stands on no file."""
        return None

    def for_msal(self) -> Any:
        """There is nothing to prove: the machine's own endpoint knows who asks."""
        return None


def _stamp(file: str) -> Stamp:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def assertion(credential: Certificate | FederatedToken, *, audience: str, client_id: str) -> str:
    """What a token request carries instead of a secret (RFC 7523); reads files, takes a moment.

    Args:
        credential: what proves who we are.
        audience: the token endpoint that is asked.
        client_id: the application.

    Raises:
        VendorError: ``credential_unreadable``.
    """
    if isinstance(credential, FederatedToken):
        return credential.read()
    from msal.oauth2cli.assertion import (  # type: ignore[import-untyped]  # noqa: PLC0415 - slow
        JwtAssertionCreator,
    )

    made = credential.read()
    signer = JwtAssertionCreator(made.key_pem, "PS256", sha256_thumbprint=made.sha256_thumbprint)
    signed: bytes = signer.create_normal_assertion(audience, client_id)
    return signed.decode()


Acquire: TypeAlias = Callable[[str | None], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who we are at Entra: https authority with the tenant's id, client id, scope, credential."""

    authority: str
    client_id: str
    scope: str
    credential: Credential
    timeout_seconds: float = 30.0


def build_acquire(
    who: Application, http: httpx.Client, soft: tuple[type[Exception], ...]
) -> Acquire:
    """Make the function that gets a token: an answer of msal, from its cache where possible.

    Args:
        who: the application.
        http: carries the requests to Entra; a managed identity's go to the machine itself.
        soft: exceptions under which a token in hand outlives an early refresh that failed.
    """
    import msal  # type: ignore[import-untyped]  # noqa: PLC0415 - slow; ships no types

    if isinstance(who.credential, ManagedIdentity):
        return _of_machine(msal, who, who.credential)
    application = msal.ConfidentialClientApplication(
        who.client_id,
        authority=who.authority,
        client_credential=who.credential.for_msal(),
        http_client=SyncHttp(http),
        instance_discovery=False,  # the authority is configured; nobody else need be asked
        azure_region=False,  # and no MSAL_FORCE_REGION of the environment shall send us elsewhere
    )

    def acquire(claims: str | None) -> Any:
        return application.acquire_token_for_client(
            [who.scope], claims_challenge=claims, http_exceptions=soft
        )

    return acquire


def _of_machine(msal: Any, who: Application, credential: ManagedIdentity) -> Acquire:
    import requests  # noqa: PLC0415 - comes with msal

    session = requests.Session()  # msal insists on one for Service Fabric
    session.trust_env = False  # the endpoint is the machine's own and behind no proxy
    # A session has no time limit of its own; msal sets one for itself in this same way.
    vars(session)["request"] = partial(session.request, timeout=who.timeout_seconds)
    identity = (
        msal.UserAssignedManagedIdentity(client_id=credential.client_id)
        if credential.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    client = msal.ManagedIdentityClient(identity, http_client=session)
    resource = who.scope.removesuffix("/.default")

    def acquire(claims: str | None) -> Any:
        return client.acquire_token_for_client(resource=resource, claims_challenge=claims)

    return acquire


class SyncHttp:
    """What msal calls: an ``httpx.Client`` whose form fields are text.

    msal hands over a certificate's assertion as bytes, which httpx would write as ``b'…'``.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        """Send a form."""
        form = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in (data or {}).items()
            if value is not None
        }
        return self._client.post(url, params=params, data=form, headers=headers)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        """Read a document."""
        return self._client.get(url, params=params, headers=headers)

    def close(self) -> None:
        """The client is shared and outlives this."""
