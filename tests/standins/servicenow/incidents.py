"""The incident table's rules: defaults, lookups, data policies, journals, cascades, mod counts."""

from collections.abc import Mapping
from typing import Any

from tests.standins.servicenow import words
from tests.standins.servicenow.faults import aborted, mandatory
from tests.standins.servicenow.instance import Audit, Instance, Record, User

SYSTEM = User(name="system", roles=frozenset({"admin"}))


def create(instance: Instance, user: User, body: Mapping[str, Any], *, display: bool) -> Record:
    """Insert an incident.

    Raises:
        Refused: a data policy says no.
    """
    values = _written(instance, user, body, display=display, fresh=True)
    journals = {name: values.pop(name) for name in words.JOURNALS & values.keys()}
    stamp, sys_id = instance.stamp(), instance.new_id()
    record: Record = dict.fromkeys(sorted(words.INCIDENT), "")
    record |= {"state": "1", "impact": "3", "urgency": "3", "severity": "3", "active": "true"}
    record |= values
    record |= {
        "sys_id": sys_id, "number": f"{instance.prefix}{next(instance.numbers):07d}",
        "sys_created_on": stamp, "sys_created_by": user.name, "sys_updated_on": stamp,
        "sys_updated_by": user.name, "sys_mod_count": "0", "opened_at": stamp,
        "opened_by": user.sys_id, "sys_class_name": "incident", "reopen_count": "0",
    }  # fmt: skip
    _policies(instance, user, {}, record)
    _computed(record)
    instance.tables["incident"][sys_id] = record
    for element, text in sorted(journals.items()):
        instance.journal(record, element, text, user.name)
    if instance.auto_group and not record["assignment_group"]:
        group = instance.auto_group
        instance.later(
            instance.auto_delay,
            lambda: change(instance, SYSTEM, record, {"assignment_group": group}, display=False),
        )
    return record


def change(
    instance: Instance, user: User, record: Record, body: Mapping[str, Any], *, display: bool
) -> Record:
    """Update an incident; what changes nothing leaves no trace.

    Raises:
        Refused: a data policy or a business rule says no.
    """
    values = _written(instance, user, body, display=display, fresh=False)
    journals = {n: t for n in words.JOURNALS & values.keys() if (t := values.pop(n))}
    before = dict(record)
    frozen = before["state"] in {words.CLOSED, words.CANCELED} and "admin" not in user.roles
    if frozen and (journals or any(before.get(k) != v for k, v in values.items())):
        if instance.closed_writes == "refuse":
            raise aborted("Closed records are read-only")
        return record
    after = {**before, **values}
    from_caller = bool(journals.get("comments")) and user.sys_id == before["caller_id"] != ""
    if from_caller and before["state"] == words.ON_HOLD:
        after |= {"state": words.IN_PROGRESS, "hold_reason": ""}
    if after["assignment_group"] != before["assignment_group"] and "assigned_to" not in values:
        after["assigned_to"] = ""
    _policies(instance, user, before, after)
    _moved(instance, user, before, after)
    _computed(after)
    if after == before and not journals:
        return record
    after["sys_mod_count"] = str(int(before["sys_mod_count"]) + 1)
    after["sys_updated_on"] = instance.stamp()
    after["sys_updated_by"] = user.name
    record.update(after)
    told = Audit(sys_id=record["sys_id"], user=user.name, before=before, after=dict(after),
                 journals=tuple(journals.values()))  # fmt: skip
    instance.audit.append(told)
    for element, text in sorted(journals.items()):
        instance.journal(record, element, text, user.name)
    _cascade(instance, before, record)
    if before["state"] != record["state"] or journals or _people(before) != _people(record):
        instance.hints.append(dict(record))
    return record


def _people(record: Record) -> tuple[str, str]:
    return record["assigned_to"], record["assignment_group"]


def _written(
    instance: Instance, user: User, body: Mapping[str, Any], *, display: bool, fresh: bool
) -> Record:
    """What of a body is taken: known fields that may be written, as text, cut to their length."""
    taken: Record = {}
    for name, given in body.items():
        if name not in words.INCIDENT or name in words.READ_ONLY:
            continue
        if name in instance.denied_fields and "admin" not in user.roles:
            continue
        value = "" if given is None else str(given)
        if not value and not fresh and name in {"state", "impact", "urgency"}:
            continue  # an empty value clears a field, except those
        if display:
            value = _from_display(instance, name, value)
        taken[name] = value[: words.LENGTHS.get(name, 4000)]
    return taken


def _from_display(instance: Instance, name: str, value: str) -> str:
    if name in words.REFERENCES:
        table = instance.tables.get(words.REFERENCES[name], {})
        named = words.DISPLAY_FIELD.get(words.REFERENCES[name], "name")
        return next((k for k, row in table.items() if row.get(named) == value), "")
    labels = words.LABELS.get(name, {})
    return next((key for key, label in labels.items() if label == value), value)


def _policies(instance: Instance, user: User, before: Record, after: Record) -> None:
    if after["close_code"] and after["close_code"] not in instance.close_codes:
        after["close_code"] = before.get("close_code", "")  # an unknown choice counts as empty
    entered = after["state"] != before.get("state")
    ending = after["state"] in {words.RESOLVED, words.CLOSED}
    if entered and ending and not (after["close_code"] and after["close_notes"]):
        raise mandatory("Resolution code", "Close notes")
    if entered and after["state"] == words.CLOSED and not user.roles & {"itil_admin", "admin"}:
        if instance.close_refused == "refuse":
            raise aborted("Only itil_admin closes")
        after["state"] = before.get("state", words.NEW)
    if after["state"] == words.ON_HOLD and not after["hold_reason"] and instance.hold_policy:
        raise mandatory("On hold reason")


def _moved(instance: Instance, user: User, before: Record, after: Record) -> None:
    stamp = instance.stamp()
    if after["state"] == before["state"]:
        return
    if after["state"] != words.ON_HOLD:
        after["hold_reason"] = ""
    if after["state"] == words.RESOLVED:
        after |= {"resolved_at": stamp, "resolved_by": user.sys_id}
    if after["state"] in {words.CLOSED, words.CANCELED}:
        after |= {"closed_at": stamp, "closed_by": user.sys_id, "active": "false"}
    if before["state"] == words.RESOLVED and after["state"] in words.OPEN:
        after |= {
            "reopen_count": str(int(before["reopen_count"] or "0") + 1),
            "reopened_by": user.sys_id, "reopened_time": stamp,
            "resolved_at": "", "resolved_by": "",
        }  # fmt: skip
        if not instance.keeps_close_fields:
            after |= {"close_code": "", "close_notes": ""}


def _computed(record: Record) -> None:
    pair = (record["impact"], record["urgency"])
    record["priority"] = words.PRIORITIES.get(pair, "5")
    record["incident_state"] = record["state"]


def _cascade(instance: Instance, before: Record, parent: Record) -> None:
    """Let the children follow: resolved with the parent, reopened with it, worked on with it."""
    state = parent["state"]
    if state == before["state"] or state in {words.CLOSED, words.CANCELED}:
        return
    if state == words.ON_HOLD and parent["hold_reason"] == "1":  # awaiting the parent's caller
        return
    for child in instance.tables["incident"].values():
        if child["parent_incident"] != parent["sys_id"] or child["state"] == words.CLOSED:
            continue
        body = {"state": state, "hold_reason": parent["hold_reason"]}
        if state == words.RESOLVED:
            body |= {"close_code": parent["close_code"], "close_notes": parent["close_notes"]}
        change(instance, SYSTEM, child, body, display=False)
