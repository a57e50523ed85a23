"""The doors for browsers: public keys, CORS, quotas; what comes by them is not believed alone."""

import gzip
import json
from datetime import timedelta

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from app.api.app import create_api
from app.bootstrap import build
from app.core.errors import InvalidInput, RateLimited
from app.core.policy import DEFAULT_POLICY
from app.flow import keys
from app.flow.vouch import PublicQuota, network_of, voucher
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import intake as store
from app.store.keys import NO_BOUNDS, Bounds
from tests.api.conftest import OTHER, URL
from tests.api.storm import event_bytes, rage, told
from tests.builders import NOW, TENANT

TENANTS = [{"id": TENANT, "name": "Contoso", "users": 500}, {"id": OTHER}]
BROWSER = "/v1/intake/browser"


@pytest.fixture
def world(sqlite_database):
    settings = Settings.model_validate(
        {
            "tenants": TENANTS,
            "server": {"public_url": URL},
            "limits": {"public_requests_per_second": 0},
        }
    )
    made = build(settings, sqlite_database)
    doors = made.doors
    made.clock = made.fold._clock = FixedClock(NOW)
    doors.foreign._clock = doors.standing._clock = made.clock
    return made


@pytest.fixture
def api(world):
    return create_api(world)


async def make(world, *scopes, tenant=TENANT, name="k", bounds=NO_BOUNDS):
    now = world.clock.now()
    made = await keys.create(
        world.db, tenant=tenant, name=name, scopes=scopes, now=now, bounds=bounds
    )
    return made.secret


@pytest.fixture
async def public(world):
    return await make(world, "reports:public")


def stored(world):
    rows = world.db.read_now(lambda c: store.after(c, TENANT, 0, 0, 10_000))
    return [signal for row in rows for signal in row.signals]


def report(**changes):
    return {"service": "exchange-online", "http_status": 503, **changes}


