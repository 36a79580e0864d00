"""What counting alone reaches: popularity, of all or of people alike, sequential rules and item neighbours.

All of these are fitted on the training events; content neighbours know items by their features alone. Each is a
`Scorer`, so it is asked, filtered and ranked exactly as a network is. Nothing of size users × items or items × items is
held: fitting goes through the items in pieces, scoring through the users one by one.

Legend: B users, U user rows, N training events, V item rows, P pairs of items, K neighbours, G groups of users, X some
of the events, F values of an item's features, W values that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints, offsets, range_indices
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import last_events
from bert4rec.data.splits import Split, training_counts
from bert4rec.evaluation.interactions import distinct_training_pairs, training_pairs
from bert4rec.ids import UNKNOWN
from bert4rec.retrieval.scorers import Scorer

EVENTS_IN_PIECE = 2**18
"""Events whose followers are counted at once; an item with more makes a piece of its own."""


def fit_baselines(dataset: PreparedDataset, split: Split) -> list[Scorer]:
    """Popularity, sequential rules and item neighbours."""
    return [
        Popularity(dataset, split),
        SequentialRules(dataset, split),
        ItemNeighbours(dataset, split),
    ]


class Popularity:
    """Every user gets the items with most training events."""

    name = "popularity"

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.count_V = torch.from_numpy(training_counts(dataset, split).astype(np.float32))

    def score(self, histories: Histories) -> Tensor:
        """The counts, the same for all."""
        return self.count_V.repeat(len(histories), 1)


class PopularityByGroup:
    """Everybody gets what people of the same gender and age group had most often.

    Without these two features all categorical ones make the groups. To a group's training events come `shrinkage` of
    everybody's, in their shares: a group of few or none gets the popular items.
    """

    shrinkage = 1000.0

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.table_U = {
            name: np.asarray(dataset.user_features[name][1]) for name in grouping_features(dataset)
        }
        self.name = " ".join(
            ["popularity", *(["by", " and ".join(self.table_U)] if self.table_U else [])]
        )
        self.rows = dataset.item_rows
        count_V = training_counts(dataset, split)
        self.prior_V = self.shrinkage * count_V / max(1, count_V.sum())
        user_N, item_N = training_pairs(dataset, split)
        values, group_U = np.unique(
            self._values(self.table_U, dataset.user_rows), axis=0, return_inverse=True
        )
        self.group_of = {tuple(row): group for group, row in enumerate(values.tolist())}
        group_N = group_U.ravel()[user_N]
        self.item_N = item_N[np.argsort(group_N, kind="stable")]
        self.start_G1 = offsets(np.bincount(group_N, minlength=len(values)))

    def score(self, histories: Histories) -> Tensor:
        """The counts of each user's group, by the features that are given, or else stored."""
        given = {
            name: histories.user_features.get(name, table_U[histories.user_B])
            for name, table_U in self.table_U.items()
        }
        groups, place_B = np.unique(
            self._values(given, len(histories)), axis=0, return_inverse=True
        )
        score_GV = np.stack(
            [self.prior_V + self._counts(tuple(values)) for values in groups.tolist()]
        )
        return torch.from_numpy(score_GV.astype(np.float32)[place_B.ravel()])

    @staticmethod
    def _values(values: Mapping[str, Ints], rows: int) -> Ints:
        """A row for each user; where nothing makes groups all are of one."""
        return np.stack([np.zeros(rows, dtype=np.int64), *values.values()], axis=1)

    def _counts(self, values: tuple[int, ...]) -> Ints:
        group = self.group_of.get(values)
        own_N = (
            self.item_N[:0]
            if group is None
            else self.item_N[self.start_G1[group] : self.start_G1[group + 1]]
        )
        return np.bincount(own_N, minlength=self.rows)


def grouping_features(dataset: PreparedDataset) -> list[str]:
    """The names of the user features that make groups: gender and age group where there is one, or all categorical."""
    categorical = [
        name for name, (of, _) in dataset.user_features.items() if of.kind is Kind.CATEGORICAL
    ]
    return [name for name in categorical if name in ("gender", "age_group")] or categorical


