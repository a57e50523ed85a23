"""Wires: the connections that all tenants share, asynchronous for an API, threaded for tokens."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from app.clients.errors import VendorError
from app.kit import http

TOKEN_THREADS = 8  # sign-ins at once; apart from the threads of everything else, which must go on


class Wires:
    """One pool of connections for each authority file and time limit, made when first asked for.

    A TLS context costs a megabyte and some milliseconds, so hundreds of tenants share one. Token
    requests run in threads of their own: an Entra that hangs must not take the threads away in
    which the engine works.
    """

    def __init__(self) -> None:
        self._asynchronous: dict[tuple[str | None, float], httpx.AsyncClient] = {}
        self._synchronous: dict[tuple[str | None, float], httpx.Client] = {}
        self.threads = ThreadPoolExecutor(TOKEN_THREADS, thread_name_prefix="token")

    def asynchronous(self, ca_file: str | None, timeout_seconds: float) -> httpx.AsyncClient:
        """Give the client for an API.

        Args:
            ca_file: PEM of authorities trusted beside the bundled ones.
            timeout_seconds: of connecting and of each pause between bytes.

        Raises:
            VendorError: ``ca_unreadable``.
        """
        key = (ca_file, timeout_seconds)
        if key not in self._asynchronous:
            self._asynchronous[key] = http.client(
                verify=_context(ca_file), timeout_seconds=timeout_seconds
            )
        return self._asynchronous[key]

    def synchronous(self, ca_file: str | None, timeout_seconds: float) -> httpx.Client:
        """Give the client for msal, which calls from threads.

        Raises:
            VendorError: ``ca_unreadable``.
        """
        key = (ca_file, timeout_seconds)
        if key not in self._synchronous:
            self._synchronous[key] = httpx.Client(
                verify=_context(ca_file),
                timeout=timeout_seconds,
                trust_env=False,
                follow_redirects=False,
            )
        return self._synchronous[key]

    async def aclose(self) -> None:
        """Close all connections; sign-ins under way are not waited for."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        for synchronous in self._synchronous.values():
            synchronous.close()
        for asynchronous in self._asynchronous.values():
            await asynchronous.aclose()


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return http.tls_context(ca_file)
    except OSError as error:  # of the file, or of what is in it
        text = f"The file of authorities {Path(ca_file or '').name} cannot be used: {error}"
        raise VendorError("ca_unreadable", text) from error
