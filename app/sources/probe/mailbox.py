"""Questions with a credential, over Graph: the probe mailbox, a round trip, free and busy times."""

import asyncio
import json
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
from app.sources.probe.signin import NoToken, account_of, token_for, unsaid
from app.sources.probe.verdict import Seen, at_fault, departed, diagnostics_of, plain

OK, ACCEPTED, REFUSED, FORBIDDEN, NOT_FOUND, THROTTLED, ERROR = 200, 202, 401, 403, 404, 429, 500
MARK = "Sextant probe"  # begins the subject of a round trip
POLLS = (1.0, 2.0, 3.0, 5.0)  # seconds between looks for the mail; the last one repeats
SWEPT = 10  # mails of earlier round trips that are deleted at once


async def inbox(errand: Errand) -> Seen:
    """Read the inbox of the probe mailbox."""
    account = account_of(errand)
    path = f"users/{quote(account.mailbox)}/mailFolders/inbox?$select=id,unreadItemCount"
    try:
        answer, issuer = await _graph(errand, await token_for(errand), "GET", path)
    except NoToken as refused:
        return unsaid(refused)
    return _judged(errand, path, answer, issuer, needs="id")


async def free_busy(errand: Errand) -> Seen:
    """Ask for the free and busy times of the probe mailbox."""
    account = account_of(errand)
    path = f"users/{quote(account.mailbox)}/calendar/getSchedule"
    until = errand.now + timedelta(hours=1)
    wish = {
        "schedules": [account.mailbox],
        "startTime": {"dateTime": f"{errand.now:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
        "endTime": {"dateTime": f"{until:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
        "availabilityViewInterval": 60,
    }
    try:
        answer, issuer = await _graph(errand, await token_for(errand), "POST", path, wish)
    except NoToken as refused:
        return unsaid(refused)
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
    account = account_of(errand)
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
        bearer = await token_for(errand)
        path = f"users/{quote(account.mailbox)}/sendMail"
        answer, issuer = await _graph(errand, bearer, "POST", path, mail)
    except NoToken as refused:
        return unsaid(refused)
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
    url = f"{account_of(errand).base_url}/v1.0/{path}"
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
