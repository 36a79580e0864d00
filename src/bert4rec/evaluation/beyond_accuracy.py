"""What top-10 lists are like, whether right or wrong: how popular, how surprising, how varied.

Legend: B users of a piece, K list length, V item rows, M values an item may have, W values there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.data.splits import Split, training_counts
from bert4rec.evaluation.interactions import owned_pairs
from bert4rec.ids import FIRST_ITEM, PAD


@dataclass(frozen=True)
class ItemTraits:
    """What an item says about a list that holds it; the rows of PAD and MASK mean nothing."""

    popularity_V: Floats
    """The share of the other items that have fewer training events: 1 for the most popular."""
    novelty_V: Floats
    """−log2 of the share of training users who have it, in bits (Zhou et al. 2010); nobody counts as one user."""
    values_VM: Ints | None
    """Its value rows of the first multi-valued feature (genres), 0 where there is none; None without such a feature."""


def item_traits(dataset: PreparedDataset, split: Split) -> ItemTraits:
    """The traits of all items, from the training events."""
    multi = [
        np.asarray(table)
        for feature, table in dataset.item_features.values()
        if feature.kind is Kind.MULTI
    ]
    return ItemTraits(
        item_popularity(dataset, split), _novelty(dataset, split), multi[0] if multi else None
    )


def item_popularity(dataset: PreparedDataset, split: Split) -> Floats:
    """For each item row the share of the other items with fewer training events; equals get the same."""
    count_V = training_counts(dataset, split)
    fewer_V = np.searchsorted(np.sort(count_V[FIRST_ITEM:]), count_V)
    return fewer_V / max(1, dataset.num_items - 1)


def _novelty(dataset: PreparedDataset, split: Split) -> Floats:
    user_X, item_X = owned_pairs(dataset, split)
    owners_V = np.maximum(np.bincount(item_X, minlength=dataset.item_rows), 1)
    return np.log2(max(1, np.count_nonzero(np.diff(user_X, prepend=-1))) / owners_V)


def beyond_accuracy_metrics(item_BK: Ints, traits: ItemTraits) -> dict[str, Floats]:
    """Popularity, novelty and diversity of each list, NaN where it is too short; PAD fills places that hold no item.

    diversity@10: 1 − Jaccard similarity of two items' values, averaged over the pairs of the list; an item without
    values is like no other (Ziegler et al. 2005 with 1 − similarity).
    """
    listed_BK = item_BK != PAD
    metrics = {
        "popularity@10": _mean(traits.popularity_V[item_BK], listed_BK),
        "novelty@10": _mean(traits.novelty_V[item_BK], listed_BK),
    }
    if traits.values_VM is not None and item_BK.shape[1] > 1:
        first, second = np.triu_indices(item_BK.shape[1], 1)
        unlike_BKK = 1 - _likeness(traits.values_VM[item_BK])
        metrics["diversity@10"] = _mean(
            unlike_BKK[:, first, second], listed_BK[:, first] & listed_BK[:, second]
        )
    return metrics


def _likeness(value_BKM: Ints) -> Floats:
    """The Jaccard similarity of the value sets of every two items of a list, `[B, K, K]`."""
    has_BKW = np.zeros((*value_BKM.shape[:2], int(value_BKM.max(initial=0)) + 1), dtype=np.float32)
    np.put_along_axis(has_BKW, value_BKM.astype(np.int64), 1.0, axis=2)
    has_BKW = has_BKW[:, :, 1:]
    shared_BKK = has_BKW @ has_BKW.transpose(0, 2, 1)
    size_BK = has_BKW.sum(2)
    either_BKK = size_BK[:, :, None] + size_BK[:, None] - shared_BKK
    return np.divide(shared_BKK, either_BKK, out=np.zeros_like(shared_BKK), where=either_BKK > 0)


def _mean(value_BX: Floats, counts_BX: Ints) -> Floats:
    """The mean of each row over what counts, NaN where nothing does."""
    number_B = counts_BX.sum(1)
    return np.where(counts_BX, value_BX, 0).sum(1, dtype=float) / np.where(
        number_B > 0, number_B, np.nan
    )
