"""HTML from strangers: made safe once, when it comes in, and turned into plain text."""

import html as entities
import re

import nh3

_TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "em", "h3", "h4", "h5", "h6", "hr", "i", "li",
    "ol", "p", "pre", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr",
    "u", "ul",
}  # fmt: skip
_BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section",
    "table", "td", "th", "tr", "ul",
}  # fmt: skip
_DROPPED = {"script", "style", "title", "template", "noscript", "iframe", "object", "svg", "math"}
_BLOCK = re.compile(rf"</?(?:{'|'.join(sorted(_BLOCKS))})\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_SPACES = re.compile(r"[^\S\n]+")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_GAPS = re.compile(r"\n{3,}")

# Built once: nh3's Cleaner compiles its lists. Images are left out, because a remote one tells its
# host who reads; styles, because they can hide or cover text.
_SAFE = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags=_DROPPED,
    attributes={"a": {"href"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)
_BARE = nh3.Cleaner(
    tags=_BLOCKS,
    clean_content_tags=_DROPPED,
    attributes={},
    strip_comments=True,
)


def safe_html(html: str) -> str:
    """Keep a small set of tags and the targets of links; nothing that runs, loads or hides.

    Text without any block tag keeps its line breaks, because some senders call plain text HTML.
    """
    cleaned = _SAFE.clean(_printable(html)).strip()
    if not _BLOCK.search(cleaned):
        return cleaned.replace("\n", "<br>\n")
    return cleaned


def plain_text(html: str) -> str:
    """Give the text alone: block tags and newlines become line breaks, entities are decoded.

    The answer may hold ``<`` and must be escaped wherever it is shown as HTML.
    """
    bare = _BARE.clean(_printable(html))
    return tidy(entities.unescape(_TAG.sub("", _BLOCK.sub("\n", bare))))


def escaped(text: str) -> str:
    """Turn plain text into HTML that shows it as it is, line breaks included."""
    return entities.escape(_printable(text)).replace("\n", "<br>\n")


def tidy(text: str) -> str:
    """Collapse runs of blanks and of empty lines, and trim each line."""
    lines = _SPACES.sub(" ", _printable(text)).split("\n")
    return _GAPS.sub("\n\n", "\n".join(line.strip() for line in lines)).strip()


def _printable(text: str) -> str:
    """Unify line ends; drop control characters and halves of surrogate pairs."""
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
