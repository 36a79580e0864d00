from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bert4rec.errors import DataError
from bert4rec.training.checkpoints import AtomicCheckpoints, read_checkpoint


def test_a_checkpoint_comes_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    io = AtomicCheckpoints()
    io.save_checkpoint(
        {"epoch": 3, "state_dict": {"w": torch.ones(2)}}, tmp_path / "new" / "last.ckpt"
    )
    found = io.load_checkpoint(tmp_path / "new" / "last.ckpt")
    assert found["epoch"] == 3
    assert found["state_dict"]["w"].tolist() == [1, 1]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_is_absent_or_cut_off_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 3}, path)
    path.write_bytes(path.read_bytes()[:-20])
    for broken in (path, tmp_path / "absent.ckpt"):
        with pytest.raises(DataError, match="absent or damaged; --overwrite trains from the start"):
            read_checkpoint(broken)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": Path("anything but plain values")}, tmp_path / "last.ckpt")
    with pytest.raises(DataError):
        read_checkpoint(tmp_path / "last.ckpt")
