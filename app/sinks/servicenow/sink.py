"""The mirror into ServiceNow's Table API: reads and writes records, and says what it met."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.clients.errors import VendorError
from app.clients.servicenow import Reply, ServiceNowClient
from app.core.incident import Incident
from app.core.link import ENDED_STATES, TicketState
from app.core.ports import MirrorAnswer, MirrorWord
from app.core.ticket import Change, Row, Rule, Ticket
from app.kit.cutting import cut
from app.sinks.servicenow.draft import LENGTHS, RULES, fields_of
from app.sinks.servicenow.instance import Facts, learn
from app.sinks.servicenow.remedies import remedy_of
from app.sinks.servicenow.settings import SYS_ID, MirrorSettings
from app.sinks.servicenow.text import plain, value

TABLE = "/api/now/table/incident"
ATTACHMENT = "/api/now/attachment"
JOURNAL = "/api/now/table/sys_journal_field"
FIELDS = (
    "sys_id", "number", "state", "correlation_id", "sys_mod_count", "sys_updated_on",
    "sys_updated_by", "impact", "urgency", "short_description", "description", "close_code",
    "close_notes", "assigned_to", "assignment_group", "parent_incident", "business_service",
    "caller_id", "hold_reason",
)  # fmt: skip
STATES: Mapping[str, TicketState] = {
    "1": TicketState.NEW, "2": TicketState.IN_PROGRESS, "3": TicketState.ON_HOLD,
    "6": TicketState.RESOLVED, "7": TicketState.CLOSED, "8": TicketState.CANCELED,
}  # fmt: skip
CODES = {state: code for code, state in STATES.items()}
READING = {
    "sysparm_display_value": "all",  # raw values and names in one answer
    "sysparm_exclude_reference_link": "true",
    "sysparm_suppress_pagination_header": "true",
    "sysparm_fields": ",".join(FIELDS),
}
WRITING = {
    "sysparm_display_value": "all",
    "sysparm_input_display_value": "false",  # instants are UTC, references are sys_ids
    "sysparm_exclude_reference_link": "true",
    "sysparm_fields": ",".join(FIELDS),
}
PAGE = 200
PICTURES = 20  # of one record that are looked at
NO_PICTURE = "Let the user create and delete attachments of incidents, or set pictures = false."
ROWS = 1000  # journal rows of one record that are read at once
STAMP = "%Y-%m-%d %H:%M:%S"
OVERLAP = timedelta(seconds=120)  # what commits late is met again
WIDEST = timedelta(hours=12)  # how far west of Greenwich a user may live whose zone is unknown
FACTS_SECONDS = 3600.0  # what was learnt of the instance is learnt anew
_WORDS = {
    "not_found": MirrorWord.ABSENT,
    "lost": MirrorWord.UNKNOWN,
    "unreachable": MirrorWord.UNREACHED,
    "throttled": MirrorWord.UNREACHED,
    "asleep": MirrorWord.UNREACHED,
    "token_unavailable": MirrorWord.UNREACHED,
}


class ServiceNowMirror:
    """Implements ``core.ports.Mirror`` for the table ``incident``."""

    system = "servicenow"
    rules: Mapping[str, Rule] = RULES

    def __init__(
        self,
        client: ServiceNowClient,
        settings: MirrorSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = settings.name
        self._client = client
        self._settings = settings
        self._facts: Facts | None = None
        self._learnt_at = 0.0
        self._offset: timedelta | None = None  # of the user's zone, once a row showed it
        self._monotonic = monotonic

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def fields(self, incident: Incident, *, url: str) -> dict[str, str]:
        """What the record is to hold."""
        lengths = {**LENGTHS, **(self._facts.lengths if self._facts else {})}
        return fields_of(incident, self._settings, url=url, lengths=lengths)

    async def find(self, correlation: str) -> MirrorAnswer:
        """Look records up by our name, oldest first."""
        query = f"correlation_id={value(correlation)}^ORDERBYsys_created_on"
        params = {**READING, "sysparm_query": query, "sysparm_limit": "3",
                  "sysparm_no_count": "true"}  # fmt: skip
        try:
            reply = await self._client.get(TABLE, params)
        except VendorError as error:
            return self._met(error)
        tickets = self._tickets(reply)
        if any(t.correlation != correlation for t in tickets):
            # An instance ignores what it does not understand of a query, and shows everything.
            why = "The instance ignores the filter by correlation_id, so nothing can be looked up."
            remedy = "Give the user read access to the field correlation_id of incident."
            return MirrorAnswer(word=MirrorWord.REFUSED, why=why, remedy=remedy)
        word = MirrorWord.DONE if tickets else MirrorWord.ABSENT
        return MirrorAnswer(word=word, tickets=tickets)

    async def create(self, correlation: str, fields: Mapping[str, str], note: str) -> MirrorAnswer:
        """Create a record; only a 201 with our name in its echo is a success."""
        try:
            facts = await self._learnt()
            body = facts.resolved(fields) | {
                "correlation_id": correlation,
                "correlation_display": self._settings.correlation_display,
                "work_notes": self._note(note),
            }
            reply = await self._client.post(TABLE, WRITING, body)
        except VendorError as error:
            return self._met(error)
        tickets = self._tickets(reply)
        if reply.status != 201 or not tickets or tickets[0].correlation != correlation:  # noqa: PLR2004 - created
            why = f"The instance answered {reply.status} without the record that was asked for."
            return MirrorAnswer(word=MirrorWord.UNKNOWN, why=why)
        return MirrorAnswer(word=MirrorWord.DONE, tickets=tickets, why=facts.missing(fields))

    async def read(self, remote_id: str) -> MirrorAnswer:
        """Read one record."""
        return await self._one("GET", remote_id, {})

    async def change(self, remote_id: str, change: Change) -> MirrorAnswer:
        """Write once; a renamed close code is learnt anew and tried again."""
        try:
            facts = await self._learnt()
        except VendorError as error:
            return self._met(error)
        answer = await self._one("PATCH", remote_id, self._body(change, facts))
        ends = change.state in ENDED_STATES
        if answer.word is MirrorWord.REFUSED and ends and "mandatory" in answer.why:
            self._facts = None
            try:
                fresh = await self._learnt()
            except VendorError as error:
                return self._met(error)
            if fresh.close_code(self._settings.close_code) != facts.close_code(
                self._settings.close_code
            ):
                return await self._one("PATCH", remote_id, self._body(change, fresh))
        return answer

    async def changed(self, cursor: str) -> MirrorAnswer:
        """Records of ours that changed since a cursor, which the answer moves on.

        The cursor is the newest stamp seen, as the instance writes it in UTC.
        """
        since, by_key = self._since(cursor), self._offset == timedelta(0)
        last: tuple[str, str] | None = None
        offset, newest = 0, ""
        tickets: dict[str, Ticket] = {}
        while True:
            params = {**READING, "sysparm_query": self._query(since, last),
                      "sysparm_limit": str(PAGE), "sysparm_offset": str(offset)}  # fmt: skip
            try:
                reply = await self._client.get(TABLE, params)
            except VendorError as error:
                return self._met(error)
            rows = self._tickets(reply)
            tickets |= {ticket.remote_id: ticket for ticket in rows}
            if by_key or not newest:  # pages by number may miss what moves: begin there again
                newest = max([newest, *(ticket.updated_at for ticket in rows)])
            # A short page is not the last one: an ACL takes rows away after the limit.
            total = int(reply.headers.get("x-total-count") or 0)
            if total - offset <= PAGE:
                found = tuple(tickets.values())
                return MirrorAnswer(word=MirrorWord.DONE, tickets=found, cursor=max(newest, cursor))
            if by_key and rows:
                last, offset = (rows[-1].updated_at, rows[-1].remote_id), 0
            else:
                offset += PAGE

    async def journal(self, remote_id: str) -> MirrorAnswer:
        """Entries of a record's journals, oldest first; none also without the right to read."""
        query = (
            f"element_id={value(remote_id)}^name=incident^elementINwork_notes,comments"
            "^ORDERBYsys_created_on"
        )
        params = {
            "sysparm_query": query, "sysparm_limit": str(ROWS),
            "sysparm_display_value": "false", "sysparm_suppress_pagination_header": "true",
            "sysparm_fields": "sys_id,element_id,element,value,sys_created_on,sys_created_by",
        }  # fmt: skip
        try:
            reply = await self._client.get(JOURNAL, params)
        except VendorError as error:
            return self._met(error)
        rows = tuple(
            Row(
                id=str(row["sys_id"]),
                text=str(row.get("value", "")),
                by=str(row.get("sys_created_by", "")),
                is_public=row.get("element") == "comments",
            )
            for row in _rows(reply)
            if row.get("element_id") == remote_id and row.get("sys_id")
        )
        return MirrorAnswer(word=MirrorWord.DONE, rows=rows)

    async def attach(self, remote_id: str, name: str, content: bytes) -> MirrorAnswer:
        """Put a PNG to a record, in place of the last; where that stays, no other joins it."""
        query = f"table_name=incident^table_sys_id={value(remote_id)}^file_name={value(name)}"
        params = {"sysparm_query": query, "sysparm_limit": str(PICTURES)}
        upload = {"table_name": "incident", "table_sys_id": remote_id, "file_name": name}
        try:
            for row in _rows(await self._client.get(ATTACHMENT, params)):
                # An instance ignores what it does not understand of a query, and shows everything.
                if (row.get("table_sys_id"), row.get("file_name")) == (remote_id, name):
                    await self._client.delete(f"{ATTACHMENT}/{row.get('sys_id')}")
            await self._client.upload(f"{ATTACHMENT}/file", upload, content)
        except VendorError as error:
            met = self._met(error)
            if met.word is not MirrorWord.REFUSED:
                return met
            return replace(met, remedy=f"{met.remedy} {NO_PICTURE}".strip())
        return MirrorAnswer(word=MirrorWord.DONE)

    def _since(self, cursor: str) -> datetime:
        """From when to ask: literals are read in the user's zone, whatever we mean by them."""
        at = _instant(cursor) - OVERLAP
        return at - WIDEST if self._offset is None else at + self._offset

    def _query(self, since: datetime, last: tuple[str, str] | None) -> str:
        ours = f"correlation_display={value(self._settings.correlation_display)}"
        order = "^ORDERBYsys_updated_on^ORDERBYsys_id"
        if last is None:
            return f"{ours}^sys_updated_on>={_generated(since)}{order}"
        after = _generated(_instant(last[0]))
        same = f"{ours}^sys_updated_on={after}^sys_id>{last[1]}"
        return f"{ours}^sys_updated_on>{after}^NQ{same}{order}"

    async def _one(self, method: str, remote_id: str, body: Mapping[str, str]) -> MirrorAnswer:
        path = f"{TABLE}/{remote_id}"
        if not SYS_ID.match(remote_id):
            return MirrorAnswer(word=MirrorWord.ABSENT, why="That is no sys_id.")
        try:
            if method == "GET":
                reply = await self._client.get(path, READING)
            else:
                reply = await self._client.patch(path, WRITING, body)
        except VendorError as error:
            return self._met(error)
        tickets = self._tickets(reply)
        if not tickets or tickets[0].remote_id != remote_id:
            lost = MirrorWord.UNREACHED if method == "GET" else MirrorWord.UNKNOWN
            return MirrorAnswer(word=lost, why="The instance answered with another record.")
        return MirrorAnswer(word=MirrorWord.DONE, tickets=tickets)

    def _body(self, change: Change, facts: Facts) -> dict[str, str]:
        body = facts.resolved(change.fields)
        if change.note:
            body["work_notes"] = self._note(change.note)
        if change.parent:
            body["parent_incident"] = change.parent
        if change.state is not None:
            state = change.state
            if state is TicketState.CANCELED and not facts.offers(CODES[state]):
                state = TicketState.RESOLVED
            body["state"] = CODES[state]
            if state in ENDED_STATES:
                body["close_code"] = facts.close_code(self._settings.close_code)
                longest = facts.lengths.get("close_notes", LENGTHS["close_notes"])
                body["close_notes"] = cut(plain(change.text), longest)
        return body

    def _note(self, note: str) -> str:
        """Cut the text of a note, never the mark at its end."""
        text, newline, mark = note.rpartition("\n")
        longest = LENGTHS["work_notes"]
        return cut(plain(text), longest, tail=newline + mark)

    async def _learnt(self) -> Facts:
        now = self._monotonic()
        if self._facts is None or now - self._learnt_at > FACTS_SECONDS:
            self._facts = await learn(self._client, self._settings)
            self._learnt_at = now
        return self._facts

    def _tickets(self, reply: Reply) -> tuple[Ticket, ...]:
        return tuple(self._ticket(row) for row in _rows(reply) if _raw(row, "sys_id"))

    def _ticket(self, row: Mapping[str, Any]) -> Ticket:
        self._learn_zone(row)
        state = _raw(row, "state")
        hold = _shown(row, "hold_reason") if state == CODES[TicketState.ON_HOLD] else ""
        sys_id = _raw(row, "sys_id")
        return Ticket(
            remote_id=sys_id,
            number=_raw(row, "number"),
            url=f"{self._settings.base_url}/nav_to.do?uri=incident.do?sys_id={sys_id}",
            state=STATES.get(state, TicketState.OTHER),
            state_text=" ".join(
                filter(None, (_shown(row, "state") or state, hold and f"({hold})"))
            ),
            correlation=_raw(row, "correlation_id"),
            version=_raw(row, "sys_mod_count"),
            updated_at=_raw(row, "sys_updated_on"),
            updated_by=_raw(row, "sys_updated_by"),
            assignee=_shown(row, "assigned_to"),
            group=_shown(row, "assignment_group"),
            parent=_raw(row, "parent_incident"),
            fields={name: _raw(row, name) for name in FIELDS if name in row},
        )

    def _learn_zone(self, row: Mapping[str, Any]) -> None:
        """See the user's zone by an instant that is shown both ways."""
        try:
            utc = _instant(_raw(row, "sys_updated_on"))
            local = _instant(_shown(row, "sys_updated_on"))
        except ValueError:
            self._offset = None  # a format of the user's own
            return
        # An hour earlier where the zone may change its hour between that instant and now.
        shift = local - utc
        self._offset = shift if not shift else shift - timedelta(hours=1)

    def _met(self, error: VendorError) -> MirrorAnswer:
        word = _WORDS.get(error.code, MirrorWord.REFUSED)
        return MirrorAnswer(
            word=word, why=error.text, remedy=remedy_of(error), retry_after=error.retry_after
        )


def _instant(text: str) -> datetime:
    return datetime.strptime(text, STAMP).replace(tzinfo=UTC)


def _generated(at: datetime) -> str:
    return f"javascript:gs.dateGenerate('{at:%Y-%m-%d}','{at:%H:%M:%S}')"


def _rows(reply: Reply) -> list[dict[str, Any]]:
    found = reply.result if isinstance(reply.result, list) else [reply.result]
    return [row for row in found if isinstance(row, dict)]


def _raw(row: Mapping[str, Any], name: str) -> str:
    held = row.get(name, "")
    return str(held.get("value") or "") if isinstance(held, dict) else str(held or "")


def _shown(row: Mapping[str, Any], name: str) -> str:
    held = row.get(name, "")
    return str(held.get("display_value") or "") if isinstance(held, dict) else str(held or "")
