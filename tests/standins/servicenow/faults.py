"""What a ServiceNow instance may do wrong, as data; the answers are those quoted from live ones."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CANCELLED = "Transaction cancelled: maximum execution time exceeded"

PAGE = """<!DOCTYPE html><html><head><title>Hibernating Instance</title></head>
<body class="instance-hibernating-page"><h1>Your instance is hibernating</h1></body></html>"""


class Kind(StrEnum):
    """How one request goes wrong."""

    SLOW = "slow"  # answers late, as it should
    HIBERNATING = "hibernating"
    REDIRECT = "redirect"
    PARTIAL = "partial"  # 200 with a list that was cut off, and an error beside it
    MALFORMED = "malformed"  # 200 with JSON that ends in the middle
    ERROR = "error"  # 500, nothing was done
    COMMIT_ERROR = "commit_error"  # 500, and yet it was done
    RESET = "reset"  # the connection breaks, nothing was done
    COMMIT_RESET = "commit_reset"  # the connection breaks after it was done
    LATE_COMMIT = "late_commit"  # no answer; it is done some seconds later
    THROTTLED = "throttled"
    REVOKED = "revoked"  # all tokens end
    GATEWAY = "gateway"  # 502 of something in between


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault that waits for its requests.

    ``method`` and ``path`` narrow it (a part of the path is enough); ``times`` is how many
    requests it takes, None: all. ``seconds`` is how late ``SLOW`` and ``LATE_COMMIT`` are.
    """

    kind: Kind
    method: str = ""
    path: str = ""
    times: int | None = 1
    seconds: float = 1.0

    def takes(self, method: str, path: str) -> bool:
        """Whether it is for this request; uses itself up."""
        if self.times == 0 or (self.method and self.method != method) or self.path not in path:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def failure(message: str, detail: str | None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "detail": detail}, "status": "failure"}


UNAUTHENTICATED = failure("User Not Authenticated", "Required to provide Auth information")
UNSCOPED = failure("User Not Authorized", "Access to unscoped api is not allowed")
API_ACL = failure("Operation Failed", "Failed API level ACL Validation")
NOT_FOUND = failure("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
RATE = failure("Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded")
CANCELLED_BODY = failure(CANCELLED, f"{CANCELLED}. Check logs for error trace.")


@dataclass(slots=True)
class Refused(Exception):  # noqa: N818 - an answer
    """Raised where a request is refused; carries the answer."""

    status: int
    body: dict[str, Any]


def mandatory(*labels: str) -> Refused:
    """A data policy that misses fields."""
    detail = f"Data Policy Exception: \n\tThe following fields are mandatory: {', '.join(labels)}"
    return Refused(403, failure("Operation Failed", detail))


def aborted(rule: str) -> Refused:
    """A business rule that says no."""
    detail = (
        f"Operation against file 'incident' was aborted by Business Rule "
        f"'{rule}^6a2e9d14f0c0e5108b2a6bdc0b7f1a2c'. Business Rule Stack:{rule}"
    )
    return Refused(403, failure("Operation Failed", detail))
