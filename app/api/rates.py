"""Rates: how often one API key may ask, of intake and of everything else."""

from app.api.context import Limits
from app.flow.rates import Buckets


class Rates:
    """The two rates of a key: what it may ask of intake, and of everything else."""

    def __init__(self, limits: Limits) -> None:
        self._intake = Buckets(limits.intake_requests_per_second)
        self._rest = Buckets(limits.api_requests_per_second)

    def take(self, caller: str, *, intake: bool) -> None:
        """Count one request.

        Raises:
            RateLimited: the caller sent more than its share.
        """
        (self._intake if intake else self._rest).take(caller)
