"""What several folds have in common: answers that are put together are of the same data, each of a fold of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bert4rec.errors import DataError


def protocol_of_folds(
    protocols: Sequence[Mapping[str, Any]],
    rows: Sequence[Collection[str]],
    agree: Sequence[str],
    what: str,
    whose: str,
) -> dict[str, Any]:
    """The first one's protocol, with the splits of all.

    Raises DataError, which says `what` they are, where they differ in a part that must `agree` or have other rows, and
    where two are of one fold, `whose` parts would count twice.
    """
    for part in agree:
        if len({protocol[part] for protocol in protocols}) > 1:
            raise DataError(
                f"the {what} differ in their {part.replace('_', ' ')}; take models of the same data"
            )
    if any(set(of) != set(rows[0]) for of in rows):
        raise DataError(f"the {what} have other rows; take models with the same settings")
    folds = [str(protocol["split_checksum"]) for protocol in protocols]
    if len(set(folds)) < len(folds):
        raise DataError(
            f"two models are of the same fold, whose {whose} would count twice; name one model a fold"
        )
    names = " + ".join(str(protocol["split"]) for protocol in protocols)
    return {**protocols[0], "split": names, "split_checksum": " + ".join(folds)}
