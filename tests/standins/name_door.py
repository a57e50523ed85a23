"""DNS stand-in: a resolver over UDP on loopback, with a small zone and in moods."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"
TTL = 300


class NameMood(StrEnum):
    """How the resolver behaves."""

    WELL = "well"
    SILENT = "silent"
    SERVFAIL = "servfail"
    REFUSED = "refused"


@dataclass(slots=True)
class NameDoor:
    """The resolver; ``zone`` maps (name, type) to records in text form, ``asked`` counts."""

    zone: dict[tuple[str, str], list[str]]
    mood: NameMood = NameMood.WELL
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it listens, as a check's ``nameservers`` takes it."""
        return f"{HOST}:{self.port}"

    def answer(self, wire: bytes) -> bytes | None:
        """Answer one query; None stays silent."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.mood is NameMood.SILENT:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        codes = {NameMood.SERVFAIL: dns.rcode.SERVFAIL, NameMood.REFUSED: dns.rcode.REFUSED}
        if self.mood in codes:
            reply.set_rcode(codes[self.mood])
            return reply.to_wire()
        alias = self.zone.get((name, "CNAME"))
        if alias and kind != "CNAME":
            reply.answer.append(dns.rrset.from_text(question.name, TTL, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".")
        records = self.zone.get((name, kind))
        if records:
            reply.answer.append(dns.rrset.from_text(f"{name}.", TTL, "IN", kind, *records))
        elif not any(known == name for known, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, door: NameDoor) -> None:
        self._door = door
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._door.answer(data)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def name_door(zone: dict[tuple[str, str], list[str]]) -> AsyncIterator[NameDoor]:
    """Serve a zone on a free port."""
    door = NameDoor(zone)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Protocol(door), local_addr=(HOST, 0)
    )
    door.port = transport.get_extra_info("sockname")[1]
    try:
        yield door
    finally:
        transport.close()
