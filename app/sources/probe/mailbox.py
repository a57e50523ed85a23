"""Questions with a credential: a token, the probe mailbox, a mail round trip, free and busy times.

The token is asked for anew each time: a cached one would hide that sign-in is down, and *token
issued, mailbox refuses* is only said when the token was issued just now.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from app.clients.dial import Answer, Trace
from app.core.types import Outcome, Symptom
from app.sources.probe.aspects import of_answer
from app.sources.probe.browse import fetch
from app.sources.probe.errand import Errand
from app.sources.probe.settings import ProbeAccount
from app.sources.probe.verdict import Seen, at_fault, departed, diagnostics_of, plain

OK, ACCEPTED, REFUSED, FORBIDDEN, NOT_FOUND, THROTTLED, ERROR = 200, 202, 401, 403, 404, 429, 500
# What is wrong with our own application or its secret (Entra error codes); the service is not.
OWN_CODES = frozenset(
    {90002, 50059, 700016, 700027, 7000215, 7000216, 7000218, 7000222, 7000112, 700024, 65001}
)
_EXPIRED, _WRONG = 7000222, 7000215
_CODE = re.compile(r"AADSTS(\d{5,7})")
MARK = "Sextant probe"  # begins the subject of a round trip
POLLS = (1.0, 2.0, 3.0, 5.0)  # seconds between looks for the mail; the last one repeats
SWEPT = 10  # mails of earlier round trips that are deleted at once


class _NoToken(Exception):  # noqa: N818 - a fact about the other side
    """No token came; ``seen`` says why."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen.error)
        self.seen = seen


async def token(errand: Errand) -> Seen:
    """Ask for a token with the probe's own credential."""
    try:
        _, seen = await _acquire(errand, errand.trace)
    except _NoToken as refused:
        return refused.seen
    return seen


async def inbox(errand: Errand) -> Seen:
    """Read the inbox of the probe mailbox."""
    account = _account(errand)
    path = f"users/{quote(account.mailbox)}/mailFolders/inbox?$select=id,unreadItemCount"
    try:
        answer, issuer = await _graph(errand, await _token_for(errand), "GET", path)
    except _NoToken as refused:
        return _unsaid(refused)
    return _judged(errand, path, answer, issuer, needs="id")


async def free_busy(errand: Errand) -> Seen:
    """Ask for the free and busy times of the probe mailbox."""
    account = _account(errand)
    path = f"users/{quote(account.mailbox)}/calendar/getSchedule"
    until = errand.now + timedelta(hours=1)
    wish = {
        "schedules": [account.mailbox],
        "startTime": {"dateTime": f"{errand.now:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
        "endTime": {"dateTime": f"{until:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
        "availabilityViewInterval": 60,
    }
    try:
        answer, issuer = await _graph(errand, await _token_for(errand), "POST", path, wish)
    except _NoToken as refused:
        return _unsaid(refused)
    seen = _judged(errand, path, answer, issuer, needs="value")
    if seen.outcome is not Outcome.OK:
        return seen
    failure = next((s["error"] for s in _list(answer) if s.get("error")), None)
    if failure is not None:
        told = failure.get("message") or failure.get("responseCode") or "no schedule"
        return departed(answer, Symptom.CONTENT_ERROR, f"no free and busy times: {told}")
    return seen


async def round_trip(errand: Errand) -> Seen:
    """Send a mail from the probe mailbox to its partner, wait until it is there, and delete it."""
    account = _account(errand)
    partner = account.partner or account.mailbox
    subject = f"{MARK} {errand.request_id}"
    mail = {
        "message": {
            "subject": subject,
            "body": {"contentType": "Text", "content": "A check of mail flow; deleted on arrival."},
            "toRecipients": [{"emailAddress": {"address": partner}}],
        },
        "saveToSentItems": False,
    }
    try:
        bearer = await _token_for(errand)
        path = f"users/{quote(account.mailbox)}/sendMail"
        answer, issuer = await _graph(errand, bearer, "POST", path, mail)
    except _NoToken as refused:
        return _unsaid(refused)
    seen = _judged(errand, path, answer, issuer, needs=None)
    if seen.outcome is not Outcome.OK:
        return seen
    loop = asyncio.get_running_loop()
    began, limit = loop.time(), errand.settings.arrival_seconds / errand.pace
    looks = 0
    while loop.time() - began < limit:
        await asyncio.sleep(POLLS[min(looks, len(POLLS) - 1)] / errand.pace)
        looks += 1
        arrived, seen_there = await _look_for(errand, bearer, partner, subject)
        if seen_there is not None:
            return seen_there
        if arrived:
            took = round((loop.time() - began) * errand.pace * 1000)
            told = seen.diagnostics | {"arrival_ms": str(took)}
            return replace(seen, diagnostics=told)
    text = f"accepted, and not arrived within {errand.settings.arrival_seconds:g} s"
    return replace(
        seen, outcome=Outcome.FAILED, symptom=Symptom.MAIL_DELAYED, error=text, answer={}
    )


async def _look_for(
    errand: Errand, bearer: str, partner: str, subject: str
) -> tuple[bool, Seen | None]:
    """Look into the partner's inbox and delete what is ours; tells when the inbox refuses."""
    wanted = urlencode(
        {
            "$filter": f"startswith(subject,'{MARK}')",
            "$select": "id,subject",
            "$top": str(SWEPT),
        },
        quote_via=quote,
        safe="$,'()",
    )
    path = f"users/{quote(partner)}/mailFolders/inbox/messages?{wanted}"
    answer, issuer = await _graph(errand, bearer, "GET", path, trace=Trace())
    if answer.status != OK:
        return False, _judged(errand, path, answer, issuer, needs=None)
    arrived = False
    for mail in _list(answer):
        arrived = arrived or mail.get("subject") == subject
        gone = f"users/{quote(partner)}/messages/{quote(str(mail.get('id')))}"
        await _graph(errand, bearer, "DELETE", gone, trace=Trace())
    return arrived, None


def _account(errand: Errand) -> ProbeAccount:
    if errand.account is None:  # settings refuse such a check
        raise LookupError("a check that signs in has no probe_account")
    return errand.account


async def _token_for(errand: Errand) -> str:
    trace = Trace()
    errand.trace.phase = "token"
    bearer, _ = await _acquire(errand, trace)
    return bearer


async def _acquire(errand: Errand, trace: Trace) -> tuple[str, Seen]:
    account = _account(errand)
    url = f"{account.authority}/{quote(account.tenant_id)}/oauth2/v2.0/token"
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": account.client_id,
            "client_secret": account.secret.get_secret_value(),
            "scope": f"{account.base_url}/.default",
        }
    ).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "client-request-id": errand.request_id,
        "return-client-request-id": "true",
    }
    answer, issuer = await fetch(
        errand, url, method="POST", headers=headers, body=form, trace=trace
    )
    document = _object(answer)
    bearer = document.get("access_token")
    if answer.status != OK or not isinstance(bearer, str) or not bearer:
        raise _NoToken(_refusal(answer, document))
    seen = Seen(
        status=answer.status,
        answer=of_answer(url, answer, issuer),
        diagnostics=diagnostics_of(answer),
    )
    return bearer, seen


