"""The samples that receivers copy: each run over genuine and hostile messages, where it can be.

Node runs the JavaScript and, on a shim of the platform's words, the ServiceNow script. PowerShell
runs where it is installed; elsewhere its sample is skipped, and says so.
"""

import base64
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.core.events import EventType
from app.kit import signing
from tests.builders import NOW
from tests.formats.golden import bodies
from tests.kit.test_signing import HOSTILE_SIGNATURES, PRIVATE, PUBLIC, SECRET

SAMPLES = Path(__file__).parents[2] / "docs" / "receivers"
HERE = Path(__file__).parent
BODY = dict(bodies(EventType.NOTED))["incident.noted.native.thin.json"]
STAMP = int(NOW.timestamp())
NODE, POWERSHELL = shutil.which("node"), shutil.which("pwsh")

Case = dict[str, Any]


def a_case(
    fits: bool = True,  # noqa: FBT001, FBT002 - reads as a word at the call
    *,
    sign: tuple[str, ...] = (SECRET,),
    key: str = SECRET,
    body: bytes = BODY,
    now: int = STAMP,
    **changes: str,
) -> Case:
    headers = signing.headers(sign, message_id="evt_1", at=NOW, body=BODY)
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    text = base64.b64encode(body).decode()
    return {"key": key, "headers": headers, "body": text, "now": now, "fits": fits}


OTHER = signing.new_secret()
V1 = [
    a_case(),
    a_case(sign=(OTHER, SECRET)),
    a_case(sign=(SECRET, OTHER)),
    a_case(now=STAMP + 300),
    a_case(False, sign=(OTHER,)),
    a_case(False, now=STAMP + 301),
    a_case(False, now=STAMP - 301),
    a_case(False, body=BODY + b" "),
    a_case(False, body=b""),
    a_case(False, body=b"\xff\xfe"),
    a_case(False, webhook_id=""),
    a_case(False, webhook_id="evt_2"),
    a_case(False, webhook_id="evt.1"),
    a_case(False, webhook_timestamp=""),
    a_case(False, webhook_timestamp=f"{STAMP} "),
    a_case(False, webhook_timestamp=f"+{STAMP}"),
    a_case(False, webhook_timestamp="9" * 40),
    a_case(False, webhook_timestamp="\u0661"),
    a_case(False, sign=(PRIVATE,)),
    *(a_case(False, webhook_signature=signature) for signature in HOSTILE_SIGNATURES),
]
V1A = [
    a_case(sign=(PRIVATE,), key=PUBLIC),
    a_case(sign=(signing.new_secret("v1a"), PRIVATE), key=PUBLIC),
    a_case(False, sign=(signing.new_secret("v1a"),), key=PUBLIC),
    a_case(False, key=PUBLIC),
    a_case(False, sign=(PRIVATE,), key=PUBLIC, body=BODY + b" "),
    *(a_case(False, key=PUBLIC, webhook_signature=one) for one in HOSTILE_SIGNATURES),
]


def wanted(cases: list[Case]) -> list[str | None]:
    return ["evt_1" if case["fits"] else None for case in cases]


def run(command: list[str], cases: list[Case]) -> Any:
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_sample_in_python() -> None:
    names = runpy.run_path(str(SAMPLES / "verify.py"))
    told = []
    for case in V1 + V1A:
        try:
            body = base64.b64decode(case["body"])
            told.append(names["verify"](case["key"], case["headers"], body, now=case["now"]))
        except names["BadSignature"]:
            told.append(None)
    assert told == wanted(V1 + V1A)
    with pytest.raises(names["BadSignature"]):
        names["verify"](SECRET, {**V1[0]["headers"], "webhook-id": "\ud800"}, BODY, now=STAMP)


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_the_sample_in_javascript() -> None:
    assert NODE is not None
    told = run([NODE, str(HERE / "drive.mjs"), str(SAMPLES / "verify.mjs")], V1 + V1A)
    assert told == wanted(V1 + V1A)


@pytest.mark.skipif(POWERSHELL is None, reason="there is no PowerShell here: not run")
def test_the_sample_in_powershell() -> None:
    assert POWERSHELL is not None
    script = f"""
    . '{SAMPLES / "Verify.ps1"}'
    $told = foreach ($case in [Console]::In.ReadToEnd() | ConvertFrom-Json -AsHashtable) {{
        try {{
            Test-SextantWebhook -Secret $case.key -Headers $case.headers -Now $case.now `
                -Body ([Convert]::FromBase64String($case.body))
        }} catch {{ '' }}
    }}
    ConvertTo-Json @($told) -Compress
    """
    told = run([POWERSHELL, "-NoProfile", "-Command", script], V1)
    assert told == [name or "" for name in wanted(V1)]


def test_the_sample_in_powershell_reads_as_it_should() -> None:
    """What can be seen without a runtime: what it compares, and that it leaves nothing open."""
    text = (SAMPLES / "Verify.ps1").read_text("utf-8")
    code = "\n".join(line.partition("#")[0] for line in text.splitlines())
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", code)
    for opening, closing in ("{}", "()", "[]"):
        assert bare.count(opening) == bare.count(closing), opening
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "whsec_", "HMACSHA256"):
        assert name in text


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_the_script_for_servicenow_on_a_shim_of_the_platform() -> None:
    assert NODE is not None
    cases = [*V1, a_case()]
    found = run([NODE, str(HERE / "servicenow.mjs"), str(SAMPLES / "servicenow.js")], cases)
    first, *others = found["answers"]
    assert first == 204
    for case, status in zip(cases[1:], others, strict=True):
        assert status == (200 if case["fits"] else 401)  # the genuine ones repeat the first's id
    [event] = found["tables"]["em_event"]
    assert event["message_key"] == "inc_1"
    assert (event["severity"], event["type"]) == (2, "incident.noted")
    assert len(found["tables"]["u_sextant_seen"]) == 1
