"""The instance: users, tables, properties and the rules that a stock instance applies."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.standins.servicenow import words
from tests.standins.servicenow.faults import Fault, Kind
from tests.standins.servicenow.query import STAMP

Record = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in."""

    name: str
    password: str = ""
    sys_id: str = ""
    roles: frozenset[str] = frozenset({"itil", "personalize_choices", "evt_mgmt_integration"})
    zone: str = "GMT"
    reads_journal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An OAuth application with the user it stands for; ``scoped`` ones reach no table."""

    secret: str
    user: str
    scoped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it arrived."""

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    user: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One update of an incident: who changed what, as ``sys_audit`` keeps it."""

    sys_id: str
    user: str
    before: Record
    after: Record
    journals: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Instance:
    """All there is. Options that admins decide are plain attributes, to be set by tests."""

    now: Callable[[], datetime]
    prefix: str = "INC"
    users: dict[str, User] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    api_keys: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)  # common name → user
    tables: dict[str, dict[str, Record]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    log: list[Sent] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    hints: list[Record] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)  # credentials that came to the login host
    cookies: list[str] = field(default_factory=list)  # sessions that a client gave back
    hidden: set[str] = field(default_factory=set)  # sys_ids that an ACL hides
    attaching: str = "all"  # what the user may: all, add or none
    largest_file: int = 1024 * 1024 * 1024  # com.glide.attachment.max_size
    denied_fields: set[str] = field(default_factory=set)  # kept silently by a field ACL
    close_codes: tuple[str, ...] = words.CLOSE_CODES
    states: tuple[str, ...] = tuple(words.STATES)
    grant_enabled: bool = True
    token_seconds: int = 1800
    strict_queries: bool = False
    closed_writes: str = "refuse"  # or "ignore"
    close_refused: str = "refuse"  # or "ignore": state 7 by one who may not
    hold_policy: bool = True
    keeps_close_fields: bool = False  # when reopened
    auto_group: str = ""  # an async rule assigns it ``auto_delay`` later
    auto_delay: timedelta = timedelta(seconds=3)
    rate_limit: int | None = None  # requests per hour and user
    rate_lag: timedelta = timedelta(0)  # counts are committed so late
    tokens: dict[str, tuple[str, datetime, bool]] = field(default_factory=dict)
    counted: dict[str, list[datetime]] = field(default_factory=dict)
    pending: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(10001))

    def __post_init__(self) -> None:
        """Fill the tables that a stock instance has."""
        names = (
            "incident", "sys_user", "sys_user_group", "cmdb_ci_service", "sys_choice",
            "sys_dictionary", "sys_journal_field", "em_event", "em_alert", "sys_properties",
            "sys_attachment", "problem", "cmdb_ci",
        )  # fmt: skip
        for name in names:
            self.tables.setdefault(name, {})
        for element, longest in words.LENGTHS.items():
            self.insert("sys_dictionary", name="task", element=element, max_length=str(longest),
                        mandatory="false")  # fmt: skip

    def new_id(self) -> str:
        """The next sys_id: 32 hex digits."""
        text = f"{self.prefix}{next(self.ids)}"
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def stamp(self) -> str:
        """The present second, as it is stored."""
        return self.now().strftime(STAMP)

    def insert(self, table: str, *, by: str = "admin", **values: str) -> str:
        """Put a plain record into a table; gives its sys_id."""
        sys_id = values.pop("sys_id", "") or self.new_id()
        stamp = self.stamp()
        self.tables[table][sys_id] = {
            "sys_id": sys_id, "sys_created_on": stamp, "sys_created_by": by,
            "sys_updated_on": stamp, "sys_updated_by": by, "sys_mod_count": "0", **values,
        }  # fmt: skip
        return sys_id

    def add_user(self, user: User) -> str:
        """Let somebody in; gives the sys_id."""
        sys_id = self.insert("sys_user", sys_id=user.sys_id, user_name=user.name, name=user.name,
                             time_zone=user.zone, active="true")  # fmt: skip
        self.users[user.name] = User(
            name=user.name, password=user.password, sys_id=sys_id, roles=user.roles,
            zone=user.zone, reads_journal=user.reads_journal,
        )  # fmt: skip
        return sys_id

    def add_group(self, name: str) -> str:
        """Make a group; gives the sys_id."""
        return self.insert("sys_user_group", name=name)

    def choices(self) -> list[Record]:
        """The rows of ``sys_choice`` as they follow from the options."""
        listed = [("state", s, words.STATES.get(s, s)) for s in self.states]
        listed += [("close_code", code, code) for code in self.close_codes]
        listed += [("hold_reason", key, label) for key, label in words.HOLD_REASONS.items()]
        return [
            {
                "sys_id": hashlib.md5(f"{e}{v}".encode(), usedforsecurity=False).hexdigest(),
                "name": "incident", "element": e, "value": v, "label": text,
                "inactive": "false", "language": "en",
            }
            for e, v, text in listed
        ]  # fmt: skip

    def rows(self, table: str) -> list[Record]:
        """All records of a table, what is due having happened."""
        self.settle()
        return self.choices() if table == "sys_choice" else list(self.tables[table].values())

    def settle(self) -> None:
        """Let happen what was to happen by now: late commits, asynchronous rules."""
        now = self.now()
        due = [entry for entry in self.pending if entry[0] <= now]
        self.pending = [entry for entry in self.pending if entry[0] > now]
        for _, happen in sorted(due, key=lambda entry: entry[0]):
            happen()

    def later(self, wait: timedelta, happen: Callable[[], object]) -> None:
        """Have something happen by itself."""
        self.pending.append((self.now() + wait, happen))

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that takes this request, if one does."""
        for fault in self.faults:
            if fault.takes(method, path):
                if fault.kind is Kind.REVOKED:
                    self.tokens.clear()
                    return None
                return fault
        return None

    def journal(self, record: Record, element: str, text: str, by: str) -> None:
        """Append to a journal field."""
        cut = text[: words.LENGTHS[element]]
        self.insert("sys_journal_field", by=by, element_id=record["sys_id"], name="incident",
                    element=element, value=cut)  # fmt: skip

    def incidents(self, **equal: str) -> list[Record]:
        """Incidents with these values, oldest first; for tests."""
        self.settle()
        return [
            record
            for record in self.tables["incident"].values()
            if all(record.get(key, "") == value for key, value in equal.items())
        ]

    def notes_of(self, sys_id: str, element: str = "work_notes") -> list[str]:
        """Texts of a journal, oldest first; for tests."""
        return [
            row["value"]
            for row in self.tables["sys_journal_field"].values()
            if row["element_id"] == sys_id and row["element"] == element
        ]