async def post(client, path, body, headers=None, media="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=body, headers={"content-type": media, **(headers or {})})


# -- who may -----------------------------------------------------------------------------------


async def test_a_page_may_send_without_a_header_and_may_read_the_answer(world, client, public):
    answer = await post(client, f"{BROWSER}?key={public}", report(), media="text/plain")
    assert answer.status_code == 202, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.json()["accepted"] == 1
    refused = await post(client, f"{BROWSER}?key={public}", b"{", media="text/plain")
    assert refused.status_code == 400
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_a_browser_may_ask_first(client):
    for path in (BROWSER, "/v1/intake/reporting", "/v1/intake/sentry/api/1/envelope/"):
        answer = await client.options(path)
        assert answer.status_code == 204
        assert "authorization" in answer.headers["access-control-allow-headers"]


async def test_a_public_key_opens_nothing_else(world, client, public):
    bearer = {"authorization": f"Bearer {public}"}
    assert public.startswith("sxt_pub_")
    for method, path in (
        ("POST", "/v1/client-reports"), ("POST", "/v1/probe-results"), ("GET", "/v1/incidents"),
        ("POST", "/v1/intake/alertmanager"), ("POST", "/v1/otlp/v1/logs"), ("GET", "/v1/keys"),
    ):  # fmt: skip
        answer = await client.request(method, path, headers=bearer, content=b"{}")
        assert answer.status_code == 403, path
    assert (await post(client, BROWSER, report(), bearer)).status_code == 202


async def test_other_keys_are_known_by_their_scope_and_never_stand_in_an_address(world, client):
    trusted, reader = await make(world, "intake:write"), await make(world, "incidents:read")
    bearer = {"authorization": f"Bearer {trusted}"}
    assert (await post(client, BROWSER, report(reporter="a"), bearer)).status_code == 202
    assert (await post(client, f"{BROWSER}?key={trusted}", report())).status_code == 401
    bearer = {"authorization": f"Bearer {reader}"}
    assert (await post(client, BROWSER, report(), bearer)).status_code == 403
    assert (await post(client, BROWSER, report())).status_code == 401


async def test_a_public_key_has_one_scope_and_one_tenant(world):
    for scopes, tenant in ((("reports:public", "admin"), TENANT), (("reports:public",), "*")):
        with pytest.raises(InvalidInput):
            await make(world, *scopes, tenant=tenant)


async def test_an_sdk_of_sentry_may_send_by_its_dsn(world, client, public):
    envelope = b'{}\n{"type":"event"}\n' + json.dumps({"message": "AADSTS50196"}).encode()
    path = "/v1/intake/sentry/api/1/envelope/"
    asked = await post(client, f"{path}?sentry_key={public}&sentry_version=7", envelope, media="")
    assert asked.status_code == 202, asked.text
    auth = {
        "x-sentry-auth": f"Sentry sentry_version=7, sentry_key={public}",
        "content-encoding": "gzip",
    }
    envelope = gzip.compress(envelope.replace(b"50196", b"90033"))
    media = "application/x-sentry-envelope"
    assert (await post(client, path, envelope, auth, media)).json()["accepted"] == 1
    assert {signal.fine for signal in stored(world)} == {"auth_loop", "directory_unavailable"}


async def test_the_snippet_may_be_loaded_by_any_page(client):
    answer = await client.get("/v1/snippet/report.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


# -- OTLP --------------------------------------------------------------------------------------


def logs(*texts):
    records = [
        {
            "severityNumber": 17,
            "timeUnixNano": f"{1773642600 + n}000000000",
            "body": {"stringValue": t},
        }
        for n, t in enumerate(texts)
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


async def test_an_exporter_is_answered_as_it_expects(world, client):
    bearer = {"authorization": f"Bearer {await make(world, 'intake:write')}"}
    answer = await post(client, "/v1/otlp/v1/logs", logs("503", "", "timed out"), bearer)
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert len(stored(world)) == 2
    whole = await post(client, "/v1/otlp/v1/logs", logs("504"), bearer)
    assert whole.json() == {}
    none = await post(client, "/v1/otlp/v1/logs", logs(""), bearer)
    assert (none.status_code, none.json()["partialSuccess"]["rejectedLogRecords"]) == (200, "1")
    assert (await post(client, "/v1/otlp/v1/logs", b"{", bearer)).status_code == 400
    packed = await post(client, "/v1/otlp/v1/metrics", b"", bearer, "application/x-protobuf")
    assert (packed.status_code, packed.headers["content-type"]) == (200, "application/x-protobuf")
    assert ExportLogsServiceResponse.FromString(packed.content) == ExportLogsServiceResponse()


# -- quotas ------------------------------------------------------------------------------------


async def test_a_public_body_is_small_and_a_key_has_its_hour(world, client, public):
    path = f"{BROWSER}?key={public}"
    large = json.dumps([report(message="x" * 4000)] * 20).encode()
    assert (await post(client, path, large)).status_code == 413
    world.doors.quota._most = 3
    assert (await post(client, path, [report(id=str(n)) for n in range(3)])).status_code == 202
    full = await post(client, path, report(id="4"))
    assert (full.status_code, full.headers["retry-after"]) == (429, "1800")
    assert full.headers["access-control-expose-headers"] == "retry-after"
    assert len(stored(world)) == 3
    world.clock.at = NOW + timedelta(minutes=30)
    assert (await post(client, path, report(id="5"))).status_code == 202


def test_addresses_of_one_network_share_their_rate():
    quota = PublicQuota(requests_per_second=1, reports_per_hour=0)
    for number in range(4):
        quota.admit(f"203.0.113.{number}")
    with pytest.raises(RateLimited):
        quota.admit("::ffff:203.0.113.200")
    quota.admit("2001:db8::1")
    assert network_of("2001:db8:0:1::1") == network_of("2001:db8:0:2::1") == "2001:db8::/48"
    assert network_of("nonsense") == "unknown"


# -- what it is worth --------------------------------------------------------------------------


def test_a_public_key_has_fewer_voices_than_make_a_group():
    said = {
        voucher("key_1", f"198.51.{n}.7", secret=b"s", policy=DEFAULT_POLICY)(
            report(reporter=f"r{n}", device="d", network="berlin", count=1000, id="x")
        )["reporter"]
        for n in range(200)
    }
    assert len(said) == DEFAULT_POLICY.quorum_actors - 1


def test_a_public_report_keeps_nothing_that_would_give_it_weight_or_anothers_id():
    rewrite = voucher("key_1", "198.51.100.7", secret=b"s", policy=DEFAULT_POLICY)
    made = rewrite(report(reporter="r", device="d", network="berlin", count=1000, id="x"))
    assert set(made) == {"service", "http_status", "reporter", "id"}
    assert made["id"] == "key_1 x"


def crowd(minute, number):
    """Fifty reports that claim as many reporters and devices, at forty sites."""
    return [
        report(
            id=f"{minute}-{number}-{n}",
            reporter=f"r{minute}-{number}-{n}",
            device=f"d{number}-{n}",
            network=f"site-{n % 40}",
            region="de",
            count=500,
        )
        for n in range(50)
    ]


async def test_one_public_key_in_bad_hands_opens_nothing(world, client, public):
    await rage(world, client, [(f"{BROWSER}?key={public}", None)], crowd)
    assert len(stored(world)) == 12 * 200
    assert told(world) == []
    assert event_bytes(world) == []


async def test_the_same_reports_by_the_key_of_a_collector_would_open(world, client):
    key = await make(world, "intake:write", bounds=Bounds(voices=0))
    bearer = {"authorization": f"Bearer {key}"}
    await rage(world, client, [(BROWSER, bearer)], crowd)
    assert [status for status, _ in told(world)] == ["confirmed"]


async def test_reports_by_public_keys_alone_never_confirm(world, client):
    secrets = [await make(world, "reports:public", name=f"k{n}") for n in range(6)]
    await rage(world, client, [(f"{BROWSER}?key={one}", None) for one in secrets], crowd)
    assert told(world) == [("suspected", 6)]
