"""Ranks and rating errors of a model folder on the test users, stored beside its files.

Needs no library for tables, flags or pictures: it runs on machines that only train.

Legend: C evaluation cases, one a test user.
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
from bert4rec.evaluation.evaluate import evaluate_by_request_time
from bert4rec.evaluation.report import Report
from bert4rec.files import write_atomically


@dataclass(frozen=True)
class Answers:
    """Ranks and rating errors of one model under one row: request time known, or unknown."""

    rank_C: Ints
    square_C: Floats
    """Squared errors of the predicted ratings; NaN for cases without a rating."""


def answers(
    folder: Path, dataset: PreparedDataset, split: Split, device: str = "cpu"
) -> dict[str, Answers]:
    """Answers by row, request time known first.

    They are stored beside the model's files and computed again when its weights change.
    """
    weights = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["files"][WEIGHTS_FILE]
    stored = folder / f"answers-{weights[:16]}.npz"
    if not stored.is_file():
        store(stored, compute(folder, dataset, split, device))
    with np.load(stored, allow_pickle=False) as arrays:
        rows = dict.fromkeys(name.split("/")[0] for name in arrays)
        return {row: Answers(arrays[f"{row}/rank_C"], arrays[f"{row}/square_C"]) for row in rows}


def compute(
    folder: Path, dataset: PreparedDataset, split: Split, device: str
) -> dict[str, Answers]:
    """Answers by row; a model that never reads the request time has one row."""
    model = load(folder)
    model.network.to(device)
    reports = evaluate_by_request_time(model.scorer(), dataset, split, "test")
    return {row: Answers(report.rank_C, _squares(report)) for row, report in reports.items()}


def _squares(report: Report) -> Floats:
    if report.squared_error_C is None:
        return np.full(len(report.rank_C), np.nan)
    return report.squared_error_C


def store(path: Path, rows: Mapping[str, Answers]) -> None:
    """Write the answers of all rows as one file of arrays."""
    arrays: dict[str, np.ndarray] = {}
    for row, given in rows.items():
        arrays[f"{row}/rank_C"] = given.rank_C
        arrays[f"{row}/square_C"] = given.square_C
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getbuffer())
