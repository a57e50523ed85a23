"""Conformance cases: signing in, creating, querying, paging."""

from typing import Any

import httpx

from tests.standins.servicenow.scene import INCIDENT, Scene, case


@case("auth-none")
async def _(s: Scene) -> None:
    answer = await s.call("GET", auth=None)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "User Not Authenticated"


async def _token(s: Scene, **changes: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "s3cret"}
    return await s.client.post("/oauth_token.do", data={**form, **changes})


@case("auth-basic-oauth-apikey")
async def _(s: Scene) -> None:
    token = (await _token(s)).json()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 1799
    for given in ({"authorization": f"Bearer {token['access_token']}"}, {"x-sn-apikey": "key-1"}):
        assert (await s.call("GET", auth=None, headers=given)).status_code == 200
    assert (await s.call("GET")).status_code == 200


@case("oauth-json-body")
async def _(s: Scene) -> None:
    answer = await s.client.post("/oauth_token.do", json={"grant_type": "client_credentials"})
    assert answer.status_code >= 400
    assert "access_token" not in answer.text


@case("oauth-denied")
async def _(s: Scene) -> None:
    denied = {"error_description": "access_denied", "error": "server_error"}
    wrong = await _token(s, client_secret="wrong")
    s.instance.grant_enabled = False
    for answer in (wrong, await _token(s)):
        assert (answer.status_code, answer.json()) == (401, denied)


@case("token-expiry")
async def _(s: Scene) -> None:
    async def read() -> int:
        headers = {"authorization": f"Bearer {token}"}
        return (await s.call("GET", auth=None, headers=headers)).status_code

    token = (await _token(s)).json()["access_token"]
    assert await read() == 200
    s.wait(1801)
    assert await read() == 401
    token = (await _token(s)).json()["access_token"]
    assert await read() == 200


@case("no-accept")
async def _(s: Scene) -> None:
    assert (await s.call("GET", headers={"accept": ""})).status_code == 400


@case("create-201")
async def _(s: Scene) -> None:
    answer = await s.call("POST", json={"short_description": "Mail is down"})
    result = answer.json()["result"]
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"{INCIDENT}/{result['sys_id']}")
    assert len(result["sys_id"]) == 32
    int(result["sys_id"], 16)
    assert result["number"].startswith("INC")
    assert len(result["number"]) == 10
    assert result["state"] == "1"
    assert all(isinstance(v, str) or set(v) == {"link", "value"} for v in result.values())


@case("create-only-first")
async def _(s: Scene) -> None:
    await s.call("POST", json=[{"short_description": "one"}, {"short_description": "two"}])
    assert [row["short_description"] for row in s.instance.incidents()] == ["one"]


@case("no-idempotency")
async def _(s: Scene) -> None:
    for _ in range(2):
        await s.made(correlation_id="sextant:1")
    assert len(s.instance.incidents(correlation_id="sextant:1")) == 2


@case("choice-default")
async def _(s: Scene) -> None:
    made = await s.made(short_description="x")
    assert (made["impact"], made["urgency"], made["priority"]) == ("3", "3", "5")


@case("priority-computed")
async def _(s: Scene) -> None:
    assert (await s.made(impact="1", urgency="2", priority="5"))["priority"] == "2"


@case("reference-shape")
async def _(s: Scene) -> None:
    group = s.instance.add_group("Messaging")
    made = await s.made(assignment_group=group)

    async def shape(**params: str) -> Any:
        answer = await s.call("GET", f"{INCIDENT}/{made['sys_id']}", params=params)
        return answer.json()["result"]["assignment_group"]

    link = f"{s.client.base_url}".rstrip("/") + f"/api/now/table/sys_user_group/{group}"
    assert await shape() == {"link": link, "value": group}
    assert await shape(sysparm_exclude_reference_link="true") == group
    assert await shape(sysparm_display_value="true") == {"display_value": "Messaging", "link": link}
    every = {"display_value": "Messaging", "value": group, "link": link}
    assert await shape(sysparm_display_value="all") == every


@case("bad-reference-display")
async def _(s: Scene) -> None:
    answer = await s.call("POST", json={"assignment_group": "No such group"},
                          params={"sysparm_input_display_value": "true"})  # fmt: skip
    assert (answer.status_code, answer.json()["result"]["assignment_group"]) == (201, "")


@case("unknown-field")
async def _(s: Scene) -> None:
    assert "u_nope" not in await s.made(u_nope="x")


@case("too-long")
async def _(s: Scene) -> None:
    assert len((await s.made(short_description="x" * 300))["short_description"]) == 160


@case("journal-write")
async def _(s: Scene) -> None:
    made = await s.made()
    answer = await s.patched(made["sys_id"], work_notes="Seen from Berlin.")
    assert answer.json()["result"]["work_notes"] == ""
    (row,) = s.instance.rows("sys_journal_field")
    assert (row["element"], row["value"]) == ("work_notes", "Seen from Berlin.")


@case("journal-append")
async def _(s: Scene) -> None:
    made = await s.made()
    for text in ("one", "two"):
        await s.patched(made["sys_id"], work_notes=text)
    assert s.instance.notes_of(made["sys_id"]) == ["one", "two"]


