"""The sight: whether the vendor's word can be read, and whether probes can judge."""

from collections.abc import Iterator

from app.doctor.finding import Finding, problem, warning, well
from app.kit.clock import Clock
from app.settings import Settings, TenantSettings
from app.sources.graph import Shared
from app.sources.graph.check import check


async def graph(settings: Settings, clock: Clock) -> list[Finding]:
    """Sign in and read once for every tenant, as ``sextant graph check`` does."""
    found: list[Finding] = []
    shared = Shared(clock)
    try:
        for tenant in settings.tenants:
            if tenant.graph is None:
                text = "No [tenants.graph]: what Microsoft says is not read."
                fix = "Add it (docs/graph.md), or post what you read to /v1/intake/graph."
                found.append(warning("graph", text, fix, tenant=tenant.id))
                continue
            told = await check(tenant.graph, shared, now=clock.now())
            text, fix = " ".join(told.found), " ".join(told.fix)
            if told.failed:
                found.append(problem("graph", text, fix, tenant=tenant.id))
            elif told.fix:
                found.append(warning("graph", text, fix, tenant=tenant.id))
            else:
                found.append(well("graph", text, tenant=tenant.id))
    finally:
        await shared.aclose()
    return found


def probes(settings: Settings) -> Iterator[Finding]:
    """Whether each tenant is measured, from enough places, each with a check of itself."""
    for tenant in settings.tenants:
        yield from _probes(tenant)


def _probes(tenant: TenantSettings) -> Iterator[Finding]:
    if not tenant.probes:
        yield warning(
            "probes", "No probe is configured here: nothing of our own measures.",
            "Add [[tenants.probes]], or an agent with a key of the scope probes:write.",
            tenant=tenant.id,
        )  # fmt: skip
        return
    places = sorted({probe.location for probe in tenant.probes})
    guarded = {probe.location for probe in tenant.probes if probe.is_control}
    bare = [place for place in places if place not in guarded]
    if bare:
        yield warning(
            "probes", f"{', '.join(bare)}: nothing there tells its own faults from the vendor's.",
            "Add a check of kind control at each location, with targets outside Microsoft.",
            tenant=tenant.id,
        )  # fmt: skip
    if len(places) == 1:
        yield warning(
            "probes", f"All probes measure from {places[0]}.",
            "Add a second location: one alone cannot confirm anything by probes.",
            tenant=tenant.id,
        )  # fmt: skip
    if not bare and len(places) > 1:
        text = f"{len(tenant.probes)} probes at {len(places)} locations, each with a control check."
        yield well("probes", text, tenant=tenant.id)
