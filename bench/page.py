"""The figures as tables: on the terminal and in ``docs/performance.md``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from bench.ledger import Entry
from bench.picture import Bar

COLD_START_SECONDS = 1.5
IDLE_MIB = 120.0
INTAKE_RATIO = 0.9
BY_HAND = "<!-- What follows is written by hand and kept. -->\n"
INTRODUCTION = (
    "The last figures of `make bench`, part by part. Read the ratios, which compare two sides of"
    " one run; the absolute figures are of a shared machine, how busy it was stands below each"
    " table. How each is measured stands at the head of the files in `bench/`."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; the first column is text, the others are figures."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str


def targets(found: dict[str, Any]) -> list[Bar]:
    """Give the figures that have a target, of the parts that were measured."""
    bars: list[Bar] = []
    if "start" in found:
        there, fresh = found["start"]["existing"], found["start"]["fresh"]
        bars += [
            Bar(label="cold start to listening", value=there["listening"],
                target=COLD_START_SECONDS, unit=" s"),
            Bar(label="idle memory", value=there["rss"], target=IDLE_MIB, unit=" MiB"),
            Bar(label="idle memory after making the tables", value=fresh["rss"],
                target=IDLE_MIB, unit=" MiB"),
        ]  # fmt: skip
    for one in found.get("intake", ()):
        if one["batch"] == 1:
            continue  # single reports have no target
        for side, word in (("door", "api alone"), ("house", "while folding")):
            label = f"intake in {one['batch']}s, {word}, of the floor"
            ratio = one[side]["ratio"]
            bars.append(
                Bar(label=label, value=ratio, target=INTAKE_RATIO, unit="", more_is_better=True)
            )
    return bars


def _start(found: dict[str, Any]) -> Table:
    names = {
        "floor": "bare FastAPI",
        "existing": "sextant, database there",
        "fresh": "sextant, tables made",
    }
    rows = []
    for kind, name in names.items():
        one = found["start"][kind]
        ratio = f"{one['ratio']:.1f}" if "ratio" in one else "1"
        figures = (
            f"{one['listening']:.2f}",
            f"{one['wall']:.2f}",
            f"{one['least']:.2f}",
            f"{one['cpu']:.2f}",
        )
        rows.append((name, *figures, ratio, f"{one['rss']:.0f}"))
    head = ("", "listens s", "takes work s", "least", "processor s", "of floor", "idle MiB")
    note = (
        "From exec to the first 200 of /livez and of /readyz; memory three seconds later, all loops"
        " running."
    )
    return Table("Cold start and idle memory", head, rows, note)


def _intake(found: dict[str, Any]) -> Table:
    names = {
        "floor": "F: FastAPI + Pydantic, stores nothing",
        "door": "serve --roles api, durable",
        "house": "serve, durable, folding meanwhile",
    }
    rows = []
    for result in found["intake"]:
        for side, name in names.items():
            one = result[side]
            rows.append(
                (
                    f"{name}, in {result['batch']}s",
                    f"{one['reports_per_second']:,.0f}",
                    f"{one.get('ratio', 1):.2f}",
                    f"{one.get('cpu_ratio', 1):.2f}",
                    f"{one['p50']:.0f}",
                    f"{one['p99']:.0f}",
                    f"{one['carried']:,.0f}" if "carried" in one else "",
                    f"{one['rss']:.0f}" if "rss" in one else "",
                )
            )
    head = ("", "reports/s", "of F", "by processor", "p50 ms", "p99 ms", "carried/s", "MiB after")
    note = (
        "32 connections; answered after the commit (SQLite, synchronous=FULL). Carried: reports per"
        " second until all are folded into incidents."
    )
    return Table("Durable intake of client reports", head, rows, note)


def _webhooks(found: dict[str, Any]) -> Table:
    one = found["webhooks"]
    rows = []
    for name, part in (("a note", one), ("100 reports that open an incident", one["burst"])):
        for what in ("answer", "webhook"):
            times = part[what]
            figures = (f"{times['p50']:.1f}", f"{times['p99']:.1f}", f"{times['count']:.0f}")
            rows.append((f"{name} to the {what}", *figures))
    note = (
        "One note or burst at a time; from before the request is sent to the webhook's last byte."
    )
    return Table("From the door to the webhook", ("", "p50 ms", "p99 ms", "measured"), rows, note)


def _deliver(found: dict[str, Any]) -> Table:
    one = found["deliver"]
    bare = one["stacks"]["aiohttp"]
    rows = [
        (f"{name}, {flight} in flight", f"{rate:,.0f}", f"{rate / bare[flight]:.2f}")
        for name, rates in one["stacks"].items()
        for flight, rate in rates.items()
    ]
    for count, part in one["durable"].items():
        share = part["per_core"] / bare["16"]
        rows.append((f"durable, {count} receivers", f"{part['per_core']:,.0f}", f"{share:.2f}"))
    calm, hanging = one["calm"], one["hanging"]
    durable = one["durable"]["16"]["per_core"]
    at_16, at_64 = (durable / one["stacks"]["httpx"][flight] for flight in ("16", "64"))
    note = (
        "1 kB over loopback. Durable: claimed, signed, posted, outcome and attempt committed"
        f" (SQLite, synchronous=FULL), to 16 receivers {at_16:.1f} times what bare httpx does with"
        f" 16 in flight and {at_64:.1f} times what it does with 64. An event to 50"
        " receivers that answer, beside 200 that do"
        f" too: p99 {calm['p99']:.0f} ms; beside 200 that hang: p99 {hanging['p99']:.0f} ms, and"
        f" {hanging['grown_mib']:.1f} MiB more."
    )
    head = ("", "per processor second", "of bare aiohttp")
    return Table("Sending webhooks", head, rows, note)


def _engine(found: dict[str, Any]) -> Table:
    story, storm = found["engine"]["story"], found["engine"]["storm"]
    rows = [
        ("one step of the story", story["step"], f"{story['steps_per_second']:,.0f} steps/s"),
        (
            "a batch of 1,000 reports",
            storm["step"],
            f"{storm['reports_per_second']:,.0f} reports/s",
        ),
        ("a step of time alone after it", storm["idle_step"], ""),
    ]
    note = (
        f"The storm is folded at {storm['floor_ratio']:.2f} of the speed of a loop that only counts"
        " the same reports in a dict."
    )
    return Table(
        "The engine alone",
        ("", "p50 ms", "p99 ms", "rate"),
        [(name, f"{s['p50']:.1f}", f"{s['p99']:.1f}", rate) for name, s, rate in rows],
        note,
    )


def _reads(found: dict[str, Any]) -> Table:
    rows = []
    for kind, name in (("list", "a page of 50 incidents"), ("one", "one incident")):
        for side, word in (("floor", "floor"), ("ours", "sextant")):
            one = found["reads"][kind][side]
            ratio = found["reads"][kind]["ratio"] if side == "ours" else 1
            figures = (f"{one['rate']:,.0f}", f"{ratio:.2f}")
            rows.append((f"{name}, {word}", *figures, f"{one['p50']:.1f}", f"{one['p99']:.1f}"))
    note = "8 connections; the floor has the documents in memory and the same response models."
    return Table(
        "Reading over the API", ("", "requests/s", "of floor", "p50 ms", "p99 ms"), rows, note
    )


def _probes(found: dict[str, Any]) -> Table:
    sides = {side: one for side, one in found["probes"].items() if isinstance(one, dict)}
    rows = [
        (side, f"{one['a_minute']:,}", f"{one['cpu_share']:.0%}", f"{one['rss']:.0f}")
        for side, one in sides.items()
    ]
    note = (
        "2,000 checks of one minute in one `serve`: half HTTPS, the rest TLS, TCP, IMAP and SMTP; "
        "storing and folding included. When a fifth hangs, those run into their limits of seconds."
    )
    return Table("2,000 checks a minute", ("", "results/min", "of one core", "MiB"), rows, note)


TABLES: dict[str, Callable[[dict[str, Any]], Table]] = {
    "start": _start,
    "intake": _intake,
    "webhooks": _webhooks,
    "deliver": _deliver,
    "engine": _engine,
    "reads": _reads,
    "probes": _probes,
}


def tables(found: dict[str, Any]) -> list[Table]:
    """Give the table of every part that was measured."""
    return [table(found) for part, table in TABLES.items() if part in found]


def show(found: dict[str, Any]) -> None:
    """Print the tables and the targets."""
    console = Console(width=120)
    for table in tables(found):
        shown = Shown(title=table.title, caption=table.note, title_justify="left")
        for number, name in enumerate(table.head):
            shown.add_column(name, justify="left" if number == 0 else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    for bar in targets(found):
        word = "met   " if bar.meets else "MISSED"
        console.print(f"{word}  {bar.label}: {bar.shown} ({bar.aim})")


def document(entries: dict[str, Entry]) -> str:
    """Write the page of the documentation, to the line after which it is written by hand."""
    found = {part: one.found for part, one in entries.items()}
    parts = [
        "# Performance",
        "",
        INTRODUCTION,
        "",
        "![Figures against their targets](img/bench.svg)",
        "",
        "| target | figure | wanted | |",
        "|---|---|---|---|",
        *(
            f"| {bar.label} | {bar.shown} | {bar.aim} | {'met' if bar.meets else '**missed**'} |"
            for bar in targets(found)
        ),
    ]
    for part, make in TABLES.items():
        if part not in entries:
            continue
        table = make(found)
        parts += [
            "",
            f"## {table.title}",
            "",
            "| " + " | ".join(table.head) + " |",
            "|---" + "|---:" * (len(table.head) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in table.rows),
            "",
            f"{table.note} {entries[part].when}",
        ]
    return "\n".join(parts) + "\n"


def by_hand(page: str) -> str:
    """What of a page is kept when its figures are made anew, with the line that says so."""
    _, mark, rest = page.partition(BY_HAND)
    return f"\n{mark}{rest}" if mark else ""
