"""Records of the domain name system, asked of a resolver directly; dnspython speaks the protocol.

Connections still resolve through the operating system (``clients.dial``), as any client does; a
check of DNS itself needs what that way hides: the record type, the server, the answer's code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.clients.dial import DialFailed, Fault, Limits, Trace, timed

DNS_PORT = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The records of one name: ``values`` in text form, sorted; ``canonical`` after CNAMEs."""

    values: tuple[str, ...]
    canonical: str


async def look_up(
    name: str, record: str, *, servers: Sequence[str], limits: Limits, trace: Trace
) -> Found:
    """Ask for the records of a type.

    Args:
        name: A host name without trailing dot.
        record: ``A``, ``AAAA``, ``MX``, ``CNAME``, ``TXT``, ``NS`` or ``SRV``.
        servers: ``address`` or ``address:port`` (one port for all); empty: those of this machine.
        limits: ``dns`` bounds the whole lookup.
        trace: Is told ``dns_ms``.

    Raises:
        DialFailed: no such name, no such record, or no server answered in time.
    """
    import dns.asyncresolver  # noqa: PLC0415 - takes a third of a second, and few checks need it
    import dns.exception  # noqa: PLC0415 - the same
    import dns.resolver  # noqa: PLC0415 - the same

    async with timed(trace, "dns", limits.dns):
        try:
            resolver = dns.asyncresolver.Resolver(configure=not servers)
            if servers:
                pairs = [_address(server) for server in servers]
                resolver.nameservers = [address for address, _ in pairs]
                resolver.port = pairs[0][1]
            answer = await resolver.resolve(name, record, lifetime=limits.dns, search=False)
        except dns.resolver.LifetimeTimeout as error:
            raise DialFailed(Fault.TIMEOUT, "dns", "no server answered in time") from error
        except dns.resolver.NoResolverConfiguration as error:
            raise DialFailed(Fault.OURS, "dns", "this machine has no resolver") from error
        except dns.resolver.NXDOMAIN as error:
            raise DialFailed(Fault.DNS, "dns", f"NXDOMAIN: there is no {name}") from error
        except dns.resolver.NoAnswer as error:
            raise DialFailed(Fault.DNS, "dns", f"{name} has no {record} record") from error
        except dns.resolver.NoNameservers as error:  # SERVFAIL, REFUSED
            tried = getattr(error, "kwargs", {}).get("errors") or ()
            codes = sorted({str(one[3]) for one in tried}) or ["SERVFAIL"]
            raise DialFailed(Fault.DNS, "dns", ", ".join(codes)[:80]) from error
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise DialFailed(Fault.DNS, "dns", str(error) or type(error).__name__) from error
    texts = sorted(item.to_text() for item in answer)
    canonical = answer.canonical_name.to_text(omit_final_dot=True)
    return Found(values=tuple(texts), canonical=canonical)


def _address(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return host.strip("[]"), int(port)
    return server.strip("[]"), DNS_PORT
