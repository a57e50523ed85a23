"""The commands about probes: run one from here, or be the agent of another Sextant."""

import argparse
import asyncio
from collections.abc import Callable

from app.core.errors import SettingsError
from app.kit import logs

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def register(add: Add) -> None:
    """Add the commands to the command line."""
    probe = add("probe", _probe, "Run a probe once from here, or run an agent.")
    actions = probe.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser("run", help="run a probe once, store nothing")
    run.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS)
    run.add_argument("name")
    agent = actions.add_parser("agent", help="run checks here, post their results elsewhere")
    agent.add_argument("--config", metavar="FILE", required=True, help="the agent's own file")


def _probe(arguments: argparse.Namespace) -> int:
    return _agent(arguments) if arguments.action == "agent" else _run(arguments)


def _agent(arguments: argparse.Namespace) -> int:
    from app.agent import run_agent  # noqa: PLC0415 - slow to import
    from app.main import read_agent_settings  # noqa: PLC0415 - the same

    settings = read_agent_settings(arguments.config)
    logs.configure()
    asyncio.run(run_agent(settings))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from app.main import read_settings  # noqa: PLC0415 - slow to import
    from app.sources.probe import run_once  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    found = [
        (probe, tenant.probe_account)
        for tenant in settings.tenants
        for probe in tenant.probes
        if probe.name == arguments.name
    ]
    if not found:
        names = sorted({p.name for t in settings.tenants for p in t.probes}) or ["none"]
        raise SettingsError(f"There is no probe {arguments.name}; known: {', '.join(names)}.")
    bad = 0
    for probe, account in found:
        result = asyncio.run(run_once(probe, account=account))
        bad += result.outcome != "ok"
        took = f"{result.latency_ms:.0f} ms" if result.latency_ms is not None else "no answer"
        print(f"{result.probe} from {result.location}: {result.outcome} ({took}) "
              f"{result.error or ''}".rstrip())  # fmt: skip
        phases = (
            f"{name.removesuffix('_ms')} {ms:g} ms" for name, ms in (result.phases or {}).items()
        )
        print(f"  phases: {', '.join(phases)}")
        for told in (result.answer, result.diagnostics):
            print("".join(f"  {name}: {value}\n" for name, value in (told or {}).items()), end="")
    return 1 if bad else 0
