"""Vendor HTML is made safe once, and its text can be read by people and by patterns."""

import pytest

from app.kit.html import escaped, plain_text, safe_html, tidy


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>hello",
        "<img src=x onerror=alert(1)>hello",
        "<style>p{display:none}</style>hello",
        "<svg onload=alert(1)></svg>hello",
        '<p onclick="x()" style="position:fixed">hello</p>',
        '<iframe src="https://evil.example"></iframe>hello',
        "<!-- <script>alert(1)</script> -->hello",
    ],
)
def test_nothing_that_runs_loads_or_hides_survives(hostile: str) -> None:
    made = safe_html(hostile)
    assert "hello" in made
    for word in ("script", "alert", "onerror", "onload", "onclick", "style", "iframe", "src", "<!"):
        assert word not in made


def test_links_keep_only_a_harmless_target() -> None:
    made = safe_html('<a href="https://learn.example/x" target="_blank" style="x">read</a>')
    assert made == '<a href="https://learn.example/x" rel="noopener noreferrer nofollow">read</a>'
    assert "href" not in safe_html('<a href="javascript:alert(1)">read</a>')
    assert "href" not in safe_html('<a href="/relative">read</a>')


def test_plain_text_that_is_called_html_keeps_its_lines() -> None:
    assert safe_html("Title: a\n\nStatus: b") == "Title: a<br>\n<br>\nStatus: b"
    assert plain_text("Title: a\n\nStatus: b") == "Title: a\n\nStatus: b"


def test_block_tags_become_line_breaks_and_entities_characters() -> None:
    html = "<p>User&nbsp;impact: a &lt; b &amp; c</p><ul><li>one</li><li>two</li></ul>x<br>y"
    assert plain_text(html) == "User impact: a < b & c\n\none\n\ntwo\n\nx\ny"


def test_text_keeps_what_only_looks_like_a_tag() -> None:
    assert plain_text("latency <5 ms & rising") == "latency <5 ms & rising"
    assert plain_text("&lt;script&gt; is shown") == "<script> is shown"


def test_escaped_text_shows_as_it_is() -> None:
    assert escaped("a <b>\n'c'") == "a &lt;b&gt;<br>\n&#x27;c&#x27;"


def test_control_characters_and_broken_pairs_are_dropped() -> None:
    assert tidy("a\x00b\ud800c\r\nd\re\x9f") == "abc\nd\ne"
    assert plain_text("a\x00\ud800b") == "ab"
    assert safe_html("a\x07b") == "ab"


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "<", "</", "<p", "&", "&#xD800;", "<p><p><p>"])
def test_broken_markup_breaks_nothing(text: str) -> None:
    assert isinstance(safe_html(text), str)
    assert isinstance(plain_text(text), str)


def test_the_sanitized_form_is_stable() -> None:
    once = safe_html("<div>a<br/>b <b>c</div>")
    assert safe_html(once) == once
