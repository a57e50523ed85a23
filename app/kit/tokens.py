"""Access tokens: a JWT is held against strict rules; whatever is not expected is refused.

Sources: RFC 7515, 7519, 8725 and 9068; "Access tokens in the Microsoft identity platform".
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

LONGEST = 16_384  # characters
LONGEST_KEY_ID = 200  # characters
LEEWAY = 60.0  # seconds that clocks may differ
LEAST_KEY_BITS = 2048
PARTS = 3
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
NOT_TAKEN = frozenset({"crit", "zip", "b64", "enc", "jku", "x5u"})  # header members of other uses
OF_ID_TOKENS = frozenset({"nonce", "at_hash", "c_hash"})  # claims that tell who signed in, no more
TENANT_PLACE = "{tenantid}"  # in the issuer of an application for several directories


class BadToken(Exception):  # noqa: N818 - a word of the field
    """Raised for a token that opens nothing; its text is one word for the log."""


class ProviderSilent(Exception):  # noqa: N818 - it is no fault of ours
    """Raised when an OpenID provider does not answer, or not as it should; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a provider says of itself."""

    jwks_uri: str
    authorization_endpoint: str
    token_endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a token must say.

    ``issuer`` may hold ``{tenantid}`` where ``directories`` lists the ids that may stand there;
    with ``directories`` a token must name one of them as ``tid``. ``clients`` empty: any program.
    ``version`` is what ``ver`` must be, if anything.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: tuple[str, ...] = ("RS256",)
    directories: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    version: str | None = None

    def issued_by(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token says that it comes from this issuer, and from a listed directory."""
        issuer = self.issuer
        if self.directories:
            directory = claims.get("tid")
            if not isinstance(directory, str) or directory not in self.directories:
                return False
            issuer = issuer.replace(TENANT_PLACE, directory)
        return claims.get("iss") == issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A public key of an issuer; ``issuer`` is whose tokens alone it may sign, if it says so."""

    key: Any
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A token that was read and not yet verified."""

    text: str
    algorithm: str
    key_id: str
    claims: Mapping[str, Any]


class Provider(Protocol):
    """An OpenID provider, as far as its tokens need it."""

    async def key(self, key_id: str) -> SigningKey | None:
        """The key of that id; None when the provider has none.

        Raises:
            ProviderSilent: its keys were never read, and cannot be now.
        """
        ...

    async def metadata(self) -> Metadata:
        """What it says of itself now.

        Raises:
            ProviderSilent: it does not answer, or not as one of that issuer.
        """
        ...

    async def redeem(
        self,
        *,
        code: str,
        verifier: str,
        redirect_uri: str,
        client_id: str,
        client_secret: str | None,
    ) -> dict[str, object]:
        """Give an authorization code back for tokens.

        Raises:
            ProviderSilent: it does not answer, or refuses.
        """
        ...


def read(token: str) -> Unproven:
    """Take a token apart; believe nothing of it.

    Raises:
        BadToken: it is no JWT of the kind that is taken here.
    """
    parts = token.split(".")
    if len(token) > LONGEST or not token.isascii() or len(parts) != PARTS or not all(parts):
        raise BadToken("malformed")
    header, claims = _object(parts[0]), _object(parts[1])
    _bytes(parts[2])
    kind, key_id, algorithm = header.get("typ"), header.get("kid"), header.get("alg")
    if kind is not None and not (isinstance(kind, str) and kind.lower() in TYPES):
        raise BadToken("type")
    if NOT_TAKEN & header.keys():
        raise BadToken("header")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= LONGEST_KEY_ID:
        raise BadToken("key_id")
    if not isinstance(algorithm, str):
        raise BadToken("algorithm")
    return Unproven(text=token, algorithm=algorithm, key_id=key_id, claims=claims)


def prove(token: Unproven, key: SigningKey, rules: Rules, *, now: datetime) -> Mapping[str, Any]:
    """Verify the signature and every claim that is relied on; gives the claims.

    Raises:
        BadToken: something is not as the rules say.
    """
    # Imported here: a start that meets no token does not pay for it.
    from jwt import InvalidTokenError, PyJWS  # noqa: PLC0415

    if token.algorithm not in rules.algorithms:
        raise BadToken("algorithm")
    try:
        PyJWS(algorithms=list(rules.algorithms)).decode(
            token.text, key.key, algorithms=[token.algorithm]
        )
    except (InvalidTokenError, ValueError, TypeError) as error:
        raise BadToken("signature") from error
    claims = token.claims
    _check_source(claims, key, rules)
    _check_time(claims, now.timestamp())
    _check_use(claims, rules)
    return claims


def _check_source(claims: Mapping[str, Any], key: SigningKey, rules: Rules) -> None:
    if not rules.issued_by(claims):
        raise BadToken("issuer")
    if key.issuer is not None:
        directory = str(claims.get("tid", ""))
        if key.issuer.replace(TENANT_PLACE, directory) != claims["iss"]:
            raise BadToken("key_of_another_issuer")
    if rules.version is not None and claims.get("ver") != rules.version:
        raise BadToken("version")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in rules.audiences for one in named):
        raise BadToken("audience")


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    ends, begins, made = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None or now >= ends + LEEWAY:
        raise BadToken("expired")
    if begins is not None and now < begins - LEEWAY:
        raise BadToken("not_yet_valid")
    if made is not None and now < made - LEEWAY:
        raise BadToken("made_in_the_future")


def _check_use(claims: Mapping[str, Any], rules: Rules) -> None:
    if OF_ID_TOKENS & claims.keys():
        raise BadToken("id_token")
    names = (claims.get(name) for name in ("azp", "appid", "client_id"))
    program = next((name for name in names if name is not None), None)
    if not isinstance(program, str) or not program:
        raise BadToken("no_client")  # an ID token names none
    if rules.clients and program not in rules.clients:
        raise BadToken("client")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise BadToken("no_subject")


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"{name}_is_no_number")
    return float(value)


def signing_keys(document: bytes) -> dict[str, SigningKey]:
    """Read a JWK set (RFC 7517): keys to sign with, by their id; what else it holds is left out.

    Raises:
        ValueError: it is no JWK set.
    """
    from jwt import InvalidKeyError, PyJWK, PyJWTError  # noqa: PLC0415 - as above

    found = json.loads(document)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("not a JWK set")  # noqa: TRY004 - a document, not a type
    keys: dict[str, SigningKey] = {}
    for entry in found["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        key_id, issuer = entry.get("kid"), entry.get("issuer")
        if entry.get("kty") not in {"RSA", "EC"} or not isinstance(key_id, str) or "d" in entry:
            continue
        try:
            key = PyJWK.from_dict(entry)
        except (PyJWTError, InvalidKeyError, ValueError):
            continue
        if getattr(key.key, "key_size", 0) < LEAST_KEY_BITS and entry["kty"] == "RSA":
            continue
        keys[key_id] = SigningKey(key=key, issuer=issuer if isinstance(issuer, str) else None)
    return keys


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_bytes(part))
    except (ValueError, RecursionError) as error:
        raise BadToken("malformed") from error
    if not isinstance(found, dict):
        raise BadToken("malformed")
    return found


def _bytes(part: str) -> bytes:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken("malformed") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise BadToken("malformed")
    return decoded
