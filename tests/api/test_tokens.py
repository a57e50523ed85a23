"""Access tokens of an issuer: what is taken, and everything that is not."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from app.api.app import create_api
from app.clients.oidc import Provider
from app.doors import provider_of
from app.flow.issuer_settings import IssuerSettings
from app.flow.tokens import Tokens
from tests.api.conftest import OTHER, URL, Context
from tests.builders import NOW, TENANT
from tests.standins.ca import create
from tests.standins.issuer import Issuer, new_key
from tests.standins.server import serving

DIRECTORY = "11111111-1111-1111-1111-111111111111"
AT = int(NOW.timestamp())
KEYS = {"one": new_key(), "foreign": new_key()}  # making them takes half a second
STRANGER = new_key()
Claims = dict[str, Any]


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    files = create(tmp_path / "ca")
    made = Issuer(keys=dict(KEYS), directory=DIRECTORY)
    async with serving(Starlette(routes=made.routes()), files) as root:
        made.root = root.replace("127.0.0.1", "localhost")
        made.key_issuers["foreign"] = f"{made.root}/another/v2.0"
        yield made


def settings(stand_in: Issuer, tmp_path: Path, **more: Any) -> IssuerSettings:
    return IssuerSettings.model_validate(
        {
            "name": "entra",
            "issuer": stand_in.issuer,
            "audiences": ["api://sextant"],
            "directories": [DIRECTORY],
            "clients": ["robot", "console"],
            "version": "2.0",
            "delegated_scope": "access",
            "ca_file": tmp_path / "ca" / "ca.pem",
            "grants": [
                {"role": "Sextant.Read", "tenants": [TENANT], "scopes": ["incidents:read"]},
                {"role": "Sextant.Operate", "tenants": [TENANT, OTHER], "scopes": ["admin"]},
                {"role": "Sextant.All", "tenants": ["*"], "scopes": ["incidents:read"]},
                {"group": "ops", "tenants": [OTHER], "scopes": ["incidents:write"]},
            ],
            **more,
        }
    )


@pytest.fixture
def api(world: Context, issuer: Issuer, tmp_path: Path) -> FastAPI:
    world.tokens = Tokens([settings(issuer, tmp_path)], world.clock, provider=provider_of)
    return create_api(world)


def claims(issuer: Issuer, **changes: Any) -> Claims:
    """What Entra puts into the token of a program; a change to None takes a claim away."""
    made = {
        "iss": issuer.issuer, "aud": "api://sextant", "tid": DIRECTORY, "ver": "2.0",
        "azp": "robot", "oid": "0b7e", "sub": "0b7e", "roles": ["Sextant.Read"],
        "iat": AT - 10, "nbf": AT - 10, "exp": AT + 3600, **changes,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


async def ask(api: FastAPI, token: str, path: str = "/v1/incidents", **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(api, client=("192.0.2.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        return await client.request(more.pop("method", "GET"), path, headers=headers, **more)


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(header: Any, body: Any, signature: bytes = b"x") -> str:
    return f"{part(header)}.{part(body)}.{part(signature)}"


def by_hmac(issuer: Issuer) -> str:
    """The classic: the public key taken for the secret of an HMAC."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.keys["one"].public_key()).encode()
    head = f"{part({'alg': 'HS256', 'kid': 'one', 'typ': 'JWT'})}.{part(claims(issuer))}"
    return f"{head}.{part(hmac.new(public, head.encode(), hashlib.sha256).digest())}"


def changed(issuer: Issuer) -> str:
    head, _, signature = issuer.sign(claims(issuer)).split(".")
    return f"{head}.{part(claims(issuer, roles=['Sextant.Operate']))}.{signature}"


def signed_by_a_stranger(issuer: Issuer) -> str:
    return jwt.encode(claims(issuer), STRANGER, algorithm="RS256", headers={"kid": "one"})


def algorithm(name: str) -> Callable[[Issuer], str]:
    return lambda i: jwt.encode(claims(i), i.keys["one"], algorithm=name, headers={"kid": "one"})


