"""The receiver of the kill runs knows whose delivery it took, however early that came."""

import asyncio
import json
import random

from tests.chaos.history import History
from tests.chaos.receiver import Receiver


async def test_a_ping_that_overtakes_the_answer_counts_for_its_subscription() -> None:
    receiver = Receiver(History(), random.Random(1))
    port = await receiver.start()
    body = json.dumps({"type": "test.ping", "tenant": "alpha"}).encode()
    head = f"POST /alpha-native HTTP/1.1\r\nwebhook-id: evt_1\r\ncontent-length: {len(body)}"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + b"\r\n\r\n" + body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        receiver.know("alpha-native", "sub_1", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        writer.close()
    finally:
        await receiver.stop()
    (heard,) = receiver.history.heard
    assert (heard.subscription, heard.webhook_id, heard.accepted) == ("sub_1", "evt_1", True)
