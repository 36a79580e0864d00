"""Counting baselines: popularity, sequential rules, and neighbours by users or by content.

All are fitted on the training events; content neighbours read item features alone. Each is a
`Scorer`, so it is filtered and ranked exactly as a network is. Item tables are sparse: nothing of
size users × items is ever held.

Legend: B users of a batch, U user rows, N events, V item rows, K neighbours, G groups of users, O
rows of a table, F values of one feature, Z values of all features, X distinct pairs of user and
item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints, offsets
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind, network_values
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import last_events
from bert4rec.data.splits import Split, training_counts
from bert4rec.evaluation.interactions import distinct_training_pairs, training_pairs
from bert4rec.ids import UNKNOWN
from bert4rec.retrieval.scorers import Scorer

ITEMS_AT_ONCE = 256
"""Items whose common users with every other item are counted at once."""


def fit_baselines(dataset: PreparedDataset, split: Split) -> list[Scorer]:
    """Popularity, sequential rules and item neighbours."""
    return [
        Popularity(dataset, split),
        SequentialRules(dataset, split),
        ItemNeighbours(dataset, split),
    ]


class Popularity:
    """The most popular items for every user, by training events."""

    name = "popularity"

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.count_V = torch.from_numpy(training_counts(dataset, split).astype(np.float32))

    def score(self, histories: Histories) -> Tensor:
        """Training events of each item, the same for every user."""
        return self.count_V.repeat(len(histories), 1)


class PopularityByGroup:
    """The most popular items among users of the same gender and age group.

    Without these two features all categorical ones make the groups. `shrinkage` events of the
    overall distribution join those of every group, so a group of few or none gets the popular
    items.
    """

    shrinkage = 1000.0

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.value_U = {
            name: np.asarray(dataset.user_features[name][1]) for name in grouping_features(dataset)
        }
        features = " and ".join(self.value_U)
        self.name = f"popularity by {features}" if features else "popularity"
        self.rows = dataset.item_rows
        count_V = training_counts(dataset, split)
        self.prior_V = self.shrinkage * count_V / max(1, count_V.sum())
        user_N, item_N = training_pairs(dataset, split)
        groups, group_U = _groups(self.value_U, dataset.user_rows)
        self.group_of = {values: group for group, values in enumerate(groups)}
        group_N = group_U[user_N]
        self.item_N = item_N[np.argsort(group_N, kind="stable")]
        self.start_G1 = offsets(np.bincount(group_N, minlength=len(groups)))

    def score(self, histories: Histories) -> Tensor:
        """Shrunken counts of each user's group, by the given features, or else the stored ones."""
        given_B = {
            name: histories.user_features.get(name, value_U[histories.user_B])
            for name, value_U in self.value_U.items()
        }
        groups, group_B = _groups(given_B, len(histories))
        score_GV = np.stack([self.prior_V + self._counts(values) for values in groups])
        return torch.from_numpy(score_GV.astype(np.float32)[group_B])

    def _counts(self, values: tuple[int, ...]) -> Ints:
        """Training events of each item in a group; none where no training user is in it."""
        group = self.group_of.get(values)
        if group is None:
            return np.zeros(self.rows, dtype=np.int64)
        start, stop = self.start_G1[group : group + 2]
        return np.bincount(self.item_N[start:stop], minlength=self.rows)


def _groups(value_O: Mapping[str, Ints], rows: int) -> tuple[list[tuple[int, ...]], Ints]:
    """Distinct combinations of values, and the index of each row's; one group without features."""
    one_group_O = np.zeros(rows, dtype=np.int64)
    values = np.stack([one_group_O, *value_O.values()], axis=1)
    groups, group_O = np.unique(values, axis=0, return_inverse=True)
    return [tuple(group) for group in groups.tolist()], group_O.ravel()


