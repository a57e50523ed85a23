"""Advisories: what the vendor's status words mean, and what its revisions say and change."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from app.core.catalogue import OTHER
from app.core.signal import Advisory, Post
from app.core.types import Condition, SignalId, TenantId
from app.core.wording import stated_start, understand

__all__ = [
    "KNOWN_CLASSIFICATIONS", "KNOWN_ORIGINS", "KNOWN_POST_TYPES", "KNOWN_STATUSES", "Phase",
    "condition_of", "digest_of", "in_order", "keep_vanished_posts", "phase_of", "revision_id",
    "services_of", "stated_start", "understand", "unknown_values", "with_reading", "withdraw",
]  # fmt: skip


class Phase(StrEnum):
    """What a vendor's status does to the incident that only the vendor reports."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    MITIGATING = "mitigating"
    MONITORING = "monitoring"
    FIXED = "fixed"
    WITHDRAWN = "withdrawn"
    UNCHANGED = "unchanged"
    NONE = "none"
    UNKNOWN = "unknown"


# serviceHealthStatus of microsoft.graph v1.0, each with its meaning here; lower case, because the
# service sends camelCase and its documentation PascalCase.
_MEANINGS: dict[str, tuple[Condition, Phase]] = {
    "serviceoperational": (Condition.HEALTHY, Phase.NONE),
    "reported": (Condition.DEGRADED, Phase.SUSPECTED),
    "investigating": (Condition.DEGRADED, Phase.CONFIRMED),
    "confirmed": (Condition.DEGRADED, Phase.CONFIRMED),
    "servicedegradation": (Condition.DEGRADED, Phase.CONFIRMED),
    "serviceinterruption": (Condition.FAILING, Phase.CONFIRMED),
    "restoringservice": (Condition.DEGRADED, Phase.MITIGATING),
    "extendedrecovery": (Condition.DEGRADED, Phase.MITIGATING),
    "mitigated": (Condition.DEGRADED, Phase.MITIGATING),
    "mitigatedexternal": (Condition.DEGRADED, Phase.MITIGATING),
    "verifyingservice": (Condition.DEGRADED, Phase.MONITORING),
    "servicerestored": (Condition.HEALTHY, Phase.FIXED),
    "resolved": (Condition.HEALTHY, Phase.FIXED),
    "resolvedexternal": (Condition.HEALTHY, Phase.FIXED),
    "postincidentreviewpublished": (Condition.HEALTHY, Phase.FIXED),
    "falsepositive": (Condition.HEALTHY, Phase.WITHDRAWN),
    "investigationsuspended": (Condition.DEGRADED, Phase.UNCHANGED),
}
KNOWN_STATUSES = frozenset(_MEANINGS)
UNSPECIFIC = frozenset({"microsoft-365-suite", OTHER})
KNOWN_CLASSIFICATIONS = frozenset({"advisory", "incident"})
KNOWN_ORIGINS = frozenset({"microsoft", "thirdparty", "customer"})
KNOWN_POST_TYPES = frozenset({"regular", "quick", "strategic"})


def condition_of(status: str) -> Condition:
    """Say what a status tells of its service; a word without a meaning is unknown."""
    return _MEANINGS.get(status.casefold(), (Condition.UNKNOWN, Phase.UNKNOWN))[0]


def phase_of(status: str) -> Phase:
    """Say how far the vendor is by its status; a word without a meaning is unknown, thus open."""
    return _MEANINGS.get(status.casefold(), (Condition.UNKNOWN, Phase.UNKNOWN))[1]


def services_of(advisory: Advisory) -> tuple[str, ...]:
    """The services that an advisory is about: the one it is filed under, and those its text names.

    The text counts only where it is filed under no service in particular: beside a service of its
    own, others are named for many reasons.
    """
    named = advisory.understood.services if advisory.service in UNSPECIFIC else ()
    return tuple(dict.fromkeys((advisory.service, *named)))


def unknown_values(advisory: Advisory) -> tuple[tuple[str, str], ...]:
    """List (field, value) of every closed word of the vendor that has no meaning here, sorted."""
    checks = [
        ("status", advisory.status, KNOWN_STATUSES),
        ("classification", advisory.classification, KNOWN_CLASSIFICATIONS),
        ("origin", advisory.origin, KNOWN_ORIGINS),
        *(("postType", post.type, KNOWN_POST_TYPES) for post in advisory.posts),
    ]
    return tuple(sorted({(name, word) for name, word, known in checks if _fold(word) not in known}))


def _fold(word: str) -> str:
    return word.casefold()


def _digest(parts: object, *, size: int = 16) -> str:
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def digest_of(advisory: Advisory) -> str:
    """Digest the fields that carry meaning, canonically.

    Left out are the modification stamp, the vendor's display name of the service and ``details``,
    which all move without any change of meaning, and the markup of posts.
    """
    return _digest(
        [
            advisory.vendor_id,
            advisory.service,
            advisory.feature,
            advisory.feature_group,
            _fold(advisory.classification),
            _fold(advisory.origin),
            _fold(advisory.status),
            advisory.title,
            advisory.impact_description,
            advisory.is_resolved,
            advisory.high_impact,
            advisory.withdrawn,
            _stamp(advisory.started_at),
            _stamp(advisory.ended_at),
            [[_stamp(post.created_at), _fold(post.type), post.text] for post in advisory.posts],
        ]
    )


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def revision_id(
    advisory: Advisory,
    *,
    tenant: TenantId | None = None,
    source: str = "graph",
    follows: SignalId | None = None,
) -> SignalId:
    """Derive the signal id of a revision from its stamp and its digest; neither alone suffices.

    Args:
        advisory: the revision; its ``id`` plays no part.
        tenant: whose advisory it is.
        source: name of the source.
        follows: id of the revision that it replaces, so that a return to an earlier text under an
            unmoved stamp is a new signal and not a repetition.
    """
    parts = [tenant, source, advisory.vendor_id, _stamp(advisory.last_modified_at), advisory.digest]
    return SignalId(f"adv_{_digest([*parts, follows])}")


def keep_vanished_posts(fresh: Advisory, stored: Advisory) -> Advisory:
    """Add the posts that the vendor no longer serves, so that nothing once said is lost."""
    served = {post.id for post in fresh.posts}
    vanished = [post for post in stored.posts if post.id not in served]
    if not vanished:
        return fresh
    posts = in_order([*fresh.posts, *vanished])
    merged = replace(fresh, posts=posts, published_at=posts[0].created_at)
    return with_reading(merged)


def in_order(posts: Iterable[Post]) -> tuple[Post, ...]:
    """Sort posts oldest first, the same way whatever the order of arrival."""
    return tuple(sorted(posts, key=lambda post: (post.created_at, post.type, post.id)))


def with_reading(advisory: Advisory) -> Advisory:
    """Give an advisory what its present wording is understood to say, and its digest."""
    read = replace(
        advisory,
        stated_started_at=stated_start(advisory.posts),
        understood=understand(
            title=advisory.title,
            impact_description=advisory.impact_description,
            posts=advisory.posts,
            feature=advisory.feature,
            feature_group=advisory.feature_group,
        ),
    )
    return replace(read, digest=digest_of(read))


def withdraw(stored: Advisory, *, now: datetime) -> Advisory:
    """Make the revision that says the vendor no longer serves this advisory."""
    gone = replace(stored, withdrawn=True, withdrawn_at=now, received_at=now, primed=False)
    return replace(gone, digest=digest_of(gone))
