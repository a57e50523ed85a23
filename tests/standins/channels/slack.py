"""Slack's Web API: scopes, block limits, threads, metadata, and errors that say 200.

Shapes and limits: the vendor's SDK validators and its documentation, see SOURCES of the data.
"""

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tests.standins.channels.trouble import Answer, Door, json_of

BLOCKS = 50
SECTION = 3000
HEADER = 150
TOTAL = 13_200
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
}


@dataclass(slots=True, kw_only=True)
class SlackMessage:
    """A message of the channel."""

    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any]
    thread_ts: str | None = None
    edits: int = 0


@dataclass(slots=True, kw_only=True)
class SlackFile:
    """A file: its address to upload to is used once, and it shows when it was completed."""

    id: str
    name: str
    length: int
    words: str
    content: bytes = b""
    thread_ts: str | None = None


@dataclass(slots=True, kw_only=True)
class Slack(Door):
    """A workspace with one channel that the app is in."""

    token: str = "xoxb-1234567890-right"
    channel: str = "C0123456789"
    scopes: set[str] = field(
        default_factory=lambda: {"chat:write", "channels:history", "files:write"}
    )
    messages: list[SlackMessage] = field(default_factory=list)
    files: list[SlackFile] = field(default_factory=list)
    uploads_at: str = ""  # another host that it sends uploads to
    refuses: str = ""  # an error that every write is answered with
    tick: int = 0

    def routes(self) -> list[tuple[str, Answer]]:
        return [("/api/{method}", self._method), ("/upload/{file}", self._upload)]

    def broken(self) -> Response:
        return HTMLResponse("<title>Server Error | Slack</title>", 500)

    def of_channel(self) -> list[SlackMessage]:
        """Messages that stand in the channel itself."""
        return [m for m in self.messages if m.thread_ts is None]

    def replies(self, ts: str) -> list[SlackMessage]:
        """Messages in a thread."""
        return [m for m in self.messages if m.thread_ts == ts]

    async def _method(self, request: Request, raw: bytes) -> Response:
        method = request.path_params["method"]
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _no("invalid_auth")
        needed = SCOPES.get(method)
        if needed is not None and needed not in self.scopes:
            return _no("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))
        reads = method.startswith("conversations.")
        if method == "files.getUploadURLExternal":  # takes no JSON
            return self._promise(request)
        body = dict(request.query_params) if reads else json_of(raw) or {}
        if body.get("channel", body.get("channel_id")) != self.channel:
            return _no("channel_not_found")
        return _no(self.refuses) if self.refuses and not reads else self._do(method, body)

    def _do(self, method: str, body: dict[str, Any]) -> Response:
        match method:
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                return self._update(body)
            case "files.completeUploadExternal":
                return self._complete(body)
            case "conversations.history":
                return self._list(self.of_channel(), body)
            case "conversations.replies":
                return self._list(self.replies(body.get("ts", "")), body)
            case _:
                return _no("unknown_method")

    def shown(self) -> list[SlackFile]:
        """Files that people see."""
        return [file for file in self.files if file.thread_ts is not None]

    def _promise(self, request: Request) -> Response:
        name, length = request.query_params.get("filename"), request.query_params.get("length")
        if not name or not (length or "").isdecimal():
            return _no("invalid_arguments")
        words = request.query_params.get("alt_txt", "")
        made = SlackFile(id=f"F{len(self.files):08d}", name=name, length=int(length or 0),
                         words=words)  # fmt: skip
        self.files.append(made)
        root = self.uploads_at or str(request.base_url).rstrip("/")
        url = f"{root}/upload/{made.id}"
        return JSONResponse({"ok": True, "upload_url": url, "file_id": made.id})

    async def _upload(self, request: Request, raw: bytes) -> Response:
        found = next((f for f in self.files if f.id == request.path_params["file"]), None)
        if found is None or found.content or len(raw) != found.length:
            return Response("no", 400)
        found.content = raw
        return Response(f"OK - {len(raw)}")

    def _complete(self, body: dict[str, Any]) -> Response:
        files = {f.id: f for f in self.files}
        if not any(m.ts == body.get("thread_ts") for m in self.messages):
            return _no("invalid_thread_ts")
        for one in body.get("files", []):
            found = files.get(one["id"])
            if found is None or not found.content:
                return _no("file_not_found")
            found.thread_ts = body["thread_ts"]
        return JSONResponse({"ok": True, "files": body["files"]})

    def _post(self, body: dict[str, Any]) -> Response:
        wrong = _wrong(body)
        if wrong:
            return _no(wrong)
        thread = body.get("thread_ts")
        if thread is not None and not any(m.ts == thread for m in self.messages):
            return _no("thread_not_found")
        self.tick += 1
        made = SlackMessage(
            ts=f"1773650530.{self.tick:06d}", text=body["text"], blocks=body.get("blocks", []),
            metadata=body.get("metadata", {}), thread_ts=thread,
        )  # fmt: skip
        self.messages.append(made)
        return JSONResponse({"ok": True, "channel": self.channel, "ts": made.ts})

    def _update(self, body: dict[str, Any]) -> Response:
        wrong = _wrong(body)
        if wrong:
            return _no(wrong)
        found = next((m for m in self.messages if m.ts == body.get("ts")), None)
        if found is None:
            return _no("message_not_found")
        found.text, found.blocks = body["text"], body.get("blocks", [])
        found.edits += 1
        return JSONResponse({"ok": True, "channel": self.channel, "ts": found.ts})

    def _list(self, found: list[SlackMessage], body: dict[str, str]) -> Response:
        shown = [
            {"ts": m.ts, "text": m.text}
            | ({"metadata": m.metadata} if body.get("include_all_metadata") == "true" else {})
            for m in reversed(found)
        ]
        start, limit = int(body.get("cursor") or 0), int(body.get("limit") or 100)
        following = str(start + limit) if start + limit < len(shown) else ""
        page = shown[start : start + limit]
        return JSONResponse(
            {"ok": True, "messages": page, "response_metadata": {"next_cursor": following}}
        )


def _no(error: str, **more: str) -> Response:
    return JSONResponse({"ok": False, "error": error, **more})


def _wrong(body: dict[str, Any]) -> str:
    """What Slack says of a message beyond its limits; empty for one that fits."""
    blocks = body.get("blocks", [])
    texts = [_text(block) for block in blocks]
    if not body.get("text") and not blocks:
        return "no_text"
    if len(blocks) > BLOCKS:
        return "invalid_blocks"
    if any(not text for text in texts):
        return "invalid_blocks"
    limits = {"section": SECTION, "header": HEADER, "context": SECTION}
    if any(len(t) > limits[b["type"]] for b, t in zip(blocks, texts, strict=True)):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(len, texts)) > TOTAL else ""


def _text(block: dict[str, Any]) -> str:
    if block["type"] == "context":
        return "".join(str(e["text"]) for e in block["elements"])
    return str(block["text"]["text"])
