"""The command `schema`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.cli.main import main


def test_schema_goes_to_stdout_and_the_summary_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "e.csv"
    events.write_text("who,item,ts\n1,2,1600000000\n")
    assert main(["schema", str(events), "--user", "who"]) == 0
    printed = capsys.readouterr()
    assert "  user: who\n  item: item\n" in printed.out
    assert "e.csv: ts" in printed.err


def test_schema_replaces_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "e.csv"
    events.write_text("user,item,ts\n1,2,1600000000\n")
    out = tmp_path / "s.yaml"
    assert main(["schema", str(events), "--output", str(out)]) == 0
    assert "file: e.csv" in out.read_text()
    assert main(["schema", str(events), "--output", str(out)]) == 2
    assert main(["schema", str(tmp_path / "none.csv")]) == 1
