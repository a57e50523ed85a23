"""The session cookie and the tokens of forms."""

from datetime import timedelta

import pytest

from app.web.session import (
    SESSION_LIFE,
    form_token,
    host_is_ours,
    is_form_token,
    is_own_path,
    seal,
    unseal,
)
from tests.builders import NOW

SECRET = b"s" * 32


def test_a_session_names_its_key_until_it_ends() -> None:
    cookie = seal(SECRET, "key_1", now=NOW)
    assert unseal(SECRET, cookie, now=NOW) == "key_1"
    assert unseal(SECRET, cookie, now=NOW + SESSION_LIFE - timedelta(seconds=1)) == "key_1"
    assert unseal(SECRET, cookie, now=NOW + SESSION_LIFE) is None


@pytest.mark.parametrize("cookie", [None, "", ".", "a.b", "WyJrZXkiLDFd.", "é.é"])
def test_a_cookie_that_is_not_ours_opens_nothing(cookie: str | None) -> None:
    assert unseal(SECRET, cookie, now=NOW) is None


def test_a_changed_or_foreign_cookie_opens_nothing() -> None:
    cookie = seal(SECRET, "key_1", now=NOW)
    assert unseal(SECRET, "A" + cookie[1:], now=NOW) is None
    assert unseal(b"other", cookie, now=NOW) is None


def test_a_form_token_belongs_to_one_browser() -> None:
    token = form_token(SECRET, "seed")
    assert is_form_token(SECRET, "seed", token)
    assert not is_form_token(SECRET, "other", token)
    assert not is_form_token(SECRET, None, token)
    assert not is_form_token(SECRET, "seed", None)
    assert not is_form_token(SECRET, "seed", "é")


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("[::1]:8000", True),
        ("console.example:443", True),
        ("evil.example:8000", False),
        ("", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_only_this_machine_s_names_open_an_open_console(host: str, ours: bool) -> None:  # noqa: FBT001
    assert host_is_ours(host, "https://console.example") is ours


@pytest.mark.parametrize(
    ("path", "own"),
    [("/", True), ("/incidents/inc_1", True), ("//evil", False), ("/\\evil", False),
     ("https://evil", False), ("/a\nb", False), ("", False)],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(path: str, own: bool) -> None:  # noqa: FBT001
    assert is_own_path(path) is own