def _refusal(answer: Answer, document: Mapping[str, Any]) -> Seen:
    """Say whose fault it is that no token came; our own expired secret accuses nobody else."""
    told = str(document.get("error_description") or document.get("error") or "")
    found = _CODE.search(told)
    code = int(found[1]) if found else 0
    diagnostics = diagnostics_of(answer) | ({"code": f"AADSTS{code}"} if code else {})
    if code in OWN_CODES:
        what = {_EXPIRED: "the client secret has expired", _WRONG: "the client secret is wrong"}
        text = what.get(code, "the application, its secret or its directory is not right")
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


def _unsaid(refused: _NoToken) -> Seen:
    """Without a token nothing is known of the mailbox; the check of the token tells the rest."""
    seen = refused.seen
    if seen.fault is not None:
        return seen
    text = plain(f"no token, so the mailbox was not asked: {seen.error}")
    return replace(seen, outcome=Outcome.UNKNOWN, symptom=None, error=text, answer={})


async def _graph(
    errand: Errand,
    bearer: str,
    method: str,
    path: str,
    wish: Mapping[str, Any] | None = None,
    *,
    trace: Trace | None = None,
) -> tuple[Answer, str | None]:
    body = b"" if wish is None else json.dumps(wish).encode()
    headers = {
        "Authorization": f"Bearer {bearer}",
        "Accept": "application/json",
        "client-request-id": errand.request_id,
        "return-client-request-id": "true",
    }
    if body:
        headers["Content-Type"] = "application/json"
    url = f"{_account(errand).base_url}/v1.0/{path}"
    return await fetch(errand, url, method=method, headers=headers, body=body, trace=trace)


def _judged(
    errand: Errand, path: str, answer: Answer, issuer: str | None, *, needs: str | None
) -> Seen:
    """Say what the mailbox's answer to a fresh token means."""
    document = _object(answer)
    code = str((document.get("error") or {}).get("code") or "") if document else ""
    told = diagnostics_of(answer) | {"token": "issued"} | ({"code": plain(code)} if code else {})
    if answer.status in (OK, ACCEPTED) and (needs is None or document.get(needs) is not None):
        aspects = of_answer(path, answer, issuer)
        return Seen(status=answer.status, answer=aspects, diagnostics=told)
    never = not errand.memory.reached
    if answer.status == FORBIDDEN and never:
        text = f"the application may not do this to the probe mailbox ({code or 403})"
        seen = at_fault("permission", text, status=answer.status)
    elif answer.status == NOT_FOUND and never:
        seen = at_fault("settings", f"no such probe mailbox ({code or 404})", status=answer.status)
    else:
        by_status = {
            REFUSED: Symptom.AUTH_REJECTED, FORBIDDEN: Symptom.AUTH_REJECTED,
            NOT_FOUND: Symptom.NOT_FOUND, THROTTLED: Symptom.THROTTLED,
        }  # fmt: skip
        by_class = Symptom.HTTP_5XX if answer.status >= ERROR else Symptom.CONTENT_ERROR
        symptom = by_status.get(answer.status, by_class)
        seen = departed(answer, symptom, f"token issued, mailbox refuses {plain(code)}".rstrip())
    return replace(seen, diagnostics=told)


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _list(answer: Answer) -> list[dict[str, Any]]:
    found = _object(answer).get("value")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
