"""The paper: what the settings alone tell: address, egress, retention, messages, channels."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from app.core.catalogue import display_name
from app.core.errors import SettingsError
from app.core.independence import needs, warnings_of
from app.doctor.finding import Finding, note, problem, warning, well
from app.kit.egress import LOOPBACK
from app.settings import Settings, TenantSettings
from app.words import writer_of

WIDE = {4: 16, 6: 48}  # prefixes shorter than these are whole estates, by version of IP
LEAST_INTAKE, LEAST_AUDIT = 7, 90  # days


def read(settings: Settings) -> Iterator[Finding]:
    """Everything that needs no database and no network."""
    if settings.tenants:
        names = ", ".join(tenant.id for tenant in settings.tenants)
        yield well("settings", f"They can be used; tenants: {names}.")
    else:
        yield problem(
            "settings", "No tenant is configured.",
            "Write a [[tenants]] table with an id, and name the file with --config.",
        )  # fmt: skip
    if settings.allow_inline_secrets:
        yield warning(
            "settings", "Secrets may stand in the settings file.",
            'Give them as { env = "NAME" } or { file = "PATH" } and take allow_inline_secrets out.',
        )  # fmt: skip
    yield from _public_url(settings)
    yield from _egress(settings)
    yield from _retention(settings)
    yield from _messages(settings)
    for tenant in settings.tenants:
        yield from _channels(tenant)


def _public_url(settings: Settings) -> Iterator[Finding]:
    url, host = settings.server.public_url, settings.server.host
    named = urlsplit(url)
    if named.hostname in LOOPBACK and host not in LOOPBACK:
        yield problem(
            "public_url", f"Links begin with {url}, which nobody else can open.",
            "Set server.public_url to the address by which people and receivers reach you.",
        )  # fmt: skip
    elif named.hostname in LOOPBACK:
        yield note(
            "public_url", f"Links begin with {url}: only this machine can open them.",
            fix="Set server.public_url before others are to read messages or the console.",
        )  # fmt: skip
    elif named.scheme != "https":
        yield warning(
            "public_url", f"{url} is not https: keys and sessions travel in the clear.",
            "Put a proxy with TLS before it and set server.public_url to https://….",
        )  # fmt: skip
    else:
        yield well("public_url", f"Links begin with {url}.")


def _egress(settings: Settings) -> Iterator[Finding]:
    wide = [
        str(rule.cidr)
        for rule in settings.egress.allow
        if rule.cidr is not None
        and rule.cidr.prefixlen < WIDE[rule.cidr.version]
        and not rule.cidr.is_loopback
    ]
    everywhere = [rule for rule in settings.egress.allow if not rule.ports]
    if wide:
        yield warning(
            "egress", f"API callers may name receivers anywhere in {', '.join(wide)}.",
            "Name the hosts or small networks of your receivers, with their ports.",
        )  # fmt: skip
    elif everywhere:
        yield note(
            "egress", f"{len(everywhere)} entries of [egress] allow permit every port.",
            fix="Name the ports of the receivers.",
        )  # fmt: skip
    else:
        number = len(settings.egress.allow)
        text = f"Beside public receivers, {number} private networks or hosts are permitted."
        yield well("egress", text)


def _retention(settings: Settings) -> Iterator[Finding]:
    kept = settings.retention
    found = False
    if kept.intake_days < LEAST_INTAKE:
        found = True
        yield warning(
            "retention", f"Signals are kept for {kept.intake_days} days only.",
            f"Set retention.intake_days to {LEAST_INTAKE} or more: the rest cannot be replayed.",
        )  # fmt: skip
    if kept.audit_days < LEAST_AUDIT:
        found = True
        yield warning(
            "retention", f"The audit log is kept for {kept.audit_days} days only.",
            f"Set retention.audit_days to {LEAST_AUDIT} or more.",
        )  # fmt: skip
    if not found:
        yield well(
            "retention",
            f"Signals {kept.intake_days} days, events {kept.events_days}, incidents "
            f"{kept.incidents_days}, audit {kept.audit_days}.",
        )


def _messages(settings: Settings) -> Iterator[Finding]:
    try:
        writer_of(settings).try_out()
    except SettingsError as error:
        yield problem("messages", str(error), "Mend the file; docs/messages.md says how.")
        return
    spoken = ", ".join(settings.messages.languages)
    yield well("messages", f"Every message can be written ({spoken}).")
    for tenant in settings.tenants:
        if not tenant.contact:
            yield note(
                "messages", "Messages to people do not say how the help desk is reached.",
                fix="Set contact in the tenant's table.", tenant=tenant.id,
            )  # fmt: skip


def _channels(tenant: TenantSettings) -> Iterator[Finding]:
    facts = [channel.facts for channel in tenant.channels]
    if not facts:
        yield warning(
            "channels", "No channel is configured: people hear of an outage only where they look.",
            "Add [[tenants.channels]], at least one that does not depend on Microsoft 365.",
            tenant=tenant.id,
        )  # fmt: skip
    said = warnings_of(facts)
    for sentence in said:
        yield warning(
            "channels", sentence, "Add a channel that does not depend on Microsoft 365.",
            tenant=tenant.id,
        )  # fmt: skip
    if facts and not said:
        names = ", ".join(one.name for one in facts)
        text = f"No single service of Microsoft 365 silences an audience ({names})."
        yield well("channels", text, tenant=tenant.id)
    for one in facts:
        text = f"Try it before the outage: `sextant channel test {one.name}`."
        yield note("channels", text, tenant=tenant.id)
    for mirror in tenant.mirrors:
        touched = needs(mirror.depends_on)
        if touched:
            shown = ", ".join(display_name(slug) for slug in sorted(touched))
            text = f"{mirror.name} depends on {shown}: tickets wait while these are down."
            yield note("mirrors", text, tenant=tenant.id)
