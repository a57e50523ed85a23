"""Imports point inward; the contracts stand in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from tests.house.tree import PROJECT


def test_the_import_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
