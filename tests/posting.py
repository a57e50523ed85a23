"""A poster over one of httpx's transports, so that a test may answer by a function."""

from collections.abc import Mapping

import httpx

from app.kit.http import Answer, Phases


class Posting:
    """Implements ``kit.http.Poster``."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def post(
        self, url: str, *, headers: Mapping[str, str], content: bytes, phases: Phases, until: float
    ) -> Answer:
        request = httpx.Request("POST", url, headers=headers, content=content)
        response = await self._transport.handle_async_request(request)
        if response.is_stream_consumed:  # as of a response that was made from bytes
            body = response.content
        else:
            body = b"".join([part async for part in response.aiter_raw()])
        return Answer(status=response.status_code, headers=response.headers, body=body)

    async def aclose(self) -> None:
        await self._transport.aclose()
