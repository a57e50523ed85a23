"""A check says what it met, in the closed words, whatever the other side does."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.clients.dial import Dialler
from app.core.errors import SettingsError
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, Symptom
from app.sources.probe import Probe, ProbeSettings, Toolbox, run_once
from tests.builders import NOW
from tests.sources.door import Door, open_door

FAILED, OK, DEGRADED, UNKNOWN = Outcome.FAILED, Outcome.OK, Outcome.DEGRADED, Outcome.UNKNOWN


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as opened:
        yield opened


@pytest.fixture
def tools() -> Iterator[Toolbox]:
    made = Toolbox()
    yield made
    made.close()


def settings(**changes: Any) -> ProbeSettings:
    values = {"name": "front", "check": "http", "location": "berlin", "confirm_seconds": 0}
    return ProbeSettings(**{**values, **changes})


async def run(tools: Toolbox, *, reached: bool = True, **changes: Any) -> ProbeResult:
    probe = Probe(settings(**changes), tenant="contoso", tools=tools)
    probe.remember(reached=reached, learned=None)
    return await probe.run(now=NOW, location_sound=True)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(
    ("check", "path", "outcome", "symptom", "status"),
    [
        ("http", "/ok", OK, None, 200),
        ("http", "/503", FAILED, Symptom.HTTP_5XX, 503),
        ("http", "/gone", FAILED, Symptom.NOT_FOUND, 404),
        ("http", "/denied", FAILED, Symptom.AUTH_REJECTED, 403),
        ("http", "/challenge", FAILED, Symptom.AUTH_REJECTED, 401),
        ("http", "/busy", DEGRADED, Symptom.THROTTLED, 429),
        ("http", "/away", FAILED, Symptom.CONTENT_ERROR, 302),
        ("http", "/reset", FAILED, Symptom.CONNECTION_FAILED, None),
        ("http", "/early", FAILED, Symptom.CONNECTION_FAILED, None),
        ("http", "/garbage", FAILED, Symptom.CONTENT_ERROR, None),
        ("owa", "/away", OK, None, 302),
        ("owa", "/near", OK, None, 200),
        ("owa", "/cookie", OK, None, 302),
        ("owa", "/503", FAILED, Symptom.HTTP_5XX, 503),
        ("owa", "/errorfe", FAILED, Symptom.HTTP_5XX, 302),
        ("owa", "/nowhere", FAILED, Symptom.CONTENT_ERROR, 302),
        ("owa", "/bad-location", OK, None, 302),
        ("owa", "/loop", FAILED, Symptom.AUTH_LOOP, 302),
        ("owa", "/challenge", FAILED, Symptom.AUTH_LOOP, 401),
        ("activesync", "/bearer", OK, None, 401),
        ("activesync", "/challenge", FAILED, Symptom.AUTH_LOOP, 401),
        ("activesync", "/bare", FAILED, Symptom.AUTH_REJECTED, 401),
        ("activesync", "/503", FAILED, Symptom.HTTP_5XX, 503),
        ("activesync", "/away", FAILED, Symptom.CONTENT_ERROR, 302),
        ("mapi", "/bearer", OK, None, 401),
        ("openid", "/openid", OK, None, 200),
        ("openid", "/ok", FAILED, Symptom.CONTENT_ERROR, 200),
        ("openid", "/gone", FAILED, Symptom.NOT_FOUND, 404),
        ("teams", "/away", OK, None, 302),
        ("sharepoint", "/denied", OK, None, 403),
        ("graph", "/no-token", OK, None, 401),
        ("graph", "/bare", FAILED, Symptom.CONTENT_ERROR, 401),
        ("autodiscover", "/autodiscover", OK, None, 200),
        ("autodiscover", "/ok", FAILED, Symptom.CONTENT_ERROR, 200),
        ("autodiscover", "/503", FAILED, Symptom.HTTP_5XX, 503),
    ],
)
async def test_an_answer_is_judged_by_the_contract_of_its_check(
    door: Door, tools: Toolbox, check: str, path: str, outcome: Outcome, symptom: Symptom | None,
    status: int | None,
) -> None:  # fmt: skip
    result = await run(tools, check=check, target=door.url(path))
    assert (result.outcome, result.symptom, result.http_status) == (outcome, symptom, status)
    assert (result.error is None) == (outcome is OK)
    assert result.self_check is SelfCheck.OK


async def test_every_phase_of_a_secure_check_is_timed(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.secure_url("/ok"), ca_file=door.ca_file)
    assert result.outcome is OK
    assert result.phases is not None
    assert set(result.phases) == {"dns_ms", "connect_ms", "tls_ms", "first_byte_ms"}
    assert result.latency_ms is not None
    assert result.latency_ms >= sum(result.phases.values()) - 1


async def test_a_certificate_that_does_not_fit_the_name_is_a_tls_failure(
    door: Door, tools: Toolbox
) -> None:
    target = f"https://localhost:{door.wrong_name}/ok"
    result = await run(tools, target=target, ca_file=door.ca_file)
    assert (result.outcome, result.symptom) == (FAILED, Symptom.TLS_FAILURE)
    assert "localhost" in (result.error or "")


async def test_an_unknown_authority_is_a_tls_failure(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.secure_url("/ok"))
    assert result.symptom is Symptom.TLS_FAILURE


async def test_a_refused_connection_is_a_connection_failure(tools: Toolbox) -> None:
    result = await run(tools, target=f"http://127.0.0.1:{free_port()}/")
    assert (result.outcome, result.symptom) == (FAILED, Symptom.CONNECTION_FAILED)
    assert result.phases is not None
    assert "first_byte_ms" not in result.phases


async def test_a_door_that_hangs_runs_into_the_limit_of_the_first_byte(
    door: Door, tools: Toolbox
) -> None:
    result = await run(tools, target=door.url("/hang"), first_byte_seconds=0.05)
    assert result.symptom is Symptom.TIMEOUT
    assert (result.error or "").startswith("first_byte")


async def test_a_tls_handshake_that_hangs_runs_into_its_limit(door: Door, tools: Toolbox) -> None:
    target = f"127.0.0.1:{door.http}"  # waits for the end of a head that never comes
    result = await run(tools, check="tls", target=target, tls_seconds=0.05)
    assert result.symptom is Symptom.TIMEOUT
    assert (result.error or "").startswith("tls")


async def test_a_dripping_body_runs_into_the_total_limit(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.url("/drip"), total_seconds=0.15)
    assert result.symptom is Symptom.TIMEOUT
    assert (result.error or "").startswith("body")


async def test_a_healthy_answer_that_comes_late_is_slow(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.url("/slow"), slow_seconds=0.05)
    assert (result.outcome, result.symptom) == (DEGRADED, Symptom.SLOW)


async def test_a_huge_body_is_not_read_to_its_end(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.url("/huge"))
    assert result.outcome is OK


async def test_a_redirect_is_not_followed_elsewhere(door: Door, tools: Toolbox) -> None:
    await run(tools, check="owa", target=door.url("/away"))
    await run(tools, target=door.url("/near"))
    assert door.requests == ["GET /away", "GET /near"]


async def test_a_loop_is_counted_and_then_left(door: Door, tools: Toolbox) -> None:
    result = await run(tools, check="owa", target=door.url("/loop"), loop_repeats=3)
    assert len(door.requests) == 3
    assert result.error == "asked to sign in 3 times without an end"


async def test_a_credential_that_is_asked_for_again_and_again_is_a_loop(
    door: Door, tools: Toolbox
) -> None:
    changes = {"check": "activesync", "headers": {"authorization": "Bearer a.b.c"}}
    looping = await run(tools, target=door.url("/bearer"), **changes)
    assert looping.symptom is Symptom.AUTH_LOOP
    accepted = await run(tools, target=door.url("/ok"), **changes)
    assert accepted.outcome is OK


async def test_an_error_names_the_headers_of_a_support_case_and_no_others(
    door: Door, tools: Toolbox
) -> None:
    result = await run(tools, check="owa", target=door.url("/503"))
    assert result.error == ("HTTP 503: unexpected answer request-id=0b1c x-feserver=AM0PR01CA0001")


async def test_expected_statuses_replace_those_of_the_check(door: Door, tools: Toolbox) -> None:
    result = await run(tools, target=door.url("/challenge"), expect_status=[401])
    assert result.outcome is OK
    changes = {"check": "activesync", "expect_status": [401]}
    result = await run(tools, target=door.url("/challenge"), **changes)
    assert result.outcome is OK


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"expect_text": "is well"}, OK),
        ({"expect_text": "is ill"}, FAILED),
        ({"expect_header": "x-ready"}, OK),
        ({"expect_header": "X-Ready: QUITE"}, OK),
        ({"expect_header": "x-ready: no"}, FAILED),
        ({"expect_header": "x-absent"}, FAILED),
    ],
)
async def test_expected_content_must_come(
    door: Door, tools: Toolbox, changes: dict[str, Any], outcome: Outcome
) -> None:
    result = await run(tools, target=door.url("/ok"), **changes)
    assert result.outcome is outcome
    assert result.symptom is (None if outcome is OK else Symptom.CONTENT_ERROR)


async def test_a_port_that_opens_is_a_healthy_tcp_check(door: Door, tools: Toolbox) -> None:
    assert (await run(tools, check="tcp", target=f"127.0.0.1:{door.http}")).outcome is OK
    tls = await run(tools, check="tls", target=f"localhost:{door.https}", ca_file=door.ca_file)
    assert tls.outcome is OK


async def test_a_banner_is_waited_for_only_where_it_is_expected(tools: Toolbox) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK The Microsoft Exchange IMAP4 service is ready.\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    good = await run(tools, check="tcp", target=target, expect_text="* OK")
    bad = await run(tools, check="tcp", target=target, expect_text="+OK")
    server.close()
    assert good.outcome is OK
    assert (bad.outcome, bad.symptom) == (FAILED, Symptom.CONTENT_ERROR)


async def test_a_name_without_an_address_is_a_dns_failure() -> None:
    def lookup(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    tools = Toolbox(Dialler(lookup=lookup))
    result = await run(tools, check="dns", target="nothing.example")
    tools.close()
    assert (result.outcome, result.symptom) == (FAILED, Symptom.DNS_FAILURE)


async def test_a_resolver_that_hangs_is_a_dns_failure_and_asked_once_per_name() -> None:
    asked = []

    def lookup(host: str, port: int) -> list[Any]:
        asked.append(host)
        time.sleep(0.2)
        return []

    tools = Toolbox(Dialler(lookup=lookup))
    results = await asyncio.gather(
        *(run(tools, target="http://slow.example/", dns_seconds=0.05) for _ in range(20))
    )
    tools.close()
    assert {result.symptom for result in results} == {Symptom.DNS_FAILURE}
    assert asked == ["slow.example"]


async def test_a_name_that_resolves_is_a_healthy_dns_check(tools: Toolbox) -> None:
    assert (await run(tools, check="dns", target="localhost")).outcome is OK


async def test_the_next_address_is_tried_when_the_first_refuses(door: Door) -> None:
    def lookup(host: str, port: int) -> list[Any]:
        dead = ("127.0.0.1", free_port())
        alive = ("127.0.0.1", door.http)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in (dead, alive)]

    tools = Toolbox(Dialler(lookup=lookup))
    result = await run(tools, target="http://two.example/ok")
    tools.close()
    assert result.outcome is OK


async def test_a_fault_of_this_machine_proves_nothing() -> None:
    def lookup(host: str, port: int) -> list[Any]:
        raise OSError(24, "Too many open files")

    tools = Toolbox(Dialler(lookup=lookup))
    result = await run(tools, target="http://any.example/")
    tools.close()
    assert (result.outcome, result.symptom) == (UNKNOWN, None)


async def test_one_reachable_target_makes_a_location_sound(door: Door, tools: Toolbox) -> None:
    dead = f"127.0.0.1:{free_port()}"
    changes = {"check": "control", "name": "control", "first_byte_seconds": 0.2}
    targets = [dead, door.url("/hang"), door.url("/gone")]
    sound = await run(tools, targets=targets, **changes)
    assert (sound.outcome, sound.self_check) == (OK, SelfCheck.OK)
    assert sound.phases is not None
    assert "first_byte_ms" in sound.phases
    cut_off = await run(tools, target=dead, targets=[door.url("/503")], **changes)
    assert (cut_off.outcome, cut_off.self_check) == (FAILED, SelfCheck.FAILED)


async def test_a_fresh_failure_is_confirmed_once_and_a_lasting_one_is_not(
    door: Door, tools: Toolbox
) -> None:
    changed = settings(target=door.url("/503"), confirm_seconds=8)
    probe = Probe(changed, tenant="contoso", tools=tools, pace=1000)
    asked = []
    for turn in range(3):
        await probe.run(now=NOW + timedelta(minutes=turn), location_sound=None)
        asked.append(len(door.requests))
    assert asked == [2, 3, 4]


async def test_a_failure_that_is_gone_at_the_confirming_try_is_no_failure(tools: Toolbox) -> None:
    answers = [
        b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    probe = Probe(
        settings(target=target, confirm_seconds=8), tenant="contoso", tools=tools, pace=1000
    )
    result = await probe.run(now=NOW, location_sound=True)
    server.close()
    assert (result.outcome, result.symptom) == (OK, None)
    assert "HTTP 503" in (result.error or "")


@pytest.mark.parametrize(
    ("sound", "self_check"),
    [(True, SelfCheck.OK), (False, SelfCheck.FAILED), (None, SelfCheck.NONE)],
)
async def test_a_result_says_whether_its_location_was_sound(
    door: Door, tools: Toolbox, *, sound: bool | None, self_check: SelfCheck
) -> None:
    probe = Probe(settings(target=door.url("/ok")), tenant="contoso", tools=tools)
    assert (await probe.run(now=NOW, location_sound=sound)).self_check is self_check


async def test_the_id_of_a_result_is_derived(door: Door, tools: Toolbox) -> None:
    first = await run(tools, target=door.url("/ok"))
    again = await run(tools, target=door.url("/gone"))
    elsewhere = await run(tools, target=door.url("/ok"), location="paris")
    assert first.id == again.id != elsewhere.id


async def test_the_vendor_gets_an_id_to_look_up(door: Door, tools: Toolbox) -> None:
    result = await run(
        tools, check="owa", target=door.url("/signed-in"), expect_header="x-seen: True"
    )
    assert result.outcome is OK


async def test_one_check_can_be_run_by_hand(door: Door) -> None:
    result = await run_once(settings(target=door.url("/ok")))
    assert result.outcome is OK


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "needs one target"),
        ({"target": "https://a.example", "targets": ["https://b.example"]}, "needs one target"),
        ({"target": "a.example"}, "must be a URL"),
        ({"check": "tcp", "target": "a.example"}, "must be host:port"),
        ({"check": "tls", "target": "https://a.example"}, "must be host:port"),
        ({"check": "dns", "target": "https://a.example"}, "must be a host name"),
        ({"check": "control", "targets": ["a.example"]}, "must be host:port"),
        ({"target": "https://ä.example"}, "xn--"),
        ({"target": "https://a.example", "unknown": 1}, "unknown"),
        ({"check": "tcp", "target": "a.example:99999"}, "Port out of range"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_sentence(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changes)


def test_an_authority_file_that_is_none_stops_the_start(tmp_path: Path, tools: Toolbox) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "absent.pem"):
        changed = settings(target="https://a.example", ca_file=tmp_path / name)
        with pytest.raises(SettingsError, match="cannot be read as PEM"):
            Probe(changed, tenant="contoso", tools=tools)
