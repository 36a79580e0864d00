"""Pooling of folds: results of the same data, each of a fold of its own, under one protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bert4rec.errors import DataError


def pooled_protocol(
    protocols: Sequence[Mapping[str, Any]],
    rows: Sequence[Collection[str]],
    agree: Sequence[str],
    results: str,
    held_out: str,
) -> dict[str, Any]:
    """Protocol of the first result, with the splits of all.

    `results` and `held_out` are words for error messages: the kind of result, and what a fold
    holds out.

    Raises DataError where the results differ in a part that must `agree` or in their rows, and
    where two are of one fold.
    """
    for part in agree:
        if len({protocol[part] for protocol in protocols}) > 1:
            name = part.replace("_", " ")
            raise DataError(f"the {results} differ in their {name}; take models of the same data")
    if any(set(names) != set(rows[0]) for names in rows):
        raise DataError(f"the {results} have other rows; take models with the same settings")
    folds = [str(protocol["split_checksum"]) for protocol in protocols]
    if len(set(folds)) < len(folds):
        raise DataError(
            f"two models are of the same fold, whose {held_out} would count twice; "
            "name one model a fold"
        )
    names = " + ".join(str(protocol["split"]) for protocol in protocols)
    return {**protocols[0], "split": names, "split_checksum": " + ".join(folds)}
