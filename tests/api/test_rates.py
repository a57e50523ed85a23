"""Rates: a key that asks too often is told when to come again; others are not touched."""

from types import SimpleNamespace

import httpx
import pytest

from app.api.app import create_api
from app.core.errors import RateLimited
from app.flow.rates import MOST_BUCKETS, Buckets
from tests.api.conftest import URL, Context, make_key


def test_a_bucket_empties_and_fills_again() -> None:
    now = [0.0]
    buckets = Buckets(2.0, clock=lambda: now[0])
    for _ in range(8):
        buckets.take("anna")
    with pytest.raises(RateLimited) as refused:
        buckets.take("anna")
    assert refused.value.facts == {"retry_after_seconds": 1}
    buckets.take("bob")
    now[0] = 0.5
    buckets.take("anna")
    with pytest.raises(RateLimited):
        buckets.take("anna")


def test_no_rate_is_no_limit_and_memory_is_bounded() -> None:
    free = Buckets(0.0)
    for _ in range(1000):
        free.take("anna")
    now = [0.0]
    buckets = Buckets(1.0, clock=lambda: now[0])
    for number in range(MOST_BUCKETS + 5):
        now[0] += 1.0
        buckets.take(str(number))
    assert len(buckets._levels) < 10


async def test_a_caller_over_its_share_gets_a_problem(world: Context) -> None:
    world.settings.limits = SimpleNamespace(
        key_voices=0,
        body_bytes=1000,
        intake_body_bytes=1000,
        api_requests_per_second=0.5,
        intake_requests_per_second=0.0,
    )
    anna, bob = await make_key(world, "admin"), await make_key(world, "admin", name="bob")
    transport = httpx.ASGITransport(create_api(world))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        for left in (1, 0):
            answer = await client.get("/v1/keys", headers=anna)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"api";q=2;w=4'
            assert answer.headers["ratelimit"] == f'"api";r={left};t=2'
        refused = await client.get("/v1/keys", headers=anna)
        assert refused.status_code == 429
        assert refused.headers["ratelimit"].startswith('"api";r=0;t=')
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/v1/keys", headers=bob)).status_code == 200
        free = await client.get("/livez")
        assert free.status_code == 200
        assert "ratelimit" not in free.headers
