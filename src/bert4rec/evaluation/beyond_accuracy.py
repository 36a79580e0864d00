"""Beyond-accuracy metrics of top-10 lists: popularity, novelty and diversity.

Whether a list holds the target is left to `metrics`.

Legend: B users of a batch, K items of a list, P pairs of its items, V item rows, M values an item
may have, X user and item pairs of training, Z values there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bert4rec.data.arrays import Floats, Ints, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.data.splits import Split, training_counts
from bert4rec.evaluation.interactions import distinct_training_pairs
from bert4rec.ids import FIRST_ITEM, PAD


@dataclass(frozen=True)
class ItemTraits:
    """Traits of every item row that list metrics average; the rows of PAD and MASK mean nothing."""

    popularity_V: Floats
    """Share of the other items that have fewer training events: 1 for the most popular."""
    novelty_V: Floats
    """−log2 of the share of training users who have the item, in bits (Zhou et al. 2010).

    An item that no training user has counts as one user's.
    """
    value_VM: Ints | None
    """Value rows of the first multi-valued feature (genres), 0 where there is none.

    None without such a feature.
    """


def item_traits(dataset: PreparedDataset, split: Split) -> ItemTraits:
    """Traits of all items, from the training events."""
    multi_valued = [
        np.asarray(table)
        for feature, table in dataset.item_features.values()
        if feature.kind is Kind.MULTI
    ]
    return ItemTraits(
        popularity_V=item_popularity(dataset, split),
        novelty_V=_novelty(dataset, split),
        value_VM=multi_valued[0] if multi_valued else None,
    )


def item_popularity(dataset: PreparedDataset, split: Split) -> Floats:
    """Share of the other items with fewer training events `[V]`; equal counts get equal shares."""
    count_V = training_counts(dataset, split)
    fewer_V = np.searchsorted(np.sort(count_V[FIRST_ITEM:]), count_V)
    return fewer_V / max(1, dataset.num_items - 1)


def _novelty(dataset: PreparedDataset, split: Split) -> Floats:
    user_X, item_X = distinct_training_pairs(dataset, split)
    users = max(1, np.count_nonzero(np.diff(user_X, prepend=-1)))
    owners_V = np.bincount(item_X, minlength=dataset.item_rows)
    return np.log2(users / np.maximum(owners_V, 1))


def beyond_accuracy_metrics(item_BK: Ints, traits: ItemTraits) -> dict[str, Floats]:
    """Popularity, novelty and diversity of each list, NaN for a list that is too short.

    PAD fills ranks without an item. diversity@10 is 1 − the Jaccard similarity of two items'
    values, averaged over the pairs of the list (intra-list similarity of Ziegler et al. 2005). An
    item without values is similar to no other.
    """
    listed_BK = item_BK != PAD
    metrics = {
        "popularity@10": masked_mean(traits.popularity_V[item_BK], listed_BK),
        "novelty@10": masked_mean(traits.novelty_V[item_BK], listed_BK),
    }
    if traits.value_VM is not None and item_BK.shape[1] > 1:
        similarity_BKK = _jaccard_similarity(traits.value_VM[item_BK])
        metrics["diversity@10"] = mean_over_pairs(1 - similarity_BKK, listed_BK)
    return metrics


def mean_over_pairs(value_BKK: Floats, listed_BK: Mask) -> Floats:
    """Mean `[B]` over the pairs of listed items, NaN without a pair."""
    first_P, second_P = np.triu_indices(listed_BK.shape[1], 1)
    both_BP = listed_BK[:, first_P] & listed_BK[:, second_P]
    return masked_mean(value_BKK[:, first_P, second_P], both_BP)


def masked_mean(value_BX: Floats, mask_BX: Mask) -> Floats:
    """Mean of each row's masked values, NaN where there is none."""
    number_B = mask_BX.sum(1)
    total_B = np.where(mask_BX, value_BX, 0).sum(1, dtype=float)
    return total_B / np.where(number_B > 0, number_B, np.nan)


def _jaccard_similarity(value_BKM: Ints) -> Floats:
    """Jaccard similarity of the value sets of every two items of a list, `[B, K, K]`."""
    has_BKZ = np.zeros((*value_BKM.shape[:2], int(value_BKM.max(initial=0)) + 1), dtype=np.float32)
    np.put_along_axis(has_BKZ, value_BKM.astype(np.int64), 1.0, axis=2)
    # Value 0 is "none".
    has_BKZ = has_BKZ[:, :, 1:]
    shared_BKK = has_BKZ @ has_BKZ.transpose(0, 2, 1)
    size_BK = has_BKZ.sum(2)
    either_BKK = size_BK[:, :, None] + size_BK[:, None] - shared_BKK
    return np.divide(shared_BKK, either_BKK, out=np.zeros_like(shared_BKK), where=either_BKK > 0)
