"""The vendor's words get their meaning; revisions, posts and wording are read soberly."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core import advisory as advisories
from app.core.advisory import (
    Phase,
    condition_of,
    phase_of,
    services_of,
    stated_start,
    understand,
    with_reading,
)
from app.core.signal import Understood
from app.core.types import Client, Condition, SignalId, Symptom, TenantId
from app.core.wording import instant_in, sections
from tests.builders import NOW, a_post, an_advisory, minutes

TABLE = {
    "serviceOperational": ("healthy", "none"),
    "reported": ("degraded", "suspected"),
    "investigating": ("degraded", "confirmed"),
    "confirmed": ("degraded", "confirmed"),
    "serviceDegradation": ("degraded", "confirmed"),
    "serviceInterruption": ("failing", "confirmed"),
    "restoringService": ("degraded", "mitigating"),
    "extendedRecovery": ("degraded", "mitigating"),
    "mitigated": ("degraded", "mitigating"),
    "mitigatedExternal": ("degraded", "mitigating"),
    "verifyingService": ("degraded", "monitoring"),
    "serviceRestored": ("healthy", "fixed"),
    "resolved": ("healthy", "fixed"),
    "resolvedExternal": ("healthy", "fixed"),
    "postIncidentReviewPublished": ("healthy", "fixed"),
    "falsePositive": ("healthy", "withdrawn"),
    "investigationSuspended": ("degraded", "unchanged"),
    "unknownFutureValue": ("unknown", "unknown"),
    "somethingNew": ("unknown", "unknown"),
    "": ("unknown", "unknown"),
}


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize("spell", [str, str.upper, str.lower, lambda s: s[:1].upper() + s[1:]])
def test_each_status_has_one_condition_and_one_phase(status: str, spell: object) -> None:
    word = spell(status)
    assert (condition_of(word), phase_of(word)) == TABLE[status]


def test_a_new_word_is_never_healthy() -> None:
    assert condition_of("serviceSplendid") is Condition.UNKNOWN
    assert phase_of("serviceSplendid") is Phase.UNKNOWN


def test_unknown_values_name_field_and_word_once() -> None:
    odd = an_advisory(
        status="serviceSplendid",
        classification="Incident",
        origin="unknownFutureValue",
        posts=(a_post(type="holographic"), a_post(type="holographic"), a_post(type="Quick")),
    )
    assert advisories.unknown_values(odd) == (
        ("origin", "unknownFutureValue"),
        ("postType", "holographic"),
        ("status", "serviceSplendid"),
    )
    assert advisories.unknown_values(an_advisory()) == ()


def test_the_digest_ignores_what_moves_without_meaning() -> None:
    one = an_advisory()
    moved = replace(
        one,
        last_modified_at=NOW + minutes(5),
        service_name="Exchange",
        details=(("FeatureStatusJson", "{}"),),
        status="ServiceDegradation",
        received_at=NOW + minutes(9),
    )
    assert advisories.digest_of(one) == advisories.digest_of(moved)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Users were unable"},
        {"status": "serviceRestored"},
        {"is_resolved": True},
        {"classification": "advisory"},
        {"impact_description": "x"},
        {"started_at": NOW - minutes(60)},
        {"ended_at": NOW},
        {"withdrawn": True},
        {"posts": ()},
    ],
)
def test_the_digest_sees_every_change_of_meaning(change: dict[str, object]) -> None:
    one = an_advisory()
    assert advisories.digest_of(one) != advisories.digest_of(replace(one, **change))


def test_a_revision_id_needs_stamp_content_tenant_and_predecessor() -> None:
    one = an_advisory()
    contoso = TenantId("contoso")
    first = advisories.revision_id(one, tenant=contoso)
    assert first == advisories.revision_id(replace(one, id=SignalId("x")), tenant=contoso)
    assert first != advisories.revision_id(one, tenant=TenantId("fabrikam"))
    assert first != advisories.revision_id(replace(one, digest="0"), tenant=contoso)
    later = replace(one, last_modified_at=NOW + minutes(1))
    assert first != advisories.revision_id(later, tenant=contoso)
    assert first != advisories.revision_id(one, tenant=contoso, follows=first)


def test_a_vanished_post_is_kept() -> None:
    early, late = a_post(created_at=NOW), a_post(created_at=NOW + minutes(30))
    stored = advisories.with_reading(an_advisory(posts=(early, late)))
    fresh = advisories.with_reading(replace(stored, posts=(late,)))
    assert advisories.keep_vanished_posts(fresh, stored).digest == stored.digest
    assert advisories.keep_vanished_posts(stored, fresh) is stored
    newest = a_post(created_at=NOW + minutes(60))
    merged = advisories.keep_vanished_posts(replace(fresh, posts=(newest,)), stored)
    assert merged.posts == (early, late, newest)
    assert merged.published_at == NOW


def test_withdrawing_changes_only_that() -> None:
    stored = advisories.with_reading(an_advisory())
    gone = advisories.withdraw(stored, now=NOW + minutes(5))
    assert gone.withdrawn
    assert gone.withdrawn_at == NOW + minutes(5)
    assert gone.digest != stored.digest
    assert gone.posts == stored.posts


def test_labels_are_cut_in_any_case_glued_or_on_lines() -> None:
    text = (
        "Title: Users may be unable to launch FormsUser Impact: Users may failMore info: An error."
        "Current status: We're investigating.Incident Start Time: Monday, August 2, 2021, at"
        " 2:36 PM UTCNext Update: Friday, August 6, 2021, at 9:00 PM UTC"
    )
    cut = sections(text)
    assert cut["title"] == "Users may be unable to launch Forms"
    assert cut["user impact"] == "Users may fail"
    assert cut["more info"] == "An error."
    assert cut["status"] == "We're investigating."
    assert cut["start time"].startswith("Monday, August 2")
    assert cut["next update by"].startswith("Friday")
    assert sections("hello\nuser impact: many\nFINAL STATUS: done") == {
        "": "hello",
        "user impact": "many",
        "status": "done",
    }
    assert sections("no label here") == {"": "no label here"}


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("Wednesday, November 17, 2021, at 1:00 PM UTC", "2021-11-17T13:00"),
        ("November 17, 2021 at 12:05 AM UTC", "2021-11-17T00:05"),
        ("Nov 17th, 2021, 12:05 p.m. (UTC)", "2021-11-17T12:05"),
        ("Thursday, March 5, 2026, at 14:30 GMT", "2026-03-05T14:30"),
        ("2026-03-16T06:05:00Z", "2026-03-16T06:05"),
        ("it began 2026-03-16 06:05 UTC sharp", "2026-03-16T06:05"),
    ],
)
def test_instants_are_read_in_every_seen_spelling(text: str, iso: str) -> None:
    found = instant_in(text)
    assert found is not None
    assert found[0] == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "Friday, June 17, 2020, at 1:00 PM UTC",  # it was a Wednesday
        "Smarch 3, 2026, at 1:00 PM UTC",
        "March 32, 2026, at 1:00 PM UTC",
        "March 3, 2026, at 13:00 PM UTC",
        "March 3, 2026, at 1:00 PM PST",
        "2026-13-01 06:05 UTC",
    ],
)
def test_what_is_no_plausible_utc_instant_is_not_guessed(text: str) -> None:
    assert instant_in(text) is None


def _starting(text: str, *, after: float = 0) -> object:
    return a_post(created_at=NOW + minutes(after), text=f"Start time: {text}")


def test_the_newest_plausible_start_wins() -> None:
    early = _starting("Monday, March 16, 2026, at 6:00 AM UTC")
    late = _starting("Monday, March 16, 2026, at 5:40 AM UTC", after=60)
    absurd = _starting("March 16, 2036, at 5:40 AM UTC", after=90)
    ancient = _starting("March 16, 2020, at 5:40 AM UTC", after=91)
    silent = a_post(created_at=NOW + minutes(95), text="A post-incident report has been published.")
    expected = datetime(2026, 3, 16, 5, 40, tzinfo=UTC)
    assert stated_start([silent, late, early, absurd, ancient]) == expected
    assert stated_start([silent]) is None
    assert stated_start([]) is None


def _read(text: str, **more: object) -> object:
    return understand(title="", impact_description="", posts=[a_post(text=text)], **more)


STORY = """Title: Users may be unable to access their Exchange Online mailboxes

