"""The machine's own token endpoints stand-in: IMDS of a virtual machine, and App Service."""

import json
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.entra import Entra, Registration

HEADER = "the app service's own header"


@dataclass(slots=True, kw_only=True)
class Machine:
    """A machine with identities: key "" is the system's own, others go by client id."""

    entra: Entra
    identities: dict[str, Registration]
    down: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        """Make the ASGI app of the link-local endpoint and of App Service's."""
        return Starlette(
            routes=[
                Route("/metadata/identity/oauth2/token", self._imds),
                Route("/msi/token", self._app_service),
            ]
        )

    async def _imds(self, request: Request) -> Response:
        if request.headers.get("metadata") != "true":
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        made = self._token(request)
        if isinstance(made, Response):
            return made
        return JSONResponse({**made, "token_type": "Bearer"})

    async def _app_service(self, request: Request) -> Response:
        if request.headers.get("x-identity-header") != HEADER:
            return Response("{}", status_code=401)
        made = self._token(request)
        if isinstance(made, Response):
            return made
        ends = str(int(self.entra.wall().timestamp()) + int(made["expires_in"]))
        return JSONResponse({**made, "expires_on": ends, "token_type": "Bearer"})

    def _token(self, request: Request) -> dict[str, str] | Response:
        query = dict(request.query_params)
        self.asked.append(query)
        if self.down:
            return JSONResponse({"error": "timeout"}, status_code=503)
        found = self.identities.get(query.get("client_id", ""))
        if found is None:
            told = "Identity not found"
            body = {"error": "invalid_request", "error_description": told, "message": told}
            return Response(json.dumps(body), status_code=400)
        seconds = str(int(self.entra.lifetime.total_seconds()))
        token = self.entra.issue(found, query["resource"])
        return {"access_token": token, "expires_in": seconds, "resource": query["resource"]}
