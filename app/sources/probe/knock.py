"""Questions below HTTP: an open port, its certificate, a name, and the doors of mail."""

from dataclasses import replace

from app.clients.dial import DialFailed, Fault, first_bytes
from app.clients.mail import DoorShut, MailProtocol
from app.clients.names import Found, look_up
from app.core.types import Symptom
from app.sources.probe.aspects import of_greeting
from app.sources.probe.errand import Errand
from app.sources.probe.settings import CheckKind
from app.sources.probe.verdict import Seen, failed, judge_text

EXCHANGERS = 2  # of a domain that an mx check tries, by preference
_PROTOCOLS = {
    CheckKind.IMAP: MailProtocol.IMAP,
    CheckKind.POP: MailProtocol.POP,
    CheckKind.SMTP: MailProtocol.SMTP,
    CheckKind.MX: MailProtocol.SMTP,
}


async def knock(errand: Errand) -> Seen:
    """Connect, with TLS if asked; what the other side says first counts only if expected."""
    settings, trace = errand.settings, errand.trace
    host, port = settings.address
    tls = errand.tls if settings.check is CheckKind.TLS else None
    limits = settings.limits
    opened = await errand.dialler.open(host, port, tls=tls, limits=limits, trace=trace)
    try:
        answer = {"issuer": opened.issuer} if opened.issuer else {}
        if settings.expect_text is None:
            return Seen(answer=answer)
        banner = await first_bytes(opened, limits=limits, trace=trace)
        seen = judge_text(settings, banner.decode("utf-8", "replace"))
        return replace(seen, answer=answer)
    finally:
        opened.close()


async def resolve(errand: Errand) -> Seen:
    """Resolve a name: as clients do, or one record type of it from a server."""
    settings, limits = errand.settings, errand.settings.limits
    name = settings.all_targets[0]
    if settings.record is None and not settings.nameservers:
        infos = await errand.dialler.resolve(name, 443, limits=limits, trace=errand.trace)
        return judge_text(settings, " ".join(str(info[4][0]) for info in infos))
    found = await _look_up(errand, name, settings.record or "A")
    seen = judge_text(settings, " ".join(found.values))
    return replace(seen, answer={"canonical": found.canonical})


async def _look_up(errand: Errand, name: str, record: str) -> Found:
    return await look_up(
        name,
        record,
        servers=errand.settings.nameservers,
        limits=errand.settings.limits,
        trace=errand.trace,
    )


async def greet(errand: Errand) -> Seen:
    """Read the banner of a mail server, secure the connection, and take leave."""
    host, port = errand.settings.address
    return await _greet(errand, host, port)


async def exchange(errand: Errand) -> Seen:
    """Find the mail exchangers of a domain and greet the first that answers; nothing is sent."""
    domain, port = errand.settings.address
    found = await _look_up(errand, domain, "MX")
    ranked = sorted((int(rank), host) for rank, host in (v.split() for v in found.values))
    hosts = [host.rstrip(".") for _, host in ranked[:EXCHANGERS]]
    if hosts == [""]:
        raise DialFailed(Fault.DNS, "dns", f"{domain} takes no mail (null MX)")
    suffix = hosts[0].partition(".")[2]
    for number, host in enumerate(hosts, start=1):
        try:
            seen = await _greet(errand, host, port)
        except DialFailed:
            if number == len(hosts):
                raise
        else:
            return replace(seen, answer=seen.answer | {"exchanger": suffix})
    raise DialFailed(Fault.DNS, "dns", f"{domain} names no mail exchanger")


async def _greet(errand: Errand, host: str, port: int) -> Seen:
    settings = errand.settings
    try:
        greeting = await errand.doors.greet(
            _PROTOCOLS[settings.check],
            host,
            port,
            security=settings.secured,
            tls=errand.tls,
            limits=settings.limits,
            trace=errand.trace,
        )
    except DoorShut as shut:
        return failed(Symptom.CONNECTION_FAILED, f"the door said no: {shut}")
    said = " ".join([greeting.banner, *greeting.offers])
    return replace(judge_text(settings, said), answer=of_greeting(greeting))
