"""Domains: every fault domain that anything was said of."""

from app.core.lines import Domain, Lines


def domains_of(lines: Lines) -> list[Domain]:
    """Every domain that anything was said of."""
    services = sorted({*lines.state.epochs, *lines.tracks})
    found = [Domain(f"service:{service}", lines, (service,)) for service in services]
    for network in sorted(lines.networks):
        heard = sorted(lines.networks[network])
        found += [
            Domain(f"service:{service}@{network}", lines, (service,), network) for service in heard
        ]
    for network in sorted({*lines.networks, *lines.places}):
        heard = sorted(lines.networks.get(network, ()))
        found.append(Domain(f"network:{network}", lines, tuple(heard), network, wide=True))
    by_part: dict[str, set[str]] = {}
    for key, incident in lines.parts.items():
        state = lines.state
        owner = state.cells[key].service if key in state.cells else state.tracks[key].service
        by_part.setdefault(incident, set()).add(owner)
    for incident in sorted(by_part):
        named = tuple(sorted(by_part[incident]))
        found.append(Domain(f"split:{incident}", lines, named, part=incident))
    return found
