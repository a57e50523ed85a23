"""Asked: an act on behalf of a request; its answer is kept in the transaction of the change."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from app.api.deps import App, Principal
from app.flow.acts import Act, Actor

Answer = Callable[[Any], Response]


class Asked(Act):
    """What one request asks for; ``answer`` makes the response of what the use case gives back.

    It is called in the transaction and again after it, so it must not wait for anything.
    """

    def __init__(self, app: App, caller: Principal, answer: Answer) -> None:
        actor = Actor(kind=caller.kind, id=caller.key_id, name=caller.name)
        super().__init__(
            tenant=caller.tenant,
            actor=actor,
            action=caller.operation,
            now=app.clock.now(),
            request_id=caller.request_id,
        )
        self._answer = answer
        self._once = caller.once
        self._is_kept = False

    def record(
        self,
        c: Connection,
        target: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        made: Any = None,
        tenant: str | None = None,
    ) -> None:
        """Write the entry, and keep the answer if the request came with an Idempotency-Key."""
        super().record(c, target, before=before, after=after, tenant=tenant)
        if self._once is not None:
            self._once.keep(c, self._answer(made))
            self._is_kept = True

    def reply(self, made: Any) -> Response:
        """The answer, after the transaction."""
        if self._once is not None:
            self._once.kept = self._is_kept
        return self._answer(made)


def json_answer(
    model: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with an output schema."""
    body = model.model_dump_json().encode()
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")


def nothing(_: object) -> Response:
    """What a PATCH or DELETE gives for the keeping: they take no Idempotency-Key."""
    return Response(status_code=204)
