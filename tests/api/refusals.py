"""What Schemathesis is told beside the document: words of the catalogue, and refusals of sense.

A request may be valid by the document and still be refused for a reason that JSON Schema cannot
say. The check of Schemathesis is asked about every answer; here are, by type of problem, the
refusals that it need not mind, each with its reason. Any other refusal of a valid request fails.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import RejectedPositiveData, positive_data_acceptance

from app.api.v1.subscriptions import KNOWN_TYPES
from app.core.catalogue import SERVICES

ORDER = "JSON Schema cannot compare two fields"
APART = "alternatives within a record take its type apart in generated clients"
BY_TYPE = {
    "precondition-failed": "which revision is the present one stands in no schema",
    "cursor-mismatch": "a cursor is signed, and bound to its list, tenant and filters",
    "idempotency-conflict": "a key may not come again with another body",
    "target-refused": "which receivers the operator permits stands in his settings",
}
BY_FAULT = {
    "String should have at least 1 character": "white space around a word is taken off first",
    "Control characters are not taken here.": "the frozen document may not get new patterns",
    "Object missing required field `service`": "it may stand in the query instead",
    "Expected `int | null`, got `float`": "JSON Schema counts 503.0 among the integers",
    "Expected `int`, got `float`": "JSON Schema counts 1.0 among the integers",
    "Give at least one of symptom, code, http_status, message.": APART,
    "Value error, Give at least one of code, http_status, message.": APART,
    "Say why the severity is set by hand.": APART,
    "reports:public stands alone, and belongs to one tenant.": APART,
    "voices is 0 or more; a public key has a bound of its own.": APART,
    "Not of this incident; see its /evidence.": "what an incident rests on stands in no schema",
    "The window would have ended already.": "what time it is stands in no schema",
    "The window must end after it begins.": ORDER,
    "No such language; there are": "which texts the operator has stands in his settings",
    "A window lasts at most 31 days.": ORDER,
    "The window ends before it begins, or has not begun yet.": ORDER,
    "Value error, until must be later than since": ORDER,
}

schemathesis.openapi.format("event-type", st.sampled_from(sorted(KNOWN_TYPES)))
schemathesis.openapi.format("network", st.ip_addresses().map(str))
schemathesis.openapi.format("service", st.sampled_from([one.slug for one in SERVICES]))


def _faults(problem: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(one["detail"]) for one in problem.get("errors", ()))


def _is_of_sense(fault: str) -> bool:
    return any(fault.startswith(known) for known in BY_FAULT)


@schemathesis.check
def valid_requests_are_taken(ctx: Any, response: Any, case: Any) -> None:
    """The check of Schemathesis, except for refusals of sense."""
    try:
        positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        problem = response.json()
        kind = str(problem["type"]).rpartition("/")[2]
        faults = list(_faults(problem))
        if kind not in BY_TYPE and not (faults and all(_is_of_sense(one) for one in faults)):
            raise
