"""Conformance cases: the rules of writing, limits, faults, and the other APIs."""

import asyncio
import json
from datetime import timedelta

import httpx
import pytest

from tests.standins.servicenow import Fault, Kind
from tests.standins.servicenow.incidents import SYSTEM, change
from tests.standins.servicenow.scene import RESOLVE, Scene, case


@case("field-acl")
async def _(s: Scene) -> None:
    made = await s.made()
    answer = await s.patched(made["sys_id"], closed_at="2026-01-01 00:00:00", sys_created_by="me")
    result = answer.json()["result"]
    assert answer.status_code == 200
    assert (result["closed_at"], result["sys_created_by"]) == ("", "sextant")


@case("resolve-data-policy")
async def _(s: Scene) -> None:
    made = await s.made()
    answer = await s.patched(made["sys_id"], state="6")
    assert answer.status_code == 403
    assert "Data Policy Exception" in answer.json()["error"]["detail"]
    assert "Resolution code, Close notes" in answer.json()["error"]["detail"]


@case("resolve-bad-choice")
async def _(s: Scene) -> None:
    made = await s.made()
    code = "Closed/Resolved by Caller"
    answer = await s.patched(made["sys_id"], **{**RESOLVE, "close_code": code})
    assert answer.status_code == 403
    assert "Resolution code" in answer.json()["error"]["detail"]


@case("resolve-ok")
async def _(s: Scene) -> None:
    made = await s.made()
    result = (await s.patched(made["sys_id"], **RESOLVE)).json()["result"]
    assert (result["state"], result["incident_state"]) == ("6", "6")
    assert result["resolved_at"] == "2026-03-16 08:00:00"
    assert result["resolved_by"]["value"] == s.instance.users["sextant"].sys_id


@case("close-not-allowed")
async def _(s: Scene) -> None:
    made = await s.made()
    assert (await s.patched(made["sys_id"], **{**RESOLVE, "state": "7"})).status_code == 403
    s.instance.close_refused = "ignore"
    answer = await s.patched(made["sys_id"], **{**RESOLVE, "state": "7"})
    assert (answer.status_code, answer.json()["result"]["state"]) == (200, "1")


@case("reopen")
async def _(s: Scene) -> None:
    for keeps, code in ((False, ""), (True, "Solution provided")):
        s.instance.keeps_close_fields = keeps
        made = await s.made()
        await s.patched(made["sys_id"], **RESOLVE)
        result = (await s.patched(made["sys_id"], state="2")).json()["result"]
        assert (result["reopen_count"], result["close_code"]) == ("1", code)
        assert result["reopened_time"] == "2026-03-16 08:00:00"


async def _closed(s: Scene) -> str:
    made = await s.made()
    record = s.instance.tables["incident"][made["sys_id"]]
    change(s.instance, SYSTEM, record, {**RESOLVE, "state": "7"}, display=False)
    return str(made["sys_id"])


@case("closed-readonly")
async def _(s: Scene) -> None:
    sys_id = await _closed(s)
    assert (await s.patched(sys_id, state="2")).status_code == 403
    s.instance.closed_writes = "ignore"
    answer = await s.patched(sys_id, state="2")
    assert (answer.status_code, answer.json()["result"]["state"]) == (200, "7")


@case("hold-reason")
async def _(s: Scene) -> None:
    made = await s.made()
    answer = await s.patched(made["sys_id"], state="3")
    assert answer.status_code == 403
    assert "On hold reason" in answer.json()["error"]["detail"]
    s.instance.hold_policy = False
    assert (await s.patched(made["sys_id"], state="3")).status_code == 200


@case("caller-update-hold")
async def _(s: Scene) -> None:
    made = await s.made(caller_id=s.instance.users["sextant"].sys_id)
    await s.patched(made["sys_id"], state="3", hold_reason="1")
    result = (await s.patched(made["sys_id"], comments="Here it is.")).json()["result"]
    assert (result["state"], result["hold_reason"]) == ("2", "")


@case("parent-child")
async def _(s: Scene) -> None:
    parent = await s.made()
    child = await s.made(parent_incident=parent["sys_id"])
    record = s.instance.tables["incident"][child["sys_id"]]
    await s.patched(parent["sys_id"], **RESOLVE)
    assert (record["state"], record["close_notes"]) == ("6", "Restored.")
    await s.patched(parent["sys_id"], state="2")
    assert record["state"] == "2"
    above = s.instance.tables["incident"][parent["sys_id"]]
    change(s.instance, SYSTEM, above, {**RESOLVE, "state": "7"}, display=False)
    assert record["state"] == "2"


@case("mod-count")
async def _(s: Scene) -> None:
    made = await s.made()
    s.wait(60)
    same = (await s.patched(made["sys_id"], state="1")).json()["result"]
    assert (same["sys_mod_count"], same["sys_updated_on"]) == ("0", made["sys_updated_on"])
    moved = (await s.patched(made["sys_id"], state="2")).json()["result"]
    assert (moved["sys_mod_count"], moved["sys_updated_by"]) == ("1", "sextant")
    assert moved["sys_updated_on"] == "2026-03-16 08:01:00"


@case("async-rule")
async def _(s: Scene) -> None:
    s.instance.auto_group = s.instance.add_group("Messaging")
    made = await s.made()
    assert made["assignment_group"] == ""
    s.wait(4)
    (row,) = await s.listed(f"sys_id={made['sys_id']}", sysparm_exclude_reference_link="true")
    assert row["assignment_group"] == s.instance.auto_group
    assert (row["sys_updated_by"], row["sys_mod_count"]) == ("system", "1")