def saying(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.sign(claims(issuer, **changes))


def headed(**header: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.sign(claims(issuer), **header)


PERSON = {"scp": "access", "azp": "console", "roles": ["Sextant.Read"]}
BAD: dict[str, Callable[[Issuer], str]] = {
    "no signature at all": lambda i: unsigned({"alg": "none", "kid": "one"}, claims(i), b"-"),
    "an empty signature": lambda i: unsigned({"alg": "none", "kid": "one"}, claims(i), b""),
    "alg nOnE": lambda i: unsigned({"alg": "nOnE", "kid": "one"}, claims(i)),
    "an HMAC with the public key": by_hmac,
    "an algorithm that is not listed": algorithm("RS512"),
    "PSS instead": algorithm("PS256"),
    "claims changed after signing": changed,
    "a stranger's key under a known id": signed_by_a_stranger,
    "a key of another issuer": lambda i: i.sign(claims(i), "foreign"),
    "an unknown key id": lambda i: i.sign(claims(i), kid="one").replace(
        i.sign(claims(i), kid="one").split(".")[0],
        part({"alg": "RS256", "kid": "two", "typ": "JWT"}),
    ),
    "the id of a shared secret": lambda i: unsigned({"alg": "HS256", "kid": "shared"}, claims(i)),
    "no key id": lambda i: unsigned({"alg": "RS256", "typ": "JWT"}, claims(i)),
    "a critical header": headed(crit=["exp"]),
    "keys from elsewhere": headed(jku="https://attacker.example/keys"),
    "another type": headed(typ="logout+jwt"),
    "another issuer": saying(iss="https://login.microsoftonline.com/other/v2.0"),
    "the issuer with a slash more": lambda i: i.sign(claims(i, iss=i.issuer + "/")),
    "a v1 issuer": saying(iss=f"https://sts.windows.net/{DIRECTORY}/", ver="1.0"),
    "a v1 token": saying(ver="1.0"),
    "no version": saying(ver=None),
    "another audience": saying(aud="https://graph.microsoft.com"),
    "no audience": saying(aud=None),
    "a list of other audiences": saying(aud=["api://a", "api://b"]),
    "an audience that only begins like ours": saying(aud="api://sextant.example"),
    "another directory": saying(tid="22222222-2222-2222-2222-222222222222"),
    "no directory": saying(tid=None),
    "expired": saying(exp=AT - 61),
    "no end": saying(exp=None),
    "an end that is text": saying(exp=str(AT + 3600)),
    "an end that is true": saying(exp=True),
    "not yet valid": saying(nbf=AT + 61),
    "made in the future": saying(iat=AT + 120),
    "a program that is not listed": saying(azp="stranger"),
    "no program": saying(azp=None),
    "an ID token": saying(nonce="n", azp=None),
    "an ID token of a listed program": saying(nonce="n"),
    "no roles": saying(roles=None),
    "roles that open nothing": saying(roles=["Other.Role"]),
    "roles as text": saying(roles="Sextant.Read"),
    "a program with a group": saying(roles=None, groups=["ops"]),
    "a person with another scope": saying(**{**PERSON, "scp": "openid profile"}),
    "a program that claims a person's scope": saying(**PERSON, idtyp="app"),
    "no subject": saying(oid=None),
    "claims that are a list": lambda i: unsigned({"alg": "RS256", "kid": "one"}, [1]),
    "a header that is no JSON": lambda i: f"{part(b'{')}.{part(claims(i))}.{part(b'x')}",
    "padding": lambda i: i.sign(claims(i)) + "=",
    "a fourth part": lambda i: i.sign(claims(i)) + ".x",
    "too long": saying(filler="x" * 20_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_opens_nothing(api: FastAPI, issuer: Issuer, name: str) -> None:
    answer = await ask(api, BAD[name](issuer))
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= 30


async def test_a_program_has_what_its_role_opens(api: FastAPI, issuer: Issuer) -> None:
    token = issuer.sign(claims(issuer))
    assert (await ask(api, token)).status_code == 200
    assert (await ask(api, token, "/v1/keys")).status_code == 403
    other = await ask(api, token, params={"tenant": OTHER})
    assert other.status_code == 403
    assert issuer.asked == 1  # its keys are read once
    for late in (AT - 59, AT + 30):
        near = issuer.sign(claims(issuer, exp=late, nbf=min(late, AT), iat=None))
        assert (await ask(api, near)).status_code == 200
    listed = issuer.sign(claims(issuer, aud=["api://other", "api://sextant"], typ=None))
    assert (await ask(api, listed)).status_code == 200


async def test_scopes_are_those_of_the_tenant_that_is_named(api: FastAPI, issuer: Issuer) -> None:
    person = claims(issuer, **{**PERSON, "roles": ["Sextant.Read"], "groups": ["ops"]}, name="Anna")
    token = issuer.sign(person)
    body = {"title": "x", "services": ["viva"], "severity": "minor"}

    async def opens(tenant: str) -> httpx.Response:
        headers = {"sextant-tenant": tenant}
        return await ask(api, token, method="POST", json=body, headers=headers)

    assert (await opens(TENANT)).status_code == 403
    made = await opens(OTHER)
    assert made.status_code == 201, made.text
    seen = await ask(api, token)
    assert seen.status_code == 403  # neither tenant is named, and nothing is held in both
    assert (await ask(api, token, params={"tenant": OTHER})).status_code == 200
    operator = issuer.sign(claims(issuer, roles=["Sextant.Operate"], oid="0pe7"))
    told = await ask(api, operator, "/v1/audit", params={"tenant": OTHER})
    (entry,) = told.json()["items"]
    assert entry["actor"] == {"kind": "token", "id": "entra:0b7e", "name": "Anna"}
    everywhere = issuer.sign(claims(issuer, roles=["Sextant.All"]))
    assert (await ask(api, everywhere)).json()["items"][0]["tenant"] == OTHER


async def test_many_directories_may_share_one_application(
    world: Context, issuer: Issuer, tmp_path: Path
) -> None:
    template = issuer.issuer.replace(DIRECTORY, "{tenantid}")
    made = settings(
        issuer, tmp_path, issuer=template, directories=[DIRECTORY, "second"],
        metadata_url=f"{issuer.issuer}/.well-known/openid-configuration",
    )  # fmt: skip
    world.tokens = Tokens([made], world.clock, provider=provider_of)
    api = create_api(world)
    issuer.directory = "{tenantid}"  # as Entra's metadata for several directories says
    issuer.key_issuers = {"one": template}
    answers = {}
    for directory in (DIRECTORY, "second", "third"):
        token = issuer.sign(
            claims(issuer, iss=template.replace("{tenantid}", directory), tid=directory)
        )
        answers[directory] = (await ask(api, token)).status_code
    assert answers == {DIRECTORY: 200, "second": 200, "third": 401}
    crossed = issuer.sign(claims(issuer, iss=template.replace("{tenantid}", "second")))
    assert (await ask(api, crossed)).status_code == 401


async def test_keys_are_kept_while_the_issuer_is_down_and_asked_for_seldom(
    issuer: Issuer, tmp_path: Path
) -> None:
    clock = [0.0]
    provider = Provider(
        issuer=issuer.issuer, ca_file=tmp_path / "ca" / "ca.pem", monotonic=lambda: clock[0]
    )
    assert await provider.key("one") is not None
    for number in range(20):
        assert await provider.key(f"guess {number}") is None
    assert issuer.asked == 1
    clock[0] = 301.0
    issuer.keys["two"] = KEYS["one"]
    assert await provider.key("two") is not None
    assert issuer.asked == 2
    issuer.broken = True
    clock[0] = 25 * 3600.0
    assert await provider.key("one") is not None  # the last good ones
    assert issuer.asked == 3


async def test_an_issuer_that_was_never_reached_is_asked_again_later(
    api: FastAPI, issuer: Issuer
) -> None:
    issuer.broken = True
    answer = await ask(api, issuer.sign(claims(issuer)))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_metadata_of_another_issuer_is_not_believed(issuer: Issuer, tmp_path: Path) -> None:
    provider = Provider(
        issuer="https://login.example/v2.0",
        metadata_url=f"{issuer.issuer}/.well-known/openid-configuration",
        ca_file=tmp_path / "ca" / "ca.pem",
    )
    with pytest.raises(Exception, match="cannot be read"):
        await provider.key("one")
