"""What a model folder answers to every test user, kept beside its files.

Needs nothing that a machine that only trains may lack.

Legend: C cases (users).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bert4rec.artefact import CONFIG_FILE, WEIGHTS_FILE, load
from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.evaluation.evaluate import evaluate_rows
from bert4rec.evaluation.report import Report
from bert4rec.files import write_atomically


@dataclass(frozen=True)
class Answers:
    """What one run said to every test user."""

    rank_C: Ints
    square_C: Floats
    """Squared errors of the rating, NaN where there is none."""


def answers(
    folder: Path, dataset: PreparedDataset, split: Split, device: str = "cpu"
) -> dict[str, Answers]:
    """A run's answers by row, request time known first; kept beside its files, and asked again of other weights."""
    weights = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["files"][WEIGHTS_FILE]
    kept = folder / f"answers-{weights[:16]}.npz"
    if not kept.is_file():
        keep(kept, ask(folder, dataset, split, device))
    with np.load(kept, allow_pickle=False) as arrays:
        rows = dict.fromkeys(name.split("/")[0] for name in arrays)
        return {row: Answers(arrays[f"{row}/rank_C"], arrays[f"{row}/square_C"]) for row in rows}


def ask(folder: Path, dataset: PreparedDataset, split: Split, device: str) -> dict[str, Answers]:
    """Every test user's answers, with the request time known, if the model reads it, and unknown."""
    model = load(folder)
    model.network.to(device)
    scorer = model.scorer()
    return {
        row: Answers(report.rank_C, _squares(report))
        for row, report in evaluate_rows(scorer, dataset, split, "test").items()
    }


def _squares(report: Report) -> Floats:
    return (
        np.full(len(report.rank_C), np.nan)
        if report.squared_error_C is None
        else report.squared_error_C
    )


def keep(path: Path, rows: Mapping[str, Answers]) -> None:
    """The answers as one file of arrays."""
    arrays = {
        f"{row}/{name}": getattr(given, name)
        for row, given in rows.items()
        for name in ("rank_C", "square_C")
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getbuffer())