class SequentialRules:
    """What tended to come soon after the last events.

    T[a, b] sums 1 / distance over all places where b came within 10 events after a, divided by
    (count a + 20)^½ · (count b + 5)^¼. The last 10 events vote, the newest with weight 1, then ½, ⅓, …
    """

    name = "sequential rules"
    reach = 10

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.rows = dataset.item_rows
        count_V = training_counts(dataset, split)
        first_P, second_P, weight_P = _followers(dataset, split, self.reach)
        weight_P = weight_P / (np.sqrt(count_V[first_P] + 20) * (count_V[second_P] + 5) ** 0.25)
        self.start_V1 = offsets(np.bincount(first_P, minlength=self.rows))
        self.second_P, self.weight_P = second_P.astype(np.int32), weight_P.astype(np.float32)

    def score(self, histories: Histories) -> Tensor:
        """The votes of each user's last events."""
        score_BV = np.zeros((len(histories), self.rows), dtype=np.float32)
        for score_V, item_X in zip(score_BV, _items_of_each(histories), strict=True):
            for place, item in enumerate(item_X[::-1][: self.reach], 1):
                rules = slice(self.start_V1[item], self.start_V1[item + 1])
                score_V[self.second_P[rules]] += self.weight_P[rules] / place
        return torch.from_numpy(score_BV)


