"""The vendor's public status pages stand-in: the post feed and Azure's RSS, well or troubled."""

from dataclasses import dataclass, field
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# What the page says while all is well, as seen in September 2026.
USUAL = (
    "<div>This site is updated when service issues are preventing tenant administrators from "
    "accessing Service health in the Microsoft 365 admin center. Alternatively, customers can "
    'reference&nbsp;<a target="_blank" href="https://www.twitter.com/MSFT365Status">X</a>&nbsp;'
    "for additional insights into widespread, active incidents.</div>"
)
RSS = (
    '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>Azure Status</title>'
    "<link>https://status.azure.com/en-us/status/</link>{items}</channel></rss>"
)


@dataclass(slots=True, kw_only=True)
class StatusPages:
    """The pages: ``entries`` are (title, description, date) of Azure's feed."""

    status: str = "Available"
    title: str = ""
    message: str = USUAL
    entries: list[tuple[str, str, datetime]] = field(default_factory=list)
    failing: int | None = None
    odd: bytes | None = None
    asked: int = 0

    def app(self) -> Starlette:
        """Make the ASGI app of both hosts."""
        return Starlette(
            routes=[
                Route("/api/posts/mac", self._post),
                Route("/en-us/status/feed/", self._feed),
            ]
        )

    async def _post(self, request: Request) -> Response:
        del request
        return self._trouble() or JSONResponse(
            {
                "Id": "972a3801-cef4-49eb-817a-6e8b79ac845a",
                "AuthoredDateTime": "2026-09-16T18:30:21+00:00",
                "InternalDateTime": "2026-09-18T21:22:55+00:00",
                "LastUpdatedTime": "2026-09-18T21:24:00.490309+00:00",
                "Title": self.title,
                "Message": self.message,
                "Status": self.status,
            }
        )

    async def _feed(self, request: Request) -> Response:
        del request
        items = "".join(
            f"<item><title>{title}</title><description><![CDATA[{text}]]></description>"
            f"<pubDate>{at:%a, %d %b %Y %H:%M:%S} Z</pubDate></item>"
            for title, text, at in self.entries
        )
        return self._trouble() or Response(RSS.format(items=items), media_type="application/xml")

    def _trouble(self) -> Response | None:
        self.asked += 1
        if self.failing is not None:
            return Response("busy", status_code=self.failing, headers={"retry-after": "600"})
        return None if self.odd is None else Response(self.odd)