@case("journal-acl")
async def _(s: Scene) -> None:
    await s.made(work_notes="secret")
    answer = await s.call("GET", "/api/now/table/sys_journal_field", auth=("poor", "pw"))
    assert (answer.status_code, answer.json()) == (200, {"result": []})


@case("invalid-query-ignored")
async def _(s: Scene) -> None:
    for number in range(2):
        await s.made(correlation_id=f"sextant:{number}")
    assert len(await s.listed("correlation_idd=sextant:1")) == 2
    s.instance.strict_queries = True
    assert await s.listed("correlation_idd=sextant:1") == []


@case("query-grammar")
async def _(s: Scene) -> None:
    group = s.instance.add_group("Messaging")
    names = {}
    for short, state, more in (
        ("alpha", "1", {}), ("beta", "2", {"assignment_group": group}), ("gamma", "1", {}),
    ):  # fmt: skip
        made = await s.made(short_description=short, **more)
        await s.patched(made["sys_id"], state=state)
        names[short] = made["sys_id"]
    wanted = {
        "short_description=alpha": ["alpha"],
        "short_description!=alpha^ORDERBYshort_description": ["beta", "gamma"],
        "short_descriptionINalpha,gamma^ORDERBYDESCshort_description": ["gamma", "alpha"],
        "short_descriptionNOT INalpha,gamma": ["beta"],
        "short_descriptionLIKEamm": ["gamma"],
        "short_descriptionSTARTSWITHal": ["alpha"],
        "assignment_groupISEMPTY^ORDERBYshort_description": ["alpha", "gamma"],
        "assignment_groupISNOTEMPTY": ["beta"],
        "state>1": ["beta"],
        "state>=1^short_description=beta": ["beta"],
        "short_description=alpha^ORshort_description=beta^state=2": ["beta"],
        "short_description=alpha^NQstate=2^ORDERBYshort_description": ["alpha", "beta"],
        "assignment_group.name=Messaging": ["beta"],
        "short_descriptionlikeamm^ORDERBYshort_description": ["alpha", "beta", "gamma"],
    }
    for text, expected in wanted.items():
        assert [row["short_description"] for row in await s.listed(text)] == expected, text


@case("query-date")
async def _(s: Scene) -> None:
    await s.made(short_description="early")
    s.wait(1.4)
    made = await s.made(short_description="late")
    assert made["sys_updated_on"] == "2026-03-16 08:00:01"
    text = "sys_updated_on>=javascript:gs.dateGenerate('2026-03-16','08:00:01')"
    assert [row["short_description"] for row in await s.listed(text)] == ["late"]
    answer = await s.call("GET", auth=("poor", "pw"), params={
        "sysparm_query": "sys_updated_on>=javascript:gs.dateGenerate('2026-03-16','04:00:01')"
    })  # fmt: skip
    assert [row["short_description"] for row in answer.json()["result"]] == ["late"]


@case("name-value-filter")
async def _(s: Scene) -> None:
    for number in range(2):
        await s.made(correlation_id=f"sextant:{number}")
    answer = await s.call("GET", params={"correlation_id": "sextant:1"})
    assert [row["correlation_id"] for row in answer.json()["result"]] == ["sextant:1"]


@case("paging")
async def _(s: Scene) -> None:
    for _ in range(250):
        s.instance.insert("cmdb_ci_service", name="x")
    path = "/api/now/table/cmdb_ci_service"
    first = await s.call("GET", path, params={"sysparm_limit": "100"})
    last = await s.call("GET", path, params={"sysparm_limit": "100", "sysparm_offset": "200"})
    assert first.headers["x-total-count"] == "250"
    assert {'rel="first"', 'rel="prev"', 'rel="next"', 'rel="last"'} <= {
        part.split(";")[1] for part in first.headers["link"].split(",")
    }
    assert "sysparm_offset=-100>" in first.headers["link"]
    assert 'rel="next"' not in last.headers["link"]
    assert len(last.json()["result"]) == 50


@case("limit-before-acl")
async def _(s: Scene) -> None:
    made = [await s.made(short_description=f"{n}") for n in range(12)]
    s.instance.hidden = {row["sys_id"] for row in made[2:5]}
    answer = await s.call("GET", params={"sysparm_limit": "10"})
    assert len(answer.json()["result"]) == 7
    assert 'rel="next"' in answer.headers["link"]


@case("v1-v2-empty")
async def _(s: Scene) -> None:
    query = {"correlation_id": "none"}
    assert (await s.call("GET", "/api/now/v1/table/incident", params=query)).status_code == 404
    answer = await s.call("GET", "/api/now/v2/table/incident", params=query)
    assert (answer.status_code, answer.json()) == (200, {"result": []})


@case("get-404")
async def _(s: Scene) -> None:
    made = await s.made()
    s.instance.hidden = {made["sys_id"]}
    for path in (f"{INCIDENT}/{made['sys_id']}", f"{INCIDENT}/{'0' * 32}"):
        for answer in (await s.call("GET", path), await s.call("PATCH", path, json={"state": "2"})):
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == "No Record found"
