"""The snippets: JavaScript run by node in a page that is none, PowerShell read word by word."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import tree_sitter_powershell
from pygments.lexers import PowerShellLexer
from pygments.token import Name, String, Token
from tree_sitter import Language, Parser

from app.core.foreign import REPORT_MEMBERS, Hints
from app.sources.intake.browser import MOST, Browser
from tests.builders import NOW

SNIPPET = Path(str(files("app.api").joinpath("snippet", "report.js")))
SCRIPT = Path("docs/examples/Send-SextantReport.ps1").read_bytes()
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def told():
    if NODE is None:
        pytest.skip("node is not on this machine; .ci/run installs it")
    run = subprocess.run(
        [NODE, "tests/api/snippet.js", str(SNIPPET)], check=True, capture_output=True, text=True
    )
    return json.loads(run.stdout)


def reports(told):
    calls = [call["body"] for call in told["sent"] + told["beacons"]]
    return [report for body in calls for report in json.loads(body)]


def test_what_the_snippet_sends_is_taken_by_its_door(told):
    for call in told["sent"] + told["beacons"]:
        assert call["url"] == "https://sextant.example/v1/intake/browser?key=sxt_pub_x"
        found = Browser().read(call["body"].encode(), hints=Hints(), now=NOW)
        assert not found.refused
        assert 0 < len(found.reports) <= MOST


def test_the_snippet_gathers_and_cuts_and_sends_nothing_that_was_not_asked_for(told):
    assert (told["first"], told["same"], told["empty"]) == (True, False, False)
    first, second, third = json.loads(told["sent"][0]["body"])
    assert len(first["message"]) == 2000
    assert (first["service"], first["client"], first["region"]) == (
        "exchange-online",
        "browser",
        "de",
    )
    assert second["http_status"] == 504
    assert second["code"].startswith("2000001")
    assert third["message"] == "boom"
    assert "canary" not in json.dumps(told["sent"])
    assert set().union(*reports(told)) <= REPORT_MEMBERS


def test_the_snippet_asks_nothing_first_and_sends_no_credentials(told):
    options = told["sent"][0]
    assert options["credentials"] == "omit"
    assert options["headers"] == {"Content-Type": "text/plain"}
    assert json.loads(told["beacons"][0]["body"])[0]["message"] == "AADSTS50196"


def test_a_page_in_a_loop_sends_a_hundred_reports_at_most(told):
    assert len(reports(told)) <= 100


def test_the_snippet_is_small_and_needs_nothing():
    text = SNIPPET.read_text("utf-8")
    assert len(text) < 5000
    assert not re.search(r"\b(import|require|eval|document\.cookie|localStorage|innerHTML)\b", text)


# -- PowerShell: none is on the machines that test this, so its words are checked. ---------------


def words():
    return list(PowerShellLexer().get_tokens(SCRIPT.decode("ascii")))


def code():
    """The script without comments and texts."""
    return "".join(
        text if kind not in String and kind not in Token.Comment else " " for kind, text in words()
    )


def test_the_script_is_ascii_for_powershell_5_reads_it_as_such():
    assert SCRIPT.isascii()


def parts(node):
    """The node and all below it."""
    yield node
    for child in node.children:
        yield from parts(child)


@pytest.fixture(scope="module")
def tree():
    return Parser(Language(tree_sitter_powershell.language())).parse(SCRIPT).root_node


def test_the_script_is_powershell_by_its_grammar(tree):
    broken = [n.start_point for n in parts(tree) if n.type == "ERROR" or n.is_missing]
    assert broken == []
    assert not tree.has_error
    kinds = {node.type for node in parts(tree)}
    assert {"param_block", "function_statement", "try_statement", "foreach_statement"} <= kinds


@pytest.mark.parametrize("cut", [b"finally {", b"catch {", b"@(", b"[string]"])
def test_the_grammar_would_find_a_slip(cut):
    parser = Parser(Language(tree_sitter_powershell.language()))
    assert parser.parse(SCRIPT.replace(cut, cut[:-1], 1)).root_node.has_error


def test_the_script_uses_nothing_that_only_powershell_7_knows():
    assert not re.search(r"\?\?|\?\.|&&|\|\||\s\?\s[^{]", code())
    assert "-Parallel" not in code()


def test_every_command_of_the_script_is_its_own_or_one_of_windows_powershell():
    own = set(re.findall(r"function\s+([A-Za-z]+-[A-Za-z]+)", code()))
    known = {
        "Get-WinEvent", "Get-Date", "ConvertTo-Json", "Invoke-RestMethod", "Write-Output",
        "Set-StrictMode", "Sort-Object", "Select-Object", "Where-Object", "Group-Object",
        "ForEach-Object",
    }  # fmt: skip
    used = {text for kind, text in words() if kind in Name.Builtin or kind is Name}
    used = {text for text in used if re.fullmatch(r"[A-Z][a-zA-Z]+-[A-Z][a-zA-Z]+", text)}
    assert used <= own | known
    assert own <= set(re.findall(r"[A-Z][a-zA-Z]+-[A-Z][a-zA-Z]+", code()))


def test_every_variable_of_the_script_is_set_before_it_is_read():
    text = code()
    given = {"_", "null", "true", "false", "env", "ErrorActionPreference"}
    given |= set(re.findall(r"\$(\w+)\s*(?:=|\+=)", text))
    given |= set(re.findall(r"\]\s*\$(\w+)", text)) | set(re.findall(r"foreach \(\$(\w+) in", text))
    assert set(re.findall(r"\$(\w+)", text)) <= given


def test_what_the_script_sends_are_members_of_a_report():
    table = SCRIPT.decode().split("$report = @{", 1)[1].split("}", 1)[0]
    sent = set(re.findall(r"^\s+(\w+)\s+=", table, re.MULTILINE)) | {"region", "network"}
    assert sent <= REPORT_MEMBERS
    assert {"service", "code", "reporter", "occurred_at"} <= sent


def test_the_last_line_fits_what_intune_keeps():
    assert b"2048" in SCRIPT
    assert b"-Compress" in SCRIPT
