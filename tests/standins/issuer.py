"""Stand-in of an OpenID provider: metadata, keys, tokens, and a sign-in that always succeeds."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair to sign with."""
    return rsa.generate_private_key(65537, bits)


@dataclass
class Issuer:
    """One directory of a provider; tokens are signed with ``keys``, by id."""

    keys: dict[str, rsa.RSAPrivateKey]
    root: str = ""
    directory: str = "11111111-1111-1111-1111-111111111111"
    key_issuers: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    asked: int = 0
    client_id: str = "console"
    client_secret: str = "a secret"
    scope: str = "openid api://sextant/access"
    person: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """What stands in its tokens."""
        return f"{self.root}/{self.directory}/v2.0"

    def routes(self) -> list[BaseRoute]:
        """Its doors."""
        base = "/{directory}/v2.0"
        return [
            Route(f"{base}/.well-known/openid-configuration", self._metadata),
            Route("/{directory}/keys", self._keys),
            Route("/{directory}/authorize", self._authorize),
            Route("/{directory}/token", self._token, methods=["POST"]),
        ]

    def sign(self, claims: dict[str, Any], kid: str = "one", **header: Any) -> str:
        """Make a token of claims."""
        told = {"kid": kid, **header}
        return jwt.encode(claims, self.keys[kid], algorithm="RS256", headers=told)

    async def _metadata(self, request: Request) -> Response:
        self.asked += 1
        if self.broken:
            return Response("no", 503)
        home = f"{self.root}/{self.directory}"
        return JSONResponse(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{home}/keys",
                "authorization_endpoint": f"{home}/authorize",
                "token_endpoint": f"{home}/token",
            }
        )

    async def _keys(self, request: Request) -> Response:
        if self.broken:
            return Response("no", 503)
        found = []
        for kid, key in self.keys.items():
            told = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            entry = {**told, "kid": kid, "use": "sig"}
            if kid in self.key_issuers:
                entry["issuer"] = self.key_issuers[kid]
            found.append(entry)
        odd: list[Any] = [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {"kid": "no"}, 7]
        return JSONResponse({"keys": [*odd, *found]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        wrong = (
            asked.get("response_type") != "code"
            or asked.get("client_id") != self.client_id
            or asked.get("code_challenge_method") != "S256"
            or len(asked.get("code_challenge", "")) != 43
            or asked.get("scope") != self.scope
        )
        if wrong:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        good = (
            asked is not None
            and asked["code_challenge"] == challenge
            and asked["redirect_uri"] == form.get("redirect_uri")
            and form.get("client_id") == self.client_id
            and form.get("client_secret") == self.client_secret
        )
        if not good:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {"token_type": "Bearer", "expires_in": 3600, "access_token": self.sign(self.person)}
        )
