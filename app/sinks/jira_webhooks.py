"""Jira's webhooks: what people do to an issue, as commands; what we did ourselves is no news.

Only webhooks that an administrator makes are signed. Shapes: the vendor's pages on webhooks of the
Jira Cloud platform.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.core.errors import Unauthenticated
from app.core.returned import Returned

SIGNATURE = "x-hub-signature"
IDENTIFIER = "x-atlassian-webhook-identifier"  # the same at each repetition
LONGEST = 10_000  # characters of a note
LABEL = re.compile(r"^[A-Za-z0-9_.]+-(inc_[A-Za-z0-9_]+)$")  # ``label_of`` a thread
OURS = re.compile(r"\[[\w.-]+:inc_\w+/\w+/\d+\]\s*$")  # the mark at the end of our comments
DESK = "service_desk"  # in other projects every comment claims to be public

_Data = Mapping[str, Any]
_Said = tuple[str, dict[str, Any]]  # a command and its body


class JiraWebhooks:
    """Implements ``core.returned.Returns``.

    ``secrets``: old and new while one is renewed. ``account_id`` is who writes for us there.
    """

    def __init__(self, secrets: Sequence[str], account_id: str = "") -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._account_id = account_id

    def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Returned]:
        """Check a delivery and say what it asks of us, in its order.

        Raises:
            Unauthenticated: no signature of ours fits.
        """
        given = headers.get(SIGNATURE, "").strip().encode()
        made = [
            f"sha256={hmac.digest(secret, body, hashlib.sha256).hex()}".encode()
            for secret in self._secrets
        ]
        if not sum(hmac.compare_digest(given, one) for one in made):
            raise Unauthenticated("The delivery is not signed as it must be.")
        identity = headers.get(IDENTIFIER, "") or hashlib.sha256(body).hexdigest()
        try:
            return _returned(json.loads(body), identity, self._account_id)
        except (ValueError, KeyError, TypeError, AttributeError):
            return ()  # signed and strange: a refusal would only have it sent again


def _returned(event: _Data, identity: str, ours: str) -> tuple[Returned, ...]:
    issue = event["issue"]
    fields = issue.get("fields") or {}
    comment = event.get("comment") or {}
    actor = comment.get("updateAuthor") or comment.get("author") or event.get("user") or {}
    if actor.get("accountType") == "app" or (ours and actor.get("accountId") == ours):
        return ()
    who = str(actor.get("displayName") or "somebody")
    said = _of_comment(event, fields, who) if comment else _of_changes(event, fields, who)
    root = str(issue.get("self") or "").partition("/rest/")[0]
    items = (event.get("changelog") or {}).get("items") or []
    moved = any(item.get("field") == "Key" for item in items)  # to another project
    key = str(issue["key"])
    return tuple(
        Returned(
            id=f"{identity}/{place}",
            thread=_thread(fields) if moved else "",
            remote_id=key,
            url=f"{root}/browse/{key}" if root else "",
            name=name,
            body=body,
        )
        for place, (name, body) in enumerate(said)
    )


def _thread(fields: _Data) -> str:
    """Our name for the incident; a label that people may change counts only after a move."""
    found = [m[1] for label in fields.get("labels") or [] if (m := LABEL.match(str(label)))]
    return f"sextant:{found[0]}" if len(found) == 1 else ""


def _of_comment(event: _Data, fields: _Data, who: str) -> Iterator[_Said]:
    comment = event["comment"]
    text = _text_of(comment.get("body"))
    if event.get("webhookEvent") != "comment_created" or OURS.search(text) or not text.strip():
        return
    desk = (fields.get("project") or {}).get("projectTypeKey") == DESK
    visibility = "public" if desk and comment.get("jsdPublic") is True else "internal"
    yield "notes", {"text": f"{who} in Jira: {text[:LONGEST]}", "visibility": visibility}


def _of_changes(event: _Data, fields: _Data, who: str) -> Iterator[_Said]:
    if event.get("webhookEvent") == "jira:issue_deleted":
        yield _noted(f"In Jira the issue was deleted by {who}.")
        return
    for item in (event.get("changelog") or {}).get("items") or []:
        before, after = (str(item.get(f"{end}String") or "") for end in ("from", "to"))
        match item.get("field"):
            case "assignee":
                yield "assign", {"assignee": after or None}
            case "status":
                yield _of_status(fields, f"{before} to {after}", who)
            case "Key":
                yield _noted(f"In Jira the issue {before} became {after}, by {who}.")
            case "priority":
                yield _noted(f"In Jira the priority went from {before} to {after}, by {who}.")
            case _:
                pass


def _of_status(fields: _Data, what: str, who: str) -> _Said:
    """Who begins to work on it acknowledges it; any other status is a word and no more."""
    category = ((fields.get("status") or {}).get("statusCategory") or {}).get("key")
    if category == "indeterminate":
        return "acknowledge", {"note": f"In Jira the status went from {what}, by {who}."}
    tail = ", which resolves nothing here" if category == "done" else ""
    return _noted(f"In Jira the status went from {what}, by {who}{tail}.")


def _noted(text: str) -> _Said:
    return "notes", {"text": text[:LONGEST], "visibility": "internal"}


def _text_of(body: Any) -> str:
    """A comment's words: text as it is, or those of a document."""
    if not isinstance(body, Mapping):
        return str(body or "")
    own = str(body.get("text") or "")
    parts = [_text_of(one) for one in body.get("content") or []]
    joint = "\n" if body.get("type") in {"doc", "bulletList", "orderedList"} else ""
    return own + joint.join(parts)