def _followers(dataset: PreparedDataset, split: Split, reach: int) -> tuple[Ints, Ints, Floats]:
    """All ordered pairs within `reach` training events of a user, sorted, with their summed 1 / distance."""
    user_N, item_N = training_pairs(dataset, split)
    stop_V = np.cumsum(np.bincount(item_N, minlength=dataset.item_rows))
    piece_ends = stop_V[
        np.flatnonzero(np.diff(stop_V // EVENTS_IN_PIECE))
    ]  # between two items, never within one
    keys, weights = [], []
    for event_X in np.split(np.argsort(item_N, kind="stable"), piece_ends):
        later_XD = event_X[:, None] + np.arange(1, reach + 1)
        inside_XD = later_XD < len(item_N)
        later_XD = np.minimum(later_XD, max(0, len(item_N) - 1))
        inside_XD &= user_N[later_XD] == user_N[event_X, None]
        key_XD = item_N[event_X, None] * dataset.item_rows + item_N[later_XD]
        key_P, place = np.unique(key_XD[inside_XD], return_inverse=True)
        worth_XD = np.broadcast_to(1 / np.arange(1, reach + 1), inside_XD.shape)
        keys.append(key_P)
        weights.append(np.bincount(place, worth_XD[inside_XD], minlength=len(key_P)))
    key_P = np.concatenate(keys)
    return key_P // dataset.item_rows, key_P % dataset.item_rows, np.concatenate(weights)


class ItemNeighbours:
    """Items that the same users had: each seen item votes for its 200 nearest.

    Nearness is the cosine of the two items' sets of training users, shrunken: common / (√(users a · users b) + 20).
    """

    name = "item kNN"
    neighbours = 200
    shrinkage = 20.0

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.rows = dataset.item_rows
        near, likeness = [], []
        for item, common_V, count_V in _common_users(dataset, split):
            likeness_V = common_V / (np.sqrt(count_V[item] * count_V) + self.shrinkage)
            likeness_V[item] = 0
            near_K = np.argpartition(-likeness_V, min(self.neighbours, self.rows) - 1)[
                : self.neighbours
            ]
            near.append(near_K.astype(np.int32))
            likeness.append(likeness_V[near_K].astype(np.float32))
        self.near_VK, self.likeness_VK = np.stack(near), np.stack(likeness)

    def score(self, histories: Histories) -> Tensor:
        """The summed nearness to everything the user had."""
        score_BV = np.zeros((len(histories), self.rows), dtype=np.float32)
        for score_V, item_X in zip(score_BV, _items_of_each(histories), strict=True):
            score_V += np.bincount(
                self.near_VK[item_X].ravel(), self.likeness_VK[item_X].ravel(), minlength=self.rows
            )
        return torch.from_numpy(score_BV)


def _common_users(dataset: PreparedDataset, split: Split) -> Iterator[tuple[int, Ints, Ints]]:
    """For each item row: itself, how many users it shares with every item, and how many users every item has."""
    (user_X, item_X), rows = distinct_training_pairs(dataset, split), dataset.item_rows
    count_V = np.bincount(item_X, minlength=rows)
    length_U = np.bincount(user_X, minlength=dataset.user_rows)
    start_U = offsets(length_U)[:-1]
    owners = np.split(user_X[np.argsort(item_X, kind="stable")], np.cumsum(count_V)[:-1])
    for item, owner_X in enumerate(owners):
        owned = item_X[range_indices(start_U[owner_X], length_U[owner_X])]
        yield item, np.bincount(owned, minlength=rows), count_V


class ContentNeighbours:
    """Items whose features are like those of the last events: the only one that can tell new items apart.

    Each feature of an item is a vector of length 1, or 0 where it is unknown: one-hot, multi-hot, and of a number, in
    standard deviations, the point at that angle of a half circle. Likeness is the cosine of all of them side by side.
    The last 10 events ask, the newest with weight 1, then ½, ⅓, …
    """

    name = "content kNN"
    reach = 10

    def __init__(self, dataset: PreparedDataset) -> None:
        parts = [
            _values_and_weights(feature, np.asarray(table))
            for feature, table in dataset.item_features.values()
        ]
        first = offsets(np.array([values for _, _, values in parts]))
        value_VF = np.concatenate(
            [value_VF + start for (value_VF, _, _), start in zip(parts, first, strict=False)], 1
        )
        self.value_VF, self.values = torch.from_numpy(value_VF), int(first[-1])
        self.weight_VF = torch.nn.functional.normalize(
            torch.from_numpy(np.concatenate([part[1] for part in parts], 1))
        )

    def score(self, histories: Histories) -> Tensor:
        """The weighted sum of the likenesses to the last events."""
        recent = last_events(histories, self.reach)
        row_N, item_N = (
            torch.from_numpy(recent.row_N),
            torch.from_numpy(recent.item_N.astype(np.int64)),
        )
        age_N = torch.from_numpy(recent.start_B1[1:][recent.row_N] - np.arange(len(recent.item_N)))
        asked_BW = torch.zeros(len(recent), self.values)
        asked_BW.index_put_(
            (row_N[:, None], self.value_VF[item_N]),
            self.weight_VF[item_N] / age_N[:, None],
            accumulate=True,
        )
        score_BV = torch.zeros(len(recent), len(self.value_VF))
        for value_V, weight_V in zip(self.value_VF.T, self.weight_VF.T, strict=True):
            score_BV += asked_BW[:, value_V] * weight_V
        return score_BV


def _values_and_weights(feature: Feature, table: Ints | Floats) -> tuple[Ints, Floats, int]:
    """A feature's vectors of length 1: the values of each item, how much of each `[V, F]`, and how many there are."""
    if feature.kind is Kind.NUMERIC:
        angle_V = np.clip(table, -np.pi / 2, np.pi / 2)
        weight_VF = np.nan_to_num(np.stack([np.cos(angle_V), np.sin(angle_V)], axis=1))
        return np.broadcast_to(np.arange(2), weight_VF.shape), weight_VF.astype(np.float32), 2
    value_VF = table.reshape(len(table), -1).astype(np.int64)
    known_VF = value_VF != UNKNOWN
    length_V1 = np.sqrt(np.maximum(known_VF.sum(1, keepdims=True), 1))
    return value_VF, (known_VF / length_V1).astype(np.float32), feature.rows


def _items_of_each(histories: Histories) -> list[Ints]:
    return [histories.item_N[low:high] for low, high in pairwise(histories.start_B1)]
