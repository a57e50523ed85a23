"""`sextant simulate` as a stranger uses it, and `sextant fold` over what it prints."""

import json
from itertools import islice
from pathlib import Path

from app import cli
from bench.scenarios import generate, names

KINDS = ("client_report", "probe_result", "advisory")


def test_simulate_prints_labelled_lines_and_writes_the_truth(tmp_path, capsysbinary) -> None:
    truth = tmp_path / "truth.json"
    arguments = ["simulate", "no_probes", "--seed", "3", "--users", "200", "--history-days", "0"]
    assert cli.main([*arguments, "--truth", str(truth)]) == 0
    header, *lines = [json.loads(text) for text in capsysbinary.readouterr().out.splitlines()]
    assert header["users"] == 200
    assert all(line["label"] for line in lines)
    assert json.loads(truth.read_text("utf-8"))["faults"][0]["id"] == "f1"
    assert cli.main([*arguments, "--plain"]) == 0
    plain = [json.loads(text) for text in capsysbinary.readouterr().out.splitlines()][1:]
    assert plain == [{k: v for k, v in line.items() if k != "label"} for line in lines]


def test_simulate_lists_the_names(capsys) -> None:
    assert cli.main(["simulate", "list"]) == 0
    assert capsys.readouterr().out.split() == names()


def test_simulate_says_in_one_sentence_what_is_wrong(capsys, monkeypatch, tmp_path) -> None:
    assert cli.main(["simulate", "nowhere"]) == 1
    assert "There is no scenario nowhere" in capsys.readouterr().err
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "app" / "cli.py"))
    assert cli.main(["simulate", "ex931445"]) == 1
    assert "come with the source of Sextant" in capsys.readouterr().err


def chosen(name: str) -> list[bytes]:
    """The header, and of every kind and label and form of a scenario a few lines."""
    weeks = 0.3 if name in {"random", "noise"} else None
    made = generate(name, 11, users=300, history_days=0, weeks=weeks)
    kept: dict[object, list[bytes]] = {}
    texts = made.ndjson(labelled=True)
    header = next(texts)
    for text, line in zip(texts, made.lines(), strict=True):
        body = line.body
        form = tuple(body.get(k) for k in ("service", "code", "http_status", "symptom", "error"))
        sort = (line.kind, line.label if line.label in {"background", "healthy"} else "", form)
        kept.setdefault(sort if line.kind != "advisory" else line.ref, []).append(text)
    return [header, *(text for texts in kept.values() for text in islice(texts, 1))]


def test_every_form_of_line_is_taken_by_the_doors(tmp_path: Path) -> None:
    """All scenarios through `fold`, each as a tenant of its own; a refused line is an error."""
    texts: list[bytes] = []
    for name in ("ex931445", "idp_fault", "isp_path", "local_net_s3", "rotating_actor_storm"):
        texts += [text.replace(b'"contoso"', f'"{name}"'.encode(), 1) for text in chosen(name)]
    signals = tmp_path / "signals.ndjson"
    signals.write_bytes(b"".join(texts))
    assert cli.main(["fold", "--signals", str(signals), "--out", str(tmp_path / "out")]) == 0
    told = (tmp_path / "out" / "assignments.ndjson").read_text("utf-8").splitlines()
    assert len(told) == sum(b'"ref"' in text for text in texts)
