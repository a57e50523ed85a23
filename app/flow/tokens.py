"""Tokens: an access token of a configured issuer becomes a caller with scopes in tenants."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.core.errors import Overloaded, Unauthenticated
from app.flow.issuer_settings import GrantSettings, IssuerSettings
from app.kit import tokens
from app.kit.clock import Clock
from app.kit.tokens import BadToken, Provider, ProviderSilent, Unproven
from app.store.keys import OPERATOR, TOKEN, ApiKey

log = logging.getLogger(__name__)

REFUSED = "The access token opens nothing here."
DOTS = 2  # in a token; an API key has none
LONGEST_NAME = 100  # characters of a name that is shown


def is_token(secret: str) -> bool:
    """Whether a credential has the shape of an access token, and not of an API key."""
    return secret.count(".") == DOTS


class Tokens:
    """Verifies access tokens; each issuer's keys are read when its first token comes."""

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        clock: Clock,
        *,
        provider: Callable[[IssuerSettings], Provider],
    ) -> None:
        self._clock = clock
        self._issuers = {issuer.name: (issuer, provider(issuer)) for issuer in issuers}

    def __bool__(self) -> bool:
        return bool(self._issuers)

    @property
    def sign_ins(self) -> dict[str, tuple[IssuerSettings, Provider]]:
        """The issuers at which people may sign in to the console."""
        return {name: pair for name, pair in self._issuers.items() if pair[0].sign_in is not None}

    async def caller(self, text: str) -> ApiKey:
        """Who sent a token, as a key that ends with it.

        Raises:
            Unauthenticated: it is not one that opens anything.
            Overloaded: the issuer's keys are not known yet.
        """
        try:
            return await self._proven(text)
        except BadToken as error:
            log.info("token_refused", extra={"reason": str(error)})
            raise Unauthenticated(REFUSED) from error
        except ProviderSilent as error:
            detail = "The issuer's keys cannot be read; try again shortly."
            raise Overloaded(detail, retry_after_seconds=5) from error

    async def _proven(self, text: str) -> ApiKey:
        token = tokens.read(text)
        issuer, provider = self._issuer_of(token)
        if token.algorithm not in issuer.algorithms:
            raise BadToken("algorithm")
        key = await provider.key(token.key_id)
        if key is None:
            raise BadToken("unknown_key")
        claims = tokens.prove(token, key, issuer.rules, now=self._clock.now())
        return _caller(issuer, claims)

    def _issuer_of(self, token: Unproven) -> tuple[IssuerSettings, Provider]:
        for issuer, provider in self._issuers.values():
            if issuer.rules.issued_by(token.claims):
                return issuer, provider
        raise BadToken("issuer")


def _caller(issuer: IssuerSettings, claims: Mapping[str, Any]) -> ApiKey:
    """Say what a proven token opens.

    Raises:
        BadToken: nothing; or it was issued to a person for another use of our API.
    """
    said = claims.get("scp")
    if said is not None:  # issued to a program on behalf of a person
        granted = said.split() if isinstance(said, str) else []
        if issuer.delegated_scope is None or issuer.delegated_scope not in granted:
            raise BadToken("delegated_scope")
        if claims.get("idtyp") == "app":
            raise BadToken("idtyp")
    subject = claims.get(issuer.subject_claim)
    if not isinstance(subject, str) or not subject:
        raise BadToken("no_subject")
    roles = _words(claims, issuer.roles_claim)
    # A program has roles alone: groups are of people.
    groups = _words(claims, issuer.groups_claim) if said is not None else frozenset()
    held = [grant for grant in issuer.grants if grant.role in roles or grant.group in groups]
    in_tenant = _scopes(held)
    if not in_tenant:
        raise BadToken("no_grant")
    names = sorted(in_tenant)
    everywhere = OPERATOR in in_tenant
    shared = frozenset[str].intersection(*in_tenant.values())
    name = next(
        (claims[n] for n in ("name", "app_displayname") if _is_text(claims.get(n))), subject
    )
    ends = datetime.fromtimestamp(float(claims["exp"]) + tokens.LEEWAY, UTC)
    return ApiKey(
        id=f"{issuer.name}:{subject}",
        tenant=OPERATOR if everywhere or len(names) > 1 else names[0],
        name=str(name)[:LONGEST_NAME],
        scopes=in_tenant[OPERATOR] if everywhere else shared,
        last_four="",
        created_at=ends,
        expires_at=ends,
        revoked_at=None,
        last_used_at=None,
        grants=() if everywhere or len(names) == 1 else tuple(names),
        in_tenant=tuple(sorted(in_tenant.items())),
        kind=TOKEN,
    )


def _scopes(held: Sequence[GrantSettings]) -> dict[str, frozenset[str]]:
    """Scopes by tenant; what is held in all tenants is held in each."""
    found: dict[str, frozenset[str]] = {}
    for grant in held:
        for tenant in grant.tenants:
            found[tenant] = found.get(tenant, frozenset()) | set(grant.scopes)
    everywhere = found.get(OPERATOR, frozenset())
    return {tenant: scopes | everywhere for tenant, scopes in found.items()}


def _words(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    found = claims.get(name)
    if not isinstance(found, list):
        return frozenset()
    return frozenset(word for word in found if isinstance(word, str))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
