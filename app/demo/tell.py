"""Telling a demo on the terminal: a line for what happened, in the story's time."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.demo.expect import Check, Document

WORTH_TELLING = frozenset({"severity", "origin", "cause", "services"})
STYLES = {
    "incident.opened": "bold yellow",
    "incident.confirmed": "bold red",
    "incident.mitigating": "bold cyan",
    "incident.monitoring": "bold cyan",
    "incident.resolved": "bold green",
    "incident.reopened": "bold red",
    "incident.advisory_linked": "bold magenta",
    "incident.advisory_updated": "magenta",
}
DISAGREEMENTS = {
    "none": "Microsoft and our own evidence agree",
    "vendor_silent": "Microsoft says nothing of it",
    "vendor_ahead": "Microsoft says it is fixed; we still see it fail",
    "vendor_behind": "Microsoft says it goes on; we see it well",
}


class Teller:
    """Prints the story; knows nothing of how it is seen."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._disagreements: dict[str, str] = {}

    def title(self, title: str, label: str) -> None:
        """Print what is played."""
        self.console.print(f"[bold]{escape(title)}[/] {escape(label)}", highlight=False)

    def address(self, url: str) -> None:
        """Print which page to open."""
        page = f"[bold underline]{url}/[/]"
        self.console.print(f"Open {page} and watch the board; Ctrl-C ends everything.")

    def line(self, at: datetime, text: str, *, style: str = "") -> None:
        """Print one line at a moment of the story."""
        content = f"[{style}]{text}[/]" if style else text
        self.console.print(f"[dim]{at:%H:%M}[/]  {content}", highlight=False, soft_wrap=True)

    def milestone(self, at: datetime, text: str) -> None:
        """Print what happens in the world, which Sextant does not know yet."""
        self.line(at, f"── {escape(text)}", style="dim italic")

    def event(self, event: Document) -> None:
        """Print an event, if it is worth a line."""
        incident = (event.get("data") or {}).get("incident")
        at = datetime.fromisoformat(event["occurred_at"])
        kind = event["type"]
        if incident is None:
            self.line(at, escape(f"{kind} {event['data'].get('reason') or ''}"), style="dim")
            return
        if kind != "incident.updated" or WORTH_TELLING & set(event["data"]["changed"]):
            style, number = STYLES.get(kind, "dim"), incident["number"]
            head = f"[{style}]{kind}[/]  {number} {incident['status']}"
            self.line(at, f"{head}  {escape(_about(event, incident))}")
        self._disagreement(at, incident)

    def _disagreement(self, at: datetime, incident: Document) -> None:
        """Say so when our evidence and the vendor's word part, or agree again."""
        before = self._disagreements.get(incident["id"], "none")
        now = self._disagreements[incident["id"]] = incident["disagreement"]
        if now != before:
            text = f"      disagreement {now}: {DISAGREEMENTS.get(now, now)}"
            self.line(at, escape(text), style="bold blue")

    def microsoft(self, at: datetime, status: str, text: str) -> None:
        """Print what the vendor's newest post says."""
        self.line(at, f"      Microsoft: {escape(status)}: “{escape(text)}”", style="magenta")

    def delivery(self, entry: Document) -> None:
        """Print one attempt that the receiver saw."""
        at = datetime.fromisoformat(entry["at"])
        verdict = "signature valid" if entry["valid"] else entry["problem"]
        answer = "taken" if entry["status"] == 204 else "refused"  # noqa: PLR2004 - HTTP status
        if entry["type"] == "incident.updated" and entry["valid"]:
            return
        text = f"      webhook {entry['type'] or '?'} attempt {entry['attempt']}: "
        self.line(at, escape(f"{text}{answer} ({entry['status']}), {verdict}"), style="dim")

    def summary(self, incident: Document | None) -> None:
        """Print how the incident stands at the end."""
        if incident is None:
            self.console.print("No vendor incident was opened.", style="bold red")
            return
        title = escape(f"{incident['number']}  {incident['title']}")
        table = Table(title=title, show_header=False)
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in _rows(incident):
            table.add_row(name, escape(value))
        self.console.print(table)

    def checks(self, checks: Iterable[Check]) -> bool:
        """Print each expectation; True when all were met."""
        all_met = True
        for check in checks:
            mark = "[green]met   [/]" if check.met else "[bold red]FAILED[/]"
            self.console.print(
                f"  {mark} {escape(check.sentence)} [dim]{escape(check.found)}[/]",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
            all_met = all_met and check.met
        return all_met


def _about(event: Document, incident: Document) -> str:
    impact = incident["impact"]
    where = f", {impact['locations_failing']} of {impact['locations_total']} locations fail"
    seen = (
        f"{impact['reporters']} reporters{where if impact['locations_total'] else ''}, "
        f"origin {incident['origin']}"
    )
    match event["type"]:
        case "incident.opened":
            return f"{incident['title']} ({seen})"
        case "incident.advisory_linked":
            ids = ", ".join(item["id"] for item in incident["advisories"])
            return f"{ids} belongs to it; {_lead(incident)}"
        case "incident.advisory_updated":
            return ", ".join(f"{item['id']} {item['status']}" for item in incident["advisories"])
        case "incident.resolved":
            return f"as {incident['resolution']}; {_lead(incident)}"
        case _:
            return f"{incident['severity']}, {seen}, confidence {incident['confidence']:.2f}"


def _lead(incident: Document) -> str:
    lead = incident["lead_time_seconds"]
    if lead is None:
        return "Microsoft is silent"
    minutes = abs(lead) / 60
    return f"{minutes:.0f} min {'before' if lead >= 0 else 'after'} Microsoft"


def _rows(incident: Document) -> list[tuple[str, str]]:
    impact = incident["impact"]
    times = ("vendor_started_at", "detected_at", "confirmed_at", "vendor_published_at",
             "mitigated_at", "resolved_at")  # fmt: skip
    rows = [(name, f"{datetime.fromisoformat(incident[name]):%H:%M}") for name in times
            if incident.get(name)]  # fmt: skip
    advisories = ", ".join(item["id"] for item in incident["advisories"]) or "none"
    cause = (incident["cause"] or {}).get("category") or "unknown"
    return [
        ("status", f"{incident['status']} ({incident['status_reason']})"),
        ("severity, origin", f"{incident['severity']}, {incident['origin']}"),
        (
            "impact",
            f"{impact['level']}: {impact['reporters']} reporters, {impact['reports']} reports",
        ),
        ("advisories", advisories),
        ("cause, resolution", f"{cause}, {incident['resolution'] or 'open'}"),
        *rows,
        ("lead", _lead(incident)),
        ("page", incident["url"]),
    ]
