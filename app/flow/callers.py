"""Callers of the settings: programs known by the certificate they show or the bodies they sign."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from app.core.errors import Unauthenticated
from app.flow.caller_settings import Callers, CallerSettings
from app.kit import signing
from app.kit.clock import Clock
from app.kit.proxied import BadCertificate, Shown, certificate_of
from app.store import links
from app.store.engine import Database
from app.store.keys import CALLER, ApiKey, Bounds

log = logging.getLogger(__name__)

NAME = "sextant-caller"  # the header by which a signer says who it is
SIGNATURE = "webhook-signature"
IDENTITY = "webhook-id"
LONGEST_ID = 255  # characters
KEPT = 2 * signing.TOLERANCE + timedelta(minutes=1)  # longer than a timestamp is accepted
UNSIGNED = "The request is not signed as it must be."


class KnownCallers:
    """Finds callers by what they prove; ``wall`` is the time of day that signatures carry.

    A signature covers the id, the timestamp and the body before its compression. An id is taken
    once, by all replicas together, so a request that was overheard opens nothing.
    """

    def __init__(self, db: Database, *, wall: Clock, callers: Callers) -> None:
        self._db = db
        self._wall = wall
        self._callers = callers

    def by_certificate(self, header: str) -> ApiKey:
        """The caller who showed a certificate to a trusted proxy, which has verified it.

        Raises:
            Unauthenticated: it is nobody's, it is not valid now, or it cannot be read.
        """
        try:
            shown = certificate_of(header)
        except BadCertificate as error:
            raise self._refused(str(error)) from error
        now = self._wall.now()
        if not shown.not_before <= now <= shown.not_after:
            raise self._refused("expired")
        for caller in self._callers:
            if _is_of(shown, caller):
                return _key(caller, now=now)
        raise self._refused("unknown")

    async def by_signature(self, headers: Mapping[str, str], body: bytes) -> ApiKey:
        """The caller who signed a body.

        Raises:
            Unauthenticated: nobody did, not lately, or the id came before.
            StorageUnavailable: whether it came before cannot be told.
        """
        named = headers.get(NAME, "")
        caller = next((one for one in self._callers if one.name == named and one.keys), None)
        identity = headers.get(IDENTITY, "")
        if caller is None or len(identity) > LONGEST_ID:
            raise Unauthenticated(UNSIGNED)
        now = self._wall.now()
        try:
            signing.verify(caller.keys, headers=headers, body=body, now=now)
        except signing.BadSignature as error:
            log.info("signature_refused", extra={"caller": named, "reason": str(error)})
            raise Unauthenticated(UNSIGNED) from error
        place = f"caller:{caller.name}"  # no mirror has a name with a colon
        fresh = await self._db.write(
            lambda c: links.first_time(c, place, identity, now=now, kept=KEPT)
        )
        if not fresh:
            raise Unauthenticated("A request with this id came before; sign each anew.")
        return _key(caller, now=now)

    @staticmethod
    def _refused(reason: str) -> Unauthenticated:
        log.info("certificate_refused", extra={"reason": reason})
        return Unauthenticated("The client certificate opens nothing here.")


def _is_of(shown: Shown, caller: CallerSettings) -> bool:
    wanted = caller.certificate
    if wanted is None:
        return False
    if wanted.fingerprint is not None:
        return wanted.fingerprint == shown.fingerprint
    return wanted.subject == shown.subject or wanted.name in shown.names


def _key(caller: CallerSettings, *, now: datetime) -> ApiKey:
    """A caller as a key that is stored nowhere; its settings can be changed at any time."""
    return ApiKey(
        id=f"caller:{caller.name}",
        tenant=caller.tenant,
        name=caller.name,
        scopes=frozenset(caller.scopes),
        last_four="",
        created_at=now,
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
        bounds=Bounds(
            voices=caller.voices,
            networks=tuple(map(str, caller.networks)),
            locations=caller.locations,
        ),
        kind=CALLER,
    )
