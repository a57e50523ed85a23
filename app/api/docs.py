"""The pages for people: ``/docs`` lists the operations, ``/problems/…`` explains an error.

FastAPI's own page loads its scripts from elsewhere, which an installation without a way out
cannot; this one is plain HTML.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.api.openapi import operations
from app.api.problems import STATUS, kebab
from app.core.errors import NotFound

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
color:#1c2430}
h2{margin-top:2.5rem;border-bottom:1px solid #d5dbe3}code{font:14px ui-monospace,monospace}
li{margin:.6rem 0;list-style:none}ul{padding:0}.m{display:inline-block;min-width:4.2rem;
font-weight:700}.s{color:#5b6675;font-size:.9rem}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#e4e9f0}
h2{border-color:#333c48}.s{color:#9aa7b8}a{color:#8ab8ff}}
"""
# The one style of these pages by its digest, so that no other is allowed.
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CACHED = {"cache-control": "no-cache", "content-security-policy": (
    f"default-src 'none'; style-src 'sha256-{DIGEST}'; frame-ancestors 'none'"
)}  # fmt: skip
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>{title}</title>'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """List the operations of the API by resource."""
    return HTMLResponse(_docs(request.app.openapi()), headers=CACHED)


@router.get("/problems/{name}")
async def explain_problem(name: str) -> HTMLResponse:
    """Explain one kind of problem; its ``type`` points here."""
    kinds = {kebab(cls.__name__): (cls, status) for cls, status in STATUS.items()}
    found = kinds.get(name)
    if found is None:
        raise NotFound
    cls, status = found
    body = f"<p>Status <code>{status}</code>.</p><p>{escape(cls.__doc__ or '')}</p>"
    return HTMLResponse(_page(cls.title, body), headers=CACHED)


def _docs(document: Mapping[str, Any]) -> str:
    listed = sorted(operations(dict(document)), key=lambda entry: (_tag(entry[2]), entry[0]))
    parts = [
        f"<p>{escape(document['info'].get('description') or '')}</p>",
        '<p>The whole contract is <a href="/openapi.json"><code>/openapi.json</code></a>.</p>',
    ]
    for tag, entries in groupby(listed, key=lambda entry: _tag(entry[2])):
        lines = "".join(_line(path, method, operation) for path, method, operation in entries)
        parts.append(f"<h2>{escape(tag)}</h2><ul>{lines}</ul>")
    kinds = "".join(
        f"<li><code>{escape(kind)}</code> {escape(item['post']['summary'])}</li>"
        for kind, item in document["webhooks"].items()
    )
    parts.append(f"<h2>events</h2><ul>{kinds}</ul>")
    return _page(document["info"]["title"], "".join(parts))


def _tag(operation: Mapping[str, Any]) -> str:
    tags = operation.get("tags") or ["other"]
    return str(tags[0]).lower()


def _line(path: str, method: str, operation: Mapping[str, Any]) -> str:
    scopes = [scope for entry in operation.get("security", []) for scope in entry.get("apiKey", [])]
    needs = f' <span class="s">needs {escape(", ".join(scopes))}</span>' if scopes else ""
    return (
        f'<li><span class="m">{method.upper()}</span><code>{escape(path)}</code>{needs}'
        f'<br><span class="s">{escape(operation.get("summary", ""))}</span></li>'
    )


def _page(title: str, body: str) -> str:
    return PAGE.format(title=escape(title), style=STYLE, body=body)
