"""The command line: one function for each command; exit 0 well, 1 failed, 2 wrong usage."""

import argparse
import asyncio
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app import cli_channel, cli_data, cli_doctor, cli_keys, cli_probe, cli_serve, cli_status
from app.cli_keys import WrongUsage
from app.core.errors import AppError, SettingsError

Command = Callable[[argparse.Namespace], int]


def _demo(arguments: argparse.Namespace) -> int:
    from app.demo.player import run  # noqa: PLC0415 - only this command needs it

    return run(
        port=arguments.port,
        speed=arguments.speed,
        scenario=arguments.scenario,
        once=arguments.once,
    )


def _migrate(arguments: argparse.Namespace) -> int:
    from app.bootstrap import open_database  # noqa: PLC0415 - slow to import
    from app.main import read_settings  # noqa: PLC0415 - the same

    open_database(read_settings(arguments.config), may_migrate=True).close()
    print("The tables are of this version.")
    return 0


def _openapi(arguments: argparse.Namespace) -> int:
    from app.api import openapi  # noqa: PLC0415 - slow to import
    from app.bootstrap import create_app  # noqa: PLC0415 - the same
    from app.settings.model import DatabaseSettings, Settings  # noqa: PLC0415 - the same

    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'openapi.db'}"
        application = create_app(Settings(database=DatabaseSettings(url=url)))
        if not arguments.check and not arguments.release:
            openapi.write(application)
            print(f"Wrote {openapi.FILE}.")
            return 0
        if arguments.release:
            openapi.release(application)
            print(f"Wrote {openapi.RELEASED}; from now on nothing of it may break.")
            return 0
        found = openapi.differences(application)
        broken = openapi.broken(application)
    if broken:
        raise SettingsError(f"Callers of the last release would break: {'; '.join(broken[:5])}.")
    if found:
        shown = "; ".join(found[:5])
        raise SettingsError(f"{openapi.FILE} differs from the application ({shown}): "
                            "run `make openapi`.")  # fmt: skip
    print(f"{openapi.FILE} equals the application.")
    return 0


def _graph(arguments: argparse.Namespace) -> int:
    return asyncio.run(_graph_check(arguments))


async def _graph_check(arguments: argparse.Namespace) -> int:
    from app.bootstrap import make_clock  # noqa: PLC0415 - slow to import
    from app.main import read_settings  # noqa: PLC0415 - the same
    from app.sources.graph import Shared  # noqa: PLC0415 - the same
    from app.sources.graph.check import check  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    watched = {tenant.id: tenant.graph for tenant in settings.tenants if tenant.graph is not None}
    if not watched:
        raise SettingsError("No tenant has a [tenants.graph] table.")
    clock = make_clock(settings.clock)
    failed, shared = 0, Shared(clock)
    try:
        for tenant, graph in watched.items():
            told = await check(graph, shared, now=clock.now())
            failed += told.failed
            print(f"{tenant}: {'FAILED' if told.failed else 'well'}")
            for sentence in told.found:
                print(f"  {sentence}")
            for sentence in told.fix:
                print(f"  To fix: {sentence}", file=sys.stderr)
    finally:
        await shared.aclose()
    return 1 if failed else 0


def _fold(arguments: argparse.Namespace) -> int:
    from app.recordings import fold_file  # noqa: PLC0415 - slow to import

    told = fold_file(
        Path(arguments.signals),
        Path(arguments.out),
        policy=Path(arguments.policy) if arguments.policy else None,
    )
    print(f"{told} incidents; see {arguments.out}.")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from app.recordings import replay  # noqa: PLC0415 - slow to import

    print("\n".join(replay(arguments.config, arguments.rest)))
    return 0


def _checkout(module: str) -> Any:
    """A module of the checkout that this program runs from; ``app`` knows of it only here.

    Raises:
        SettingsError: this is an installed Sextant, which has none.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "__init__.py").is_file():
        raise SettingsError(
            "Scenarios and their evaluation come with the source of Sextant, not with an "
            "installed package: run this from a checkout."
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(module)


def _evaluate(arguments: argparse.Namespace) -> int:
    return int(_checkout("bench.evaluate.command").main(arguments.rest))


def _bench(arguments: argparse.Namespace) -> int:
    return int(_checkout("bench.__main__").command(arguments.rest))


def _mapper(arguments: argparse.Namespace) -> int:
    from app.doors import try_mapper  # noqa: PLC0415 - slow to import
    from app.main import read_settings  # noqa: PLC0415 - the same

    file = Path(arguments.file)
    if not file.is_file():
        raise SettingsError(f"There is no file {file}.")
    told = try_mapper(read_settings(arguments.config), arguments.name, file.read_bytes())
    print("\n".join(told.lines))
    return 0 if told.well else 1


def _simulate(arguments: argparse.Namespace) -> int:
    return int(_checkout("bench.scenarios.__main__").main(arguments.rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sextant", description="One Microsoft 365 incident from three sightings."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="settings file (default sextant.toml)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, run: Command, text: str, *, add_help: bool = True
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, parents=[common], help=text, description=text, add_help=add_help
        )
        made.set_defaults(run=run)
        return made

    cli_serve.register(add)
    demo = add("demo", _demo, "Play a recorded outage against stand-ins, with no credentials.")
    demo.add_argument("--port", type=int, default=8000)
    demo.add_argument("--speed", type=float, default=60.0, help="story seconds per second")
    demo.add_argument("--scenario", default="exchange-2026-03")
    demo.add_argument("--once", action="store_true", help="play to the end and judge the outcome")
    add("migrate", _migrate, "Bring the tables to this version.")
    cli_keys.register(add)
    cli_data.register(add)
    cli_doctor.register(add)
    openapi = add("openapi", _openapi, "Write openapi/v1.json, or check it.")
    openapi.add_argument("--check", action="store_true")
    openapi.add_argument("--release", action="store_true", help="freeze it as that of a release")
    fold = add("fold", _fold, "Run the engine alone, in virtual time, over recorded signals.")
    fold.add_argument("--signals", required=True, metavar="FILE", help="NDJSON, in arrival order")
    fold.add_argument("--policy", metavar="FILE", help="TOML with keys of [policy]")
    fold.add_argument("--out", required=True, metavar="DIR")
    add("replay", _replay, "Fold stored intake again, perhaps otherwise; --help says more.",
        add_help=False)  # fmt: skip
    add("evaluate", _evaluate, "Score the engine over scenarios; --help lists what it takes.",
        add_help=False)  # fmt: skip
    add("simulate", _simulate, "Print a scenario's labelled signals; --help lists what it takes.",
        add_help=False)  # fmt: skip
    add("bench", _bench, "Measure ingest, fold, deliver or read; --help says more.",
        add_help=False)  # fmt: skip
    graph = add("graph", _graph, "Look at the Graph source of every tenant.")
    graph.add_argument("action", choices=["check"])
    cli_probe.register(add)
    cli_status.register(add)
    cli_channel.register(add)
    mapper = add("mapper", _mapper, "Try one of your [[mappers]] on a saved body.")
    mapper.add_argument("action", choices=["test"])
    mapper.add_argument("name")
    mapper.add_argument("file", metavar="FILE", help="a body as the tool sends it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    arguments.rest = rest
    if rest and arguments.run not in {
        _bench,
        _evaluate,
        _replay,
        _simulate,
    }:  # which read their own
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    run: Command = arguments.run
    try:
        return run(arguments)
    except WrongUsage as error:
        print(f"sextant: {error}", file=sys.stderr)
        return 2
    except AppError as error:
        print(f"sextant: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
