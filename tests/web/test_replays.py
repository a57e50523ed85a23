"""The replays: a form, a job that is followed, and what another policy would have done."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from app.core.policy import DEFAULT_POLICY
from app.flow import keys
from app.store import refolds
from app.web.reading import change_mark
from app.web.replaychart import draw
from app.web.replayview import bars, changes_of, counts, rows, snippet
from tests.builders import NOW, TENANT
from tests.core.play import at
from tests.flow.tale import Tale, signals
from tests.web.status.stage import a_context, browser_of

END = at("06:30")


def brief(number, *, minute=0, status="resolved", services=("exchange-online",), ended=True):
    told = NOW + timedelta(minutes=minute)
    return {
        "id": f"inc_{number}", "title": f"Fault <{number}>", "status": status, "severity": "major",
        "origin": "vendor", "services": list(services), "opened_at": told.isoformat(),
        "detected_at": told.isoformat(), "confirmed_at": told.isoformat(),
        "resolved_at": (told + timedelta(minutes=20)).isoformat() if ended else None,
    }  # fmt: skip


def a_result(**changes):
    return {
        "same_policy": False, "reproduced": None, "folded_from": None, "steps": 10, "signals": 99,
        "commands_passed_over": 0, "notes": [], "same": 3, "opened": [brief(1)],
        "missed": [brief(2), brief(3, status="dismissed")],
        "earlier": [{"stored": brief(4, minute=9), "replayed": brief(4), "seconds": 540}],
        "later": [{"stored": brief(5), "replayed": brief(5, minute=2), "seconds": 120}],
        "merged_otherwise": [{"stored": [brief(6), brief(7)], "replayed": [brief(6)]}],
        "changed": [{"stored": brief(8), "replayed": brief(8, ended=False),
                     "fields": ["status", "resolved_at"]}],
        "false": {"stored": [brief(3), brief(5), brief(9)],
                  "replayed": [brief(1), brief(5), brief(9)]},
        **changes,
    }  # fmt: skip


def test_every_difference_is_a_row_with_both_sides() -> None:
    found = rows(a_result(), NOW)
    assert [row.kind for row in found] == [
        "missed", "missed", "opened", "later", "earlier", "merged", "changed", "false",
    ]  # fmt: skip
    assert [row.false for row in found] == [
        "No", "One false alarm less", "One false alarm more", "Still a false alarm", "No", "No",
        "No", "Still a false alarm",
    ]  # fmt: skip
    assert (len(found[2].stored), len(found[2].replayed)) == (0, 1)
    assert found[4].verdict == "9 min earlier"
    assert found[5].verdict == "2 became 1"
    assert found[6].verdict == "status resolved → resolved; resolved 06:50 UTC → none"


def test_the_figures_name_false_alarms_that_would_not_come() -> None:
    found = {count.label: count for count in counts(a_result())}
    assert (found["Missed"].value, found["Missed"].note) == ("2", "1 of them a false alarm")
    assert (found["Earlier"].value, found["Earlier"].note) == ("1", "by 9 min, usually")
    assert found["Merged otherwise"].value == "1"
    assert (found["False"].value, found["False"].note) == ("3", "instead of 3 as it was")


def test_a_replay_of_before_false_alarms_were_counted_is_still_shown() -> None:
    earlier = a_result(false=None)
    assert [row.false for row in rows(earlier, NOW)][:3] == [
        "No", "One false alarm less", "Nobody has judged it",
    ]  # fmt: skip
    assert {count.label: count for count in counts(earlier)}["False"].value == "0"


@pytest.mark.parametrize("narrow", [False, True])
def test_the_picture_holds_every_difference_within_its_frame(narrow) -> None:
    found = bars(a_result(), NOW + timedelta(hours=2))
    drawn = draw(found, NOW - timedelta(days=30), NOW + timedelta(hours=2), narrow=narrow)
    assert drawn.count('class="fault ') == len(found) == 10
    assert drawn.count('class="tie"') == 2
    assert "Fault &lt;1&gt;" in drawn
    width = float(re.search(r'viewBox="0 0 (\d+)', drawn)[1])
    for x, wide in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn):
        assert float(x) + float(wide) <= width + 0.1


def test_only_what_was_turned_is_changed() -> None:
    given = {"quorum_groups": "3", "quiet_minutes": "10", "attach_threshold": "0.5", "days": "7"}
    changed = changes_of(DEFAULT_POLICY, given)
    assert changed == {"quorum_groups": 3, "attach_threshold": 0.5}
    assert snippet(changed) == "[policy]\nattach_threshold = 0.5\nquorum_groups = 3"
    with pytest.raises(ValueError, match="People who make one group: x is no number"):
        changes_of(DEFAULT_POLICY, {"quorum_actors": "x"})


@pytest.fixture
async def context(sqlite_database):
    await Tale(sqlite_database).tell(signals(), until=END, every=60)
    made = a_context(sqlite_database, {"id": TENANT, "name": "Contoso"})
    made.clock.at = END
    made.refolds._clock = made.clock
    return made


@pytest.fixture
async def browser(context):
    async with browser_of(context) as client:
        yield client


async def post(browser, path, **fields):
    form = {"content-type": "application/x-www-form-urlencoded"}
    return await browser.post(path, content=urlencode(fields), headers=form)


async def ask(browser, **fields):
    page = await browser.get("/replays")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    return await post(browser, "/replays", csrf=token, days="1", **fields)


async def test_a_stricter_policy_would_have_missed_the_outage(context, browser) -> None:
    asked = await ask(browser, quorum_groups="50")
    assert asked.status_code == 303, asked.text
    path = asked.headers["location"]
    waiting = await browser.get(path)
    assert "It waits for its turn." in waiting.text
    assert f'data-stream="/live?replay={path.rsplit("/", 1)[1]}"' in waiting.text
    before = await context.db.read(lambda c: change_mark(c, TENANT, path.rsplit("/", 1)[1]))
    await context.refolds.step()
    after = await context.db.read(lambda c: change_mark(c, TENANT, path.rsplit("/", 1)[1]))
    assert before != after
    done = (await browser.get(path)).text
    assert "Independent groups of evidence that confirm: 50 instead of 2" in done
    assert "Later" in done or "Would not be opened" in done or "Otherwise" in done
    assert "quorum_groups = 50" in done
    assert 'class="lanes replay' in done or "changed" in done
    listed = (await browser.get("/replays")).text
    assert path in listed
    assert "Finished" in listed


async def test_the_same_policy_reproduces_the_past(context, browser) -> None:
    path = (await ask(browser)).headers["location"]
    await context.refolds.step()
    done = (await browser.get(path)).text
    assert "No incident came out otherwise." in done
    assert "Nothing was changed" in done


async def test_what_makes_no_sense_is_said_and_kept(context, browser) -> None:
    answer = await ask(browser, quorum_groups="2.5", quiet_minutes="17")
    assert answer.status_code == 422
    assert "whole number" in answer.text
    assert 'value="17"' in answer.text
    assert await context.db.read(lambda c: refolds.page(c, TENANT, None, 5)) == []


async def test_only_who_may_write_asks_and_only_the_own_tenant_sees(context, browser) -> None:
    path = (await ask(browser)).headers["location"]
    context.open_console = False
    reader = await keys.create(context.db, tenant=TENANT, name="r", scopes=["incidents:read"],
                               now=END)  # fmt: skip
    other = await keys.create(context.db, tenant="fabrikam", name="o", scopes=["admin"], now=END)
    browser.cookies.clear()
    token = await signed_in(browser, reader.secret)
    assert (await browser.get(path)).status_code == 200
    assert "replay-form" not in (await browser.get("/replays")).text
    assert (await post(browser, "/replays", csrf=token)).status_code == 403
    browser.cookies.clear()
    await signed_in(browser, other.secret)
    assert (await browser.get(path)).status_code == 404


async def signed_in(browser, secret):
    page = await browser.get("/login")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    await post(browser, "/login", csrf=token, key=secret, next="/")
    return token