@case("rate-limit")
async def _(s: Scene) -> None:
    s.instance.rate_limit = 100
    s.instance.counted["sextant"] = [s.clock.at] * 98
    answers = [await s.call("GET", params={"sysparm_limit": "1"}) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert {"x-ratelimit-limit", "x-ratelimit-reset", "retry-after"} <= set(answers[2].headers)
    assert answers[2].json()["error"]["message"] == "Rate limit exceeded"


@case("rate-limit-lag")
async def _(s: Scene) -> None:
    s.instance.rate_limit, s.instance.rate_lag = 10, timedelta(seconds=30)
    assert {(await s.call("GET")).status_code for _ in range(15)} == {200}
    s.wait(31)
    assert (await s.call("GET")).status_code == 429


@case("slow-commit")
async def _(s: Scene) -> None:
    s.instance.faults.append(Fault(kind=Kind.LATE_COMMIT, method="POST", seconds=5))
    with pytest.raises(httpx.ReadTimeout):
        await s.call("POST", json={"correlation_id": "sextant:1"}, timeout=0.2)
    assert await s.listed("correlation_id=sextant:1") == []
    s.wait(6)
    assert len(await s.listed("correlation_id=sextant:1")) == 1


@case("commit-then-500")
async def _(s: Scene) -> None:
    s.instance.faults.append(Fault(kind=Kind.COMMIT_ERROR, method="POST"))
    answer = await s.call("POST", json={"correlation_id": "sextant:1"})
    assert answer.status_code == 500
    assert "Transaction cancelled" in answer.json()["error"]["message"]
    assert len(await s.listed("correlation_id=sextant:1")) == 1


@case("drop-after-commit")
async def _(s: Scene) -> None:
    s.instance.faults.append(Fault(kind=Kind.COMMIT_RESET, method="POST"))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await s.call("POST", json={"correlation_id": "sextant:1"})
    assert len(await s.listed("correlation_id=sextant:1")) == 1


@case("partial-200")
async def _(s: Scene) -> None:
    for _ in range(4):
        await s.made()
    s.instance.faults += [Fault(kind=Kind.PARTIAL), Fault(kind=Kind.MALFORMED)]
    answer = await s.call("GET")
    assert (answer.status_code, len(answer.json()["result"])) == (200, 2)
    assert "maximum execution time" in answer.json()["error"]["message"]
    answer = await s.call("GET")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@case("hibernating")
async def _(s: Scene) -> None:
    s.instance.faults.append(Fault(kind=Kind.HIBERNATING, times=None))
    for method in ("GET", "POST", "PATCH"):
        answer = await s.call(method, json={})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert 'class="instance-hibernating-page"' in answer.text
    assert s.instance.incidents() == []


@case("redirect-login")
async def _(s: Scene) -> None:
    s.instance.faults.append(Fault(kind=Kind.REDIRECT))
    answer = await s.call("GET")
    assert answer.status_code == 302
    assert not answer.headers["location"].startswith(str(s.client.base_url))


@case("duplicate-race")
async def _(s: Scene) -> None:
    body = {"correlation_id": "sextant:1"}
    await asyncio.gather(*(s.call("POST", json=body) for _ in range(2)))
    found = await s.listed("correlation_id=sextant:1^ORDERBYsys_created_on")
    assert len(found) == 2


@case("outbound-rule")
async def _(s: Scene) -> None:
    made = await s.made(correlation_id="sextant:1")
    record = s.instance.tables["incident"][made["sys_id"]]
    change(s.instance, SYSTEM, record, {"state": "2"}, display=False)
    (hint,) = s.instance.hints  # delivered, doubled or lost by the test that plays the rule
    assert (hint["sys_id"], hint["state"], hint["sys_mod_count"]) == (made["sys_id"], "2", "1")


@case("em-jsonv2")
async def _(s: Scene) -> None:
    path = "/api/global/em/jsonv2"
    event = {"source": "sextant", "message_key": "sextant:1", "severity": "1",
             "additional_info": '{"users":"12"}'}  # fmt: skip
    numeric = {**event, "message_key": "sextant:2", "additional_info": '{"users":12}'}
    answer = await s.call("POST", path, json={"records": [event, numeric]})
    assert answer.json() == {"result": {"Default Bulk Endpoint": "2 events were inserted"}}
    assert [e["state"] for e in s.instance.rows("em_event")] == ["Processed", "Error"]
    (one,) = s.instance.rows("em_alert")
    assert (one["message_key"], one["state"]) == ("sextant:1", "Open")
    await s.call("POST", path, json={"records": [{**event, "severity": "0"}]})
    assert one["state"] == "Closed"
    denied = await s.call("POST", path, json={"records": []}, auth=("poor", "pw"))
    assert denied.status_code in {401, 403}


@case("import-set")
async def _(s: Scene) -> None:
    path, row = "/api/now/import/u_sextant", {"u_correlation_id": "a", "u_short_description": "x"}
    first = await s.call("POST", path, json=row)
    again = await s.call("POST", path, json={**row, "u_short_description": "y"})
    bad = await s.call("POST", path, json={})
    results = [a.json()["result"][0] for a in (first, again, bad)]
    assert [a.status_code for a in (first, again, bad)] == [201, 201, 201]
    assert [r["status"] for r in results] == ["inserted", "updated", "error"]
    assert results[0]["sys_id"] == results[1]["sys_id"]


@case("attachment")
async def _(s: Scene) -> None:
    made = await s.made()
    params = {"table_name": "incident", "table_sys_id": made["sys_id"], "file_name": "a.json"}
    path, typed = "/api/now/attachment/file", {"content-type": "application/json"}
    answer = await s.call("POST", path, params=params, content=b"{}", headers=typed)
    assert answer.status_code == 201
    s.instance.hidden = {made["sys_id"]}
    answer = await s.call("POST", path, params=params, content=b"{}", headers=typed)
    assert answer.status_code == 404