def grouping_features(dataset: PreparedDataset) -> list[str]:
    """Features that make groups: gender and age group where there is one, or all categorical."""
    categorical = [
        name
        for name, (feature, _) in dataset.user_features.items()
        if feature.kind is Kind.CATEGORICAL
    ]
    return [name for name in categorical if name in ("gender", "age_group")] or categorical


class SequentialRules:
    """Items that followed the last events of a history in other histories.

    T[a, b] sums 1 / distance over all positions where b came within 10 events after a, divided by
    (count a + 20)^½ · (count b + 5)^¼. The last 10 events vote, the newest with weight 1, then ½,
    ⅓, …
    """

    name = "sequential rules"
    reach = 10

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        count_V = training_counts(dataset, split)
        rules = _followers(dataset, split, self.reach)
        first, second = rules.coords
        rules.data /= np.sqrt(count_V[first] + 20) * (count_V[second] + 5) ** 0.25
        self.rule_VV = rules.tocsr()

    def score(self, histories: Histories) -> Tensor:
        """Sum of the rules of each user's last events, weighted by recency."""
        recent = last_events(histories, self.reach)
        return _product(
            _history_matrix(recent, 1 / _age(recent), self.rule_VV.shape[0]), self.rule_VV
        )


def _followers(dataset: PreparedDataset, split: Split, reach: int) -> coo_array:
    """Summed 1 / distance of every ordered pair of items within `reach` events of one user."""
    user_N, item_N = training_pairs(dataset, split)
    rows = dataset.item_rows
    followers = csr_array((rows, rows))
    for distance in range(1, reach + 1):
        same_user_N = user_N[:-distance] == user_N[distance:]
        first_N, second_N = item_N[:-distance][same_user_N], item_N[distance:][same_user_N]
        weight_N = np.full(len(first_N), 1 / distance)
        followers += coo_array((weight_N, (first_N, second_N)), shape=(rows, rows)).tocsr()
    return followers.tocoo()


class ItemNeighbours:
    """Items that the same users had: each item of the history votes for its 200 nearest.

    Similarity is the shrunken cosine of the two items' sets of training users:
    common / (√(users a · users b) + 20).
    """

    name = "item kNN"
    neighbours = 200
    shrinkage = 20.0

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        rows = dataset.item_rows
        blocks = [
            self._nearest(common_OV, count_V, first)
            for first, common_OV, count_V in _common_users(dataset, split)
        ]
        item_VK = np.concatenate([item_OK for item_OK, _ in blocks])
        similarity_VK = np.concatenate([similarity_OK for _, similarity_OK in blocks])
        start_V1 = np.arange(rows + 1) * item_VK.shape[1]
        entries = similarity_VK.ravel(), item_VK.ravel(), start_V1
        self.similarity_VV = csr_array(entries, shape=(rows, rows))

    def _nearest(self, common_OV: Floats, count_V: Ints, first: int) -> tuple[Ints, Floats]:
        """Nearest items of the rows from `first` on, and their similarities `[O, K]`."""
        row_O = first + np.arange(len(common_OV))
        similarity_OV = common_OV / (np.sqrt(np.outer(count_V[row_O], count_V)) + self.shrinkage)
        similarity_OV[np.arange(len(row_O)), row_O] = 0
        last = min(self.neighbours, similarity_OV.shape[1]) - 1
        nearest_OK = np.argpartition(-similarity_OV, last, axis=1)[:, : self.neighbours]
        similarity_OK = np.take_along_axis(similarity_OV, nearest_OK, axis=1)
        return nearest_OK, similarity_OK.astype(np.float32)

    def score(self, histories: Histories) -> Tensor:
        """Summed similarity to every item of the history."""
        one_N = np.ones(len(histories.item_N))
        history_BV = _history_matrix(histories, one_N, self.similarity_VV.shape[0])
        return _product(history_BV, self.similarity_VV)


