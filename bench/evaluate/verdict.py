"""Verdict: what went wrong in one run, in a few words each."""

from typing import Any

Row = dict[str, Any]


def losses(score: Row) -> list[str]:
    """What a run lost; empty when it went as the truth demands."""
    found = []
    for row in score["faults"]:
        found += [f"{row['id']} {word}" for word in _of_fault(row)]
    for claim in score["claims"]:
        if claim["verdict"] == "false":
            found.append(f"false incident ({claim['origin']})")
        if len(claim["covers"]) > 1:
            found.append(f"merged {' and '.join(claim['covers'])}")
    found += [f"{v} attached wrongly" for v, word in score["stray"].items() if word == "wrong"]
    return found


def _of_fault(row: Row) -> list[str]:
    if not row["claim"]:
        return ["missed"] if row["seen"] and row["required"] else []
    words = []
    if row["said"] != row["origin"]:
        words.append(f"said {row['said']}")
    elif row["said_early"] != row["origin"]:
        words.append(f"said {row['said_early']} first")
    if row["fragments"] > 1:
        words.append(f"in {row['fragments']} pieces")
    words += [f"{v} {word}" for v, word in sorted(row["attach"].items()) if word != "right"]
    if row["premature"]:
        words.append("closed early")
    if row["zombie"]:
        words.append("closed late")
    return words
