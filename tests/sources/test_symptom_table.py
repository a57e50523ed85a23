"""The table reads every code it lists, and mixed errors as a person would."""

import json
from importlib import resources

import pytest

from app.core.types import Client, Symptom
from app.sources.symptom_table import SymptomTable, load_symptom_table

DOCUMENT = json.loads(resources.files("app.sources").joinpath("symptoms.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def table() -> SymptomTable:
    return load_symptom_table()


def test_every_fine_symptom_has_a_closed_one(table):
    used = {row["symptom"] for row in DOCUMENT["rows"]}
    assert used <= set(table.closed)
    assert len(table.closed) == 97
    assert len(DOCUMENT["rows"]) == 236


def test_every_row_names_a_source_that_is_told():
    assert {row["source_key"] for row in DOCUMENT["rows"]} <= set(DOCUMENT["sources"])


CODED = [row for row in DOCUMENT["rows"] if row["match_kind"] in {"code", "exact"}]


@pytest.mark.parametrize("row", CODED, ids=lambda row: row["id"])
def test_every_code_is_read_as_the_table_says(table, row):
    client = Client.ACTIVESYNC if row["family"].startswith("eas") else None
    prefix = "AADSTS" if row["family"] == "aadsts" else ""
    found = table.classify(prefix + row["pattern"], None, None, client=client)
    assert found.fine == row["symptom"]
    assert found.symptom is table.closed[row["symptom"]]
    assert found.weight == row["outage_weight"]
    assert found.outage_like is (row["class"] == "outage_like")


@pytest.mark.parametrize(
    ("code", "status", "text", "fine"),
    [
        ("AADSTS50196", None, None, "auth_loop"),
        ("50196", None, None, "auth_loop"),
        (" 0x8004011d ", None, None, "mailbox_unavailable"),
        ("-2147221219", None, None, "mailbox_unavailable"),
        ("503", None, None, "service_unavailable"),
        ("HTTP 503", None, None, "service_unavailable"),
        ("4.7.612", None, None, "sender_restricted"),
        ("0xcaa7ffff", None, None, "connect_failed"),
        ("Error: AADSTS90033 occurred", None, None, "directory_unavailable"),
        (None, 500, "<m:ResponseCode>ErrorServerBusy</m:ResponseCode>", "throttled"),
        (None, 401, "Need Password", "auth_loop"),
        (None, 503, "something went wrong", "service_unavailable"),
        (None, None, "Something went wrong", "server_error"),
        (None, None, "BootResult: fail\nerr: x\nst: 503", "server_error"),
        (None, None, "err: x\nst: 502", "bad_gateway"),
        (None, None, "Sign-in failed with 0xCAA82EE2.", "connect_timeout"),
        (None, None, "550 5.1.10 RESOLVER.ADR.RecipientNotFound", "recipient_not_found"),
        (None, None, "Outlook keeps asking me for my password", "auth_loop"),
        ("nonsense", 504, None, "gateway_timeout"),
        ("nonsense", None, "MailboxInfoStale", "mailbox_unavailable"),
    ],
)
def test_codes_come_first_then_codes_in_text_then_status_then_phrases(
    table, code, status, text, fine
):
    assert table.classify(code, status, text).fine == fine


def test_an_unknown_code_is_other_and_kept(table):
    found = table.classify("0xDEADBEEF", None, None)
    assert (found.symptom, found.fine, found.code) == (Symptom.OTHER, None, "0xDEADBEEF")
    assert table.classify(None, None, "AADSTS99999: new").code == "AADSTS99999"


def test_a_version_number_in_text_is_no_mail_code(table):
    assert table.classify(None, None, "client 4.4.7.1, server 5.4.300.2").symptom is Symptom.OTHER


def test_an_unlisted_server_error_is_still_one(table):
    assert table.classify(None, 520, None).symptom is Symptom.HTTP_5XX
    assert table.classify("5.9.9", None, None).symptom is Symptom.MAIL_REJECTED
    assert table.classify("4.9.9", None, None).symptom is Symptom.MAIL_DELAYED


def test_a_stated_symptom_is_believed(table):
    found = table.classify("503", 503, None, Symptom.SLOW)
    assert (found.symptom, found.fine, found.code) == (Symptom.SLOW, None, "503")
    agreed = table.classify("503", None, None, Symptom.HTTP_5XX)
    assert agreed.fine == "service_unavailable"


def test_a_number_means_activesync_only_for_activesync(table):
    assert table.classify("114", None, None).symptom is Symptom.OTHER
    assert table.classify("114", None, None, client=Client.ACTIVESYNC).weight == 0.95


def test_whatever_says_that_a_fresh_token_is_refused_is_the_prompt_loop(table):
    marked = [row for row in table.rows if row.get("desync")]
    assert len(marked) > 8
    assert {table.closed[row["symptom"]] for row in marked} == {Symptom.AUTH_LOOP}