def _common_users(dataset: PreparedDataset, split: Split) -> Iterator[tuple[int, Floats, Ints]]:
    """First row of a block of items, users shared with each item `[O, V]`, and users by item."""
    user_X, item_X = distinct_training_pairs(dataset, split)
    shape = dataset.user_rows, dataset.item_rows
    has_UV = coo_array((np.ones(len(user_X)), (user_X, item_X)), shape=shape).tocsr()
    count_V = np.bincount(item_X, minlength=dataset.item_rows)
    has_VU = has_UV.T.tocsr()
    for first in range(0, dataset.item_rows, ITEMS_AT_ONCE):
        yield first, (has_VU[first : first + ITEMS_AT_ONCE] @ has_UV).toarray(), count_V


def _history_matrix(histories: Histories, weight_N: Floats, rows: int) -> csr_array:
    """Weights of each user's events as a sparse matrix over the items; repeated items add up."""
    entries = weight_N, histories.item_N, histories.start_B1
    return csr_array(entries, shape=(len(histories), rows))


def _product(history_BV: csr_array, item_VV: csr_array) -> Tensor:
    return torch.from_numpy((history_BV @ item_VV).toarray().astype(np.float32))


def _age(recent: Histories) -> Ints:
    """Number of each event `[N]`, counted from the newest of its user, which is 1."""
    return recent.start_B1[1:][recent.row_N] - np.arange(len(recent.item_N))


class ContentNeighbours:
    """Items whose features are similar to those of the last events; it ranks cold-start items too.

    Each feature of an item is a vector of length 1, or 0 where it is unknown: one-hot, multi-hot,
    or, for a number in standard deviations, the point at that angle of a half circle. Similarity
    is the cosine of all of them side by side. The last 10 events vote, the newest with weight 1,
    then ½, ⅓, …
    """

    name = "content kNN"
    reach = 10

    def __init__(self, dataset: PreparedDataset) -> None:
        parts = [
            _values_and_weights(feature, network_values(feature, table))
            for feature, table in dataset.item_features.values()
        ]
        first = offsets(np.array([values for _, _, values in parts]))
        values = [value_VF + start for (value_VF, _, _), start in zip(parts, first, strict=False)]
        weight_VF = np.concatenate([weight_VF for _, weight_VF, _ in parts], axis=1)
        self.value_VF = torch.from_numpy(np.concatenate(values, axis=1))
        self.weight_VF = torch.nn.functional.normalize(torch.from_numpy(weight_VF))
        self.values = int(first[-1])

    def score(self, histories: Histories) -> Tensor:
        """Similarities to the last events, summed and weighted by recency."""
        recent = last_events(histories, self.reach)
        row_N, age_N = torch.from_numpy(recent.row_N), torch.from_numpy(_age(recent))
        item_N = torch.from_numpy(recent.item_N.astype(np.int64))
        profile_BZ = torch.zeros(len(recent), self.values)
        profile_BZ.index_put_(
            (row_N[:, None], self.value_VF[item_N]),
            self.weight_VF[item_N] / age_N[:, None],
            accumulate=True,
        )
        score_BV = torch.zeros(len(recent), len(self.value_VF))
        for value_V, weight_V in zip(self.value_VF.T, self.weight_VF.T, strict=True):
            score_BV += profile_BZ[:, value_V] * weight_V
        return score_BV


def _values_and_weights(feature: Feature, table: Ints | Floats) -> tuple[Ints, Floats, int]:
    """Unit vectors of one feature: values `[V, F]`, their weights, and the number of values."""
    if feature.kind is Kind.NUMERIC:
        angle_V = np.clip(table, -np.pi / 2, np.pi / 2)
        weight_VF = np.nan_to_num(np.stack([np.cos(angle_V), np.sin(angle_V)], axis=1))
        return np.broadcast_to(np.arange(2), weight_VF.shape), weight_VF.astype(np.float32), 2
    value_VF = table.reshape(len(table), -1).astype(np.int64)
    known_VF = value_VF != UNKNOWN
    length_V1 = np.sqrt(np.maximum(known_VF.sum(1, keepdims=True), 1))
    return value_VF, (known_VF / length_V1).astype(np.float32), feature.rows