User impact: Users may be unable to access their mailbox using any connection method.

More info: Affected methods include Outlook on the web, Outlook desktop and Exchange ActiveSync. \
Users may receive HTTP 503 errors, time outs or repeated authentication prompts. \
Users may be able to access their mail through Outlook mobile as an alternative.

Current status: We've determined that a recent configuration change caused requests to fail. \
We're reverting the change to mitigate the impact.

Scope of impact: Users hosted in Germany and North America are affected.

Start time: Monday, March 16, 2026, at 6:05 AM UTC

Next update by: Monday, March 16, 2026, at 8:30 AM UTC
"""


def test_the_story_is_understood_with_its_words() -> None:
    read = understand(title="", impact_description="", posts=[a_post(text=STORY)])
    assert read.clients == (Client.OUTLOOK_WEB, Client.OUTLOOK_DESKTOP, Client.ACTIVESYNC)
    assert set(read.symptoms) == {Symptom.HTTP_5XX, Symptom.TIMEOUT, Symptom.AUTH_LOOP}
    assert read.regions == ("north-america", "de")
    assert read.features[:2] == ("outlook-web", "outlook-desktop")
    assert read.cause_category == "configuration_change"
    assert (
        read.cause == "We've determined that a recent configuration change caused requests to fail."
    )
    assert read.mitigation == "We're reverting the change to mitigate the impact."
    assert read.next_update_at == datetime(2026, 3, 16, 8, 30, tzinfo=UTC)
    assert read.words is not None
    assert read.services == ("exchange-online",)
    assert read.words["services.exchange-online"] == "Outlook"
    assert read.words["clients.outlook_web"] == "Outlook on the web"
    assert read.words["regions.de"] == "Germany"
    assert read.words["cause_category"] == "configuration change"
    assert read.words["mitigation"] == "reverting"
    assert "clients.outlook_mobile" not in read.words


@pytest.mark.parametrize(
    ("cause", "category"),
    [
        ("A third-party provider networking issue resulted in impact.", "third_party"),
        ("A configuration change to the load balancer.", "configuration_change"),
        (
            "A recent change to our service infrastructure caused the link to fail.",
            "configuration_change",
        ),
        ("A recent service update contained a code regression.", "deployment"),
        ("An order of magnitude increase of requests exceeded the auto-scaling.", "capacity"),
        (
            "A section of supporting network infrastructure was not processing traffic.",
            "networking",
        ),
        ("A service component wasn't processing requests.", "infrastructure"),
        ("An expired certificate on the front door.", "certificate"),
        ("An upstream component that sign-in relies on was slow.", "dependency"),
        ("Something odd.", "unknown"),
    ],
)
def test_causes_fall_into_the_closed_categories(cause: str, category: str) -> None:
    assert _read(f"Preliminary root cause: {cause}").cause_category == category


@pytest.mark.parametrize(
    ("status", "deed"),
    [
        ("We've reverted the change.", "rollback"),
        ("We've disabled the change and confirmed it.", "rollback"),
        ("We failed over to a healthy region.", "failover"),
        ("We've rerouted traffic to healthy infrastructure.", "traffic_shift"),
        ("We restarted the affected servers.", "restart"),
        ("We manually triggered scale-up activities.", "capacity_added"),
        ("The impacted infrastructure self-restored.", "self_restored"),
        ("The fix has been deployed to all users.", "fix_deployed"),
        ("The deployment of the code change has completed saturation.", "fix_deployed"),
        ("We've mitigated the impact.", "other"),
        ("We're developing a code fix.", None),
        ("We're discussing next steps to identify a mitigation plan.", None),
        ("We're investigating.", None),
    ],
)
def test_what_was_done_falls_into_the_closed_deeds(status: str, deed: str | None) -> None:
    read = _read(f"Current status: {status}")
    assert read.mitigation_category == deed
    assert (read.mitigation is None) == (deed is None)


def test_silence_is_not_filled_in() -> None:
    read = understand(title="", impact_description="")
    assert (read.cause, read.cause_category, read.mitigation, read.next_update_at) == (None,) * 4
    assert (read.features, read.clients, read.symptoms, read.regions) == ((),) * 4
    assert read.words == {}


def test_the_feature_field_speaks_only_where_the_text_is_silent() -> None:
    odd = "Admins' usage reports are late"
    assert (
        "sign-in"
        not in understand(
            title=odd,
            impact_description="",
            feature="Windows Live sign-in issue",
            feature_group="Sign-in",
        ).features
    )
    silent = understand(
        title="Trouble", impact_description="", feature="Mail flow", feature_group=None
    )
    assert silent.features == ("mail-flow",)


def test_a_post_without_labels_is_read_as_a_whole() -> None:
    read = _read("Outlook on the web answers with server errors. We've restarted the servers.")
    assert read.clients == (Client.OUTLOOK_WEB,)
    assert read.mitigation == "We've restarted the servers."


def test_worst_hit_areas_do_not_limit_the_scope() -> None:
    any_user = (
        "Scope of impact: This could impact any user, however users within Europe, Middle East,"
    )
    assert _read(f"{any_user} and Africa (EMEA) had the most significant impact.").regions == ()
    assert _read("Scope of impact: Users in Europe, Middle East, and Africa.").regions == ("emea",)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("We'll provide an update within 30 minutes.", timedelta(minutes=30)),
        ("We'll provide another update within the next 2 hours.", timedelta(hours=2)),
        ("We'll provide an update within an hour.", timedelta(hours=1)),
        ("Next update by: Monday, March 16, 2020, at 8:30 AM UTC", None),
        ("Next update by: Monday, March 15, 2027, at 8:30 AM UTC", None),
        ("This is the final update for the event.", None),
    ],
)
def test_the_promised_next_update(text: str, after: timedelta | None) -> None:
    made = _read(text).next_update_at
    assert made == (None if after is None else NOW + after)


def test_long_causes_are_cut() -> None:
    read = _read(f"Root cause: {'word ' * 500}")
    assert len(read.cause) == 1000
    assert read.cause.endswith("…")


def test_what_is_filed_under_the_suite_is_about_the_services_that_it_names() -> None:
    text = (
        "User impact: Users can't open SharePoint Online sites.\n\nMore info: Teams is unaffected."
    )
    fresh = {"title": "Exchange Online and SharePoint Online fail", "posts": (a_post(text=text),)}
    suite = with_reading(an_advisory(service="microsoft-365-suite", **fresh))
    assert services_of(suite) == ("microsoft-365-suite", "exchange-online", "sharepoint-online")
    own = with_reading(an_advisory(service="entra-id", **fresh))
    assert services_of(own) == ("entra-id",)  # others are named for many reasons
    assert own.understood.services == ("exchange-online", "sharepoint-online")
    assert own.digest == with_reading(replace(own, understood=Understood())).digest
