"""Signing in with the probe account: a token by client credentials, asked for anew each time.

A cached token would hide that sign-in is down, and *token issued, mailbox refuses* is only said
when the token was issued just now.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from app.clients.credentials import Certificate, FederatedToken, assertion
from app.clients.dial import Answer, Trace
from app.clients.errors import VendorError
from app.core.types import Outcome, Symptom
from app.sources.probe.aspects import of_answer
from app.sources.probe.browse import fetch
from app.sources.probe.errand import Errand
from app.sources.probe.settings import ProbeAccount
from app.sources.probe.verdict import Seen, at_fault, departed, diagnostics_of, plain

OK, NOT_FOUND, THROTTLED, ERROR = 200, 404, 429, 500
# What is wrong with our own application or its secret (Entra error codes); the service is not.
OWN_CODES = frozenset(
    {90002, 50059, 700016, 700027, 7000215, 7000216, 7000218, 7000222, 7000112, 700024, 65001}
)
_WORDS = {
    7000222: "the client secret has expired",
    7000215: "the client secret is wrong",
    700027: "the certificate is not registered with the application, or has expired",
}
_CODE = re.compile(r"AADSTS(\d{5,7})")
_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523


class NoToken(Exception):  # noqa: N818 - a fact about the other side
    """No token came; ``seen`` says why."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen.error)
        self.seen = seen


async def token(errand: Errand) -> Seen:
    """Ask for a token with the probe's own credential."""
    try:
        _, seen = await _acquire(errand, errand.trace, account_of(errand).base_url)
    except NoToken as refused:
        return refused.seen
    return seen


def account_of(errand: Errand) -> ProbeAccount:
    """The account that a check signs in with."""
    if errand.account is None:  # settings refuse such a check
        raise LookupError("a check that signs in has no probe_account")
    return errand.account


async def token_for(errand: Errand, resource: str | None = None) -> str:
    """A fresh token for a resource, Graph by default; its time is not the check's.

    Raises:
        NoToken: none came.
    """
    trace = Trace()
    errand.trace.phase = "token"
    bearer, _ = await _acquire(errand, trace, resource or account_of(errand).base_url)
    return bearer


def unsaid(refused: NoToken) -> Seen:
    """Without a token nothing is known of the mailbox; the check of the token tells the rest."""
    seen = refused.seen
    if seen.fault is not None:
        return seen
    text = plain(f"no token, so the mailbox was not asked: {seen.error}")
    return replace(seen, outcome=Outcome.UNKNOWN, symptom=None, error=text, answer={})


async def _acquire(errand: Errand, trace: Trace, resource: str) -> tuple[str, Seen]:
    account = account_of(errand)
    url = f"{account.authority}/{quote(account.tenant_id)}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": account.client_id,
        "scope": f"{resource}/.default",
        **await _proof(account, url),
    }
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "client-request-id": errand.request_id,
        "return-client-request-id": "true",
    }
    body = urlencode(form).encode()
    answer, issuer = await fetch(
        errand, url, method="POST", headers=headers, body=body, trace=trace
    )
    document = _object(answer)
    bearer = document.get("access_token")
    if answer.status != OK or not isinstance(bearer, str) or not bearer:
        raise NoToken(_refusal(answer, document))
    seen = Seen(
        status=answer.status,
        answer=of_answer(url, answer, issuer),
        diagnostics=diagnostics_of(answer),
    )
    return bearer, seen


async def _proof(account: ProbeAccount, url: str) -> dict[str, str]:
    """The fields of a token request that say that we are the application.

    Raises:
        NoToken: the file of the credential cannot be used, which is our own fault.
    """
    if account.secret is not None:
        return {"client_secret": account.secret.get_secret_value()}
    made: Certificate | FederatedToken
    if account.certificate is not None:
        password = account.certificate.password
        made = Certificate(
            account.certificate.file, password.get_secret_value() if password else None
        )
    else:
        made = FederatedToken(account.federated_token_file or "")
    try:
        # Reading a key file takes longer than the loop may stand still.
        signed = await asyncio.to_thread(assertion, made, audience=url, client_id=account.client_id)
    except VendorError as error:
        raise NoToken(at_fault("credential", str(error))) from error
    return {"client_assertion_type": _BEARER, "client_assertion": signed}


def _refusal(answer: Answer, document: Mapping[str, Any]) -> Seen:
    """Say whose fault it is that no token came; our own expired secret accuses nobody else."""
    told = str(document.get("error_description") or document.get("error") or "")
    found = _CODE.search(told)
    code = int(found[1]) if found else 0
    diagnostics = diagnostics_of(answer) | ({"code": f"AADSTS{code}"} if code else {})
    if code in OWN_CODES:
        text = _WORDS.get(code, "the application, its secret or its directory is not right")
        seen = at_fault("credential", f"{text} (AADSTS{code})", status=answer.status)
        return replace(seen, diagnostics=diagnostics)
    by_status = {THROTTLED: Symptom.THROTTLED, NOT_FOUND: Symptom.NOT_FOUND}
    symptom = by_status.get(answer.status, Symptom.AUTH_REJECTED)
    if answer.status >= ERROR:
        symptom = Symptom.HTTP_5XX
    elif answer.status == OK:
        symptom = Symptom.CONTENT_ERROR
    seen = departed(answer, symptom, f"no token: {plain(told)[:120]}".rstrip(": "))
    return replace(seen, diagnostics=diagnostics)


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
