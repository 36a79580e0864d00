"""What counting alone reaches: popularity, sequential rules and item neighbours, fitted on the training events.

Each is a `Scorer`, so it is asked, filtered and ranked exactly as a network is.

Legend: B users, N events, V item rows, P pairs of items, K neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.batches import last_events
from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split, training_counts, training_events
from bert4rec.evaluation.evaluate import Scorer
from bert4rec.evaluation.metrics import Floats


def fit_baselines(dataset: PreparedDataset, split: Split) -> list[Scorer]:
    """Popularity, sequential rules and item neighbours."""
    return [Popularity(dataset, split), SequentialRules(dataset, split), ItemNeighbours(dataset, split)]


class Popularity:
    """Every user gets the items with most training events."""

    name = "popularity"

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.count_V = torch.from_numpy(training_counts(dataset, split).astype(np.float32))

    def score(self, histories: Histories) -> Tensor:
        """The counts, the same for all."""
        return self.count_V.expand(len(histories), -1).clone()


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
        self.start_V1 = np.concatenate([[0], np.cumsum(np.bincount(first_P, minlength=self.rows))])
        self.second_P, self.weight_P = second_P, weight_P

    def score(self, histories: Histories) -> Tensor:
        """The votes of each user's last events."""
        recent = last_events(histories, self.reach)
        place_N = np.repeat(recent.start_B1[1:], recent.length_B) - np.arange(len(recent.item_N))
        start_N, stop_N = self.start_V1[recent.item_N], self.start_V1[np.asarray(recent.item_N) + 1]
        length_N = stop_N - start_N
        pair_X = np.repeat(start_N - (np.cumsum(length_N) - length_N), length_N) + np.arange(length_N.sum())
        cell_X = np.repeat(recent.row_N, length_N) * self.rows + self.second_P[pair_X]
        return _sums(cell_X, np.repeat(1 / place_N, length_N) * self.weight_P[pair_X], len(histories), self.rows)


def _followers(dataset: PreparedDataset, split: Split, reach: int) -> tuple[Ints, Ints, Floats]:
    """All ordered pairs within `reach` training events of a user, sorted, with their summed 1 / distance."""
    event_N = training_events(dataset, split)
    item_N = np.asarray(dataset.item_N)[event_N].astype(np.int64)
    user_N = np.searchsorted(dataset.start_U1, event_N, side="right")
    keys: Ints = np.empty(0, dtype=np.int64)
    weights: Floats = np.empty(0)
    for distance in range(1, reach + 1):
        same_N = user_N[distance:] == user_N[:-distance]
        key_P = (item_N[:-distance] * dataset.item_rows + item_N[distance:])[same_N]
        found, count = np.unique(key_P, return_counts=True)
        keys, place = np.unique(np.concatenate([keys, found]), return_inverse=True)
        weights = np.bincount(place, np.concatenate([weights, count / distance])).astype(float)
    return keys // dataset.item_rows, keys % dataset.item_rows, weights


class ItemNeighbours:
    """Items that the same users had: cosine of user sets with shrinkage, the 200 nearest of each seen item vote."""

    name = "item kNN"
    neighbours = 200
    shrinkage = 20.0
    block = 512

    def __init__(self, dataset: PreparedDataset, split: Split) -> None:
        self.rows = dataset.item_rows
        event_N = training_events(dataset, split)
        item_N = torch.from_numpy(np.asarray(dataset.item_N)[event_N].astype(np.int64))
        user_N = torch.from_numpy(np.searchsorted(dataset.start_U1, event_N, side="right"))
        K = min(self.neighbours, self.rows)
        near, likeness = [], []
        for first in range(0, self.rows, self.block):
            like_XV = self._likeness(item_N, user_N, first, min(first + self.block, self.rows))
            best = like_XV.topk(K, dim=1)
            near.append(best.indices)
            likeness.append(best.values)
        self.near_VK, self.likeness_VK = torch.cat(near).numpy(), torch.cat(likeness).numpy()

    def _likeness(self, item_N: Tensor, user_N: Tensor, first: int, stop: int) -> Tensor:
        """Rows `first : stop` of the likeness of all pairs of items; pieces of users bound the memory."""
        count_V = torch.zeros(self.rows)
        both_XV = torch.zeros(stop - first, self.rows)
        piece = max(1, 2**24 // self.rows)
        edge_N = torch.searchsorted(user_N, torch.arange(0, int(user_N[-1]) + piece + 1, piece))
        for low, high in zip(edge_N[:-1].tolist(), edge_N[1:].tolist(), strict=True):
            if high > low:
                has_UV = torch.zeros(piece, self.rows)
                has_UV[user_N[low:high] - user_N[low] // piece * piece, item_N[low:high]] = 1
                count_V += has_UV.sum(0)
                both_XV += has_UV[:, first:stop].T @ has_UV
        like_XV = both_XV / ((count_V[first:stop, None] * count_V).sqrt() + self.shrinkage)
        like_XV[torch.arange(stop - first), torch.arange(first, stop)] = 0
        return like_XV

    def score(self, histories: Histories) -> Tensor:
        """The summed likeness to everything the user had."""
        item_N = np.asarray(histories.item_N)
        cell_X = (histories.row_N[:, None] * self.rows + self.near_VK[item_N]).ravel()
        return _sums(cell_X, self.likeness_VK[item_N].ravel(), len(histories), self.rows)


def _sums(cell_X: Ints, weight_X: Floats, users: int, rows: int) -> Tensor:
    summed = np.bincount(cell_X, weight_X, minlength=users * rows).astype(np.float32)
    return torch.from_numpy(summed.reshape(users, rows))
