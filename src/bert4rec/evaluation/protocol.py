"""Protocol of an evaluation: everything that a figure depends on besides the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, Subset
from bert4rec.evaluation.intervals import LEVEL, RESAMPLES
from bert4rec.retrieval.scorers import Scorer

REQUEST_TIME = {True: "known", False: "unknown"}
"""Words for the `request_time` of a protocol."""


def protocol_of(
    dataset: PreparedDataset, split: Split, subset: Subset, request_time: bool, seed: int
) -> dict[str, str | int | bool]:
    """Protocol of one evaluation, as reports store it."""
    ties = {"event_ties": dataset.ties} if dataset.ties != "file" else {}
    return {
        "dataset": dataset.name,
        "dataset_checksum": dataset.checksum,
        "features_checksum": dataset.features_checksum,
        "split": split.name,
        "split_checksum": split.checksum,
        "subset": subset,
        "users": len(split.cases(subset)),
        "items": dataset.num_items,
        "candidates": f"all {dataset.num_items} items",
        "filter": "the user's whole history",
        "ties": "against the model",
        **ties,
        "request_time": request_time,
        "intervals": f"{LEVEL:.0%} bootstrap over users, {RESAMPLES} resamples, seed {seed}",
    }


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """Dataset, split, candidates, filter, ties, request time and intervals in one line."""
    request_time = protocol["request_time"]
    parts = [
        f"{protocol['dataset']} ({_checksums(protocol)})",
        *([f"order of ties: {protocol['event_ties']}"] if "event_ties" in protocol else []),
        f"{protocol['split']} (checksum {protocol['split_checksum']})",
        str(protocol["subset"]),
        f"{protocol['users']} users",
        f"{protocol['candidates']} as candidates",
        f"filtered: {protocol['filter']}",
        f"ties {protocol['ties']}",
        f"request time {REQUEST_TIME.get(request_time, request_time)}",
        f"intervals: {protocol['intervals']}",
    ]
    return ", ".join(parts)


def _checksums(protocol: Mapping[str, Any]) -> str:
    """Checksums of events and features; older records name that of the events alone."""
    events = f"checksum {protocol['dataset_checksum']}"
    features = protocol.get("features_checksum")
    return f"{events}, features {features}" if features else events


def uses_request_time(scorer: Scorer, dataset: PreparedDataset) -> bool:
    """True where the dataset has times and the scorer reads the time of a request.

    A network may have been trained without request times; baselines count as reading them.
    """
    return dataset.has_times and getattr(scorer, "reads_request_time", True)
