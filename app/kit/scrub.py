"""Scrubbing: personal data and secrets are taken out of free text before it is kept."""

import re

MAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}")
BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
GUID = re.compile(
    r"(?i)(request[ _-]?id\W{0,4})?\{?\b"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b\}?"
)
QUERY = re.compile(r"(?i)(\bhttps?://[^\s?#\"'<>]{1,2048})[?#][^\s\"'<>]*")
CREDENTIALS = re.compile(r"(?i)(\bhttps?://)[^\s/@]{1,256}@")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
SUSPECT = re.compile(r"@|eyJ|[?#]|-|earer|asic|EARER|ASIC|[\x00-\x08\x0b-\x1f\x7f]")


def scrub(text: str, limit: int) -> str:
    """Take mail addresses, tokens, GUIDs and query strings out of a text and cut it.

    A GUID that is called a request id stays: support cases need it. ``limit`` is in characters.
    """
    if SUSPECT.search(text):
        text = CONTROL.sub(" ", text)
        text = TOKEN.sub("<token>", text)
        text = BEARER.sub(r"\1 <token>", text)
        text = CREDENTIALS.sub(r"\1", text)
        text = QUERY.sub(r"\1", text)
        text = MAIL.sub("<mail>", text)
        text = GUID.sub(lambda match: match[0] if match[1] else "<id>", text)
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
