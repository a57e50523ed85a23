"""Rates: how often one API key may ask, of intake and of everything else; and how that is told.

The fields are those of the draft ``draft-ietf-httpapi-ratelimit-headers-10``: a draft still, so
they are written here alone.
"""

import math

from fastapi import Request

from app.api.context import Limits
from app.core.errors import RateLimited
from app.flow.rates import BURST_SECONDS, Buckets

Raw = list[tuple[bytes, bytes]]  # headers as the server takes them


class Rates:
    """The two rates of a key: what it may ask of intake, and of everything else."""

    def __init__(self, limits: Limits) -> None:
        self._intake = _Quota("intake", limits.intake_requests_per_second)
        self._rest = _Quota("api", limits.api_requests_per_second)

    def take(self, caller: str, request: Request, *, intake: bool) -> None:
        """Count one request, and leave with it what its answer is to tell.

        Raises:
            RateLimited: the caller sent more than its share.
        """
        quota = self._intake if intake else self._rest
        if quota.is_bounded:
            quota.take(caller, request)


class _Quota:
    """One rate by its name."""

    def __init__(self, name: str, per_second: float) -> None:
        self.is_bounded = per_second > 0
        self._name = name
        self._rate = per_second
        self._buckets = Buckets(per_second)
        size = max(per_second * BURST_SECONDS, 1.0)
        window = math.ceil(size / per_second) if per_second else 0
        self._policy = f'"{name}";q={int(size)};w={window}'.encode()

    def take(self, caller: str, request: Request) -> None:
        try:
            left = self._buckets.take(caller)
        except RateLimited as error:
            self._tell(request, 0, int(error.facts["retry_after_seconds"]))
            raise
        self._tell(request, int(left), math.ceil(1 / self._rate))

    def _tell(self, request: Request, left: int, seconds: int) -> None:
        told = f'"{self._name}";r={left};t={seconds}'.encode()
        request.state.rate = [(b"ratelimit-policy", self._policy), (b"ratelimit", told)]
