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
ACCOUNT = re.compile(
    r"(?<![\w\\:])[A-Za-z][A-Za-z0-9_.-]{1,20}\\(?=[A-Za-z])[A-Za-z0-9._-]{2,40}(?![\w\\])"
)
PROFILE = re.compile(r"(?i)(\\Users\\|/(?:home|Users)/)[^\\/\s\"'<>|]{1,64}")
IPV4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.]*\d)"
)
IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{1,4}:){7})"
    r"(?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
PERSONAL = re.compile(r"\\|/(?:home|Users)/|\d\.\d|[0-9A-Fa-f]:")
SUSPECT = re.compile(r"@|eyJ|[?#]|-|earer|asic|EARER|ASIC|[\x00-\x08\x0b-\x1f\x7f]")


def scrub(text: str, limit: int, *, of_people: bool = False) -> str:
    r"""Take mail addresses, tokens, GUIDs and query strings out of a text and cut it.

    A GUID that is called a request id stays: support cases need it. ``limit`` is in characters.
    ``of_people`` takes out network addresses, accounts (``DOMAIN\name``) and the names in paths
    of profiles as well; what a machine measured keeps them, for they are the vendor's.
    """
    if of_people and PERSONAL.search(text):
        text = PROFILE.sub(r"\1<user>", text)
        text = ACCOUNT.sub("<user>", text)
        text = IPV4.sub("<address>", text)
        text = IPV6.sub("<address>", text)
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
