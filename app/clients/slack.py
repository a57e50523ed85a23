"""Slack's Web API: a refusal is a success that says ``ok: false``; raw in, raw out."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.clients.calls import Calls
from app.clients.errors import VendorError

_TYPE = "application/json; charset=utf-8"


class SlackClient:
    """Calls methods of the Web API with a bot token."""

    def __init__(self, calls: Calls, token: str, base_url: str) -> None:
        self._calls = calls
        self._base_url = base_url
        self._headers = {"authorization": f"Bearer {token}"}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def read(self, method: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        """Call a method that only reads; these take no JSON.

        Raises:
            VendorError: it failed; its code is Slack's own word where Slack said one.
        """
        reply = await self._calls.call("GET", f"/{method}", params=params, headers=self._headers)
        return _checked(method, reply.made)

    async def write(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a method that writes.

        Raises:
            VendorError: the same; with code ``lost`` it may have been done.
        """
        headers = {**self._headers, "content-type": _TYPE}
        reply = await self._calls.call("POST", f"/{method}", body=dict(body), headers=headers)
        return _checked(method, reply.made)

    async def upload(
        self, name: str, content: bytes, *, words: str, channel: str, thread: str
    ) -> None:
        """Upload a file into a thread; ``words`` stand in its place for those who cannot see it.

        Raises:
            VendorError: it failed at one of three calls; there may be a file that nobody sees.
        """
        asked = {"filename": name, "length": str(len(content)), "alt_txt": words}
        made = await self.read("files.getUploadURLExternal", asked)
        url, file = str(made.get("upload_url") or ""), str(made.get("file_id") or "")
        if not file or not self._is_own(url):
            raise VendorError("moved", "Slack gave an address that is not its own to upload to.")
        # Its address is what allows the upload; the token stays here.
        await self._calls.call("POST", url, body=content, headers={"content-type": "image/png"})
        files = [{"id": file, "title": words}]
        body = {"files": files, "channel_id": channel, "thread_ts": thread}
        await self.write("files.completeUploadExternal", body)

    def _is_own(self, url: str) -> bool:
        """Whether an address is Slack's: nobody else makes us dial."""
        parts, own = urlsplit(url), urlsplit(self._base_url)
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return True
        return parts.scheme == "https" and (parts.hostname or "").endswith(".slack.com")


def _checked(method: str, made: Any) -> Mapping[str, Any]:
    if not isinstance(made, dict) or "ok" not in made:
        raise VendorError("lost", f"Slack answered {method} with half a body.")
    if made["ok"] is not True:
        code = str(made.get("error") or "unknown_error")
        needed = f" (needs {made['needed']})" if made.get("needed") else ""
        raise VendorError(code, f"Slack refused {method}: {code}{needed}")
    return made
