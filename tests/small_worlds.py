"""Datasets and scorers small enough to check by hand. Users and items are written 0, 1, 2, …

Legend: B users, C evaluation cases, M values per row, O rows of a table, V item rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import Feature, FeatureTable, Kind
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, Subset, make_split
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_RATING, NO_TIME

LEVELS = [1.0, 2.0, 3.0, 4.0, 5.0]


def dataset_of(
    *histories: Sequence[int],
    num_items: int = 0,
    times: Sequence[Sequence[int]] | None = None,
    ratings: Sequence[Sequence[int]] | None = None,
    genres: Sequence[Sequence[int]] | None = None,
    years: Sequence[int] | None = None,
    gender: Sequence[int] | None = None,
) -> PreparedDataset:
    """Dataset of one item sequence per user.

    Args:
        histories: Items of each user in order.
        num_items: Number of items; by default up to the largest one.
        times: Seconds of each event; unknown by default.
        ratings: Rating row of each event, 0 for none.
        genres: Genres of each item, numbered from 1.
        years: Year of each item, 0 where unknown.
        gender: Value row of each user's gender, 1 or 2.
    """
    lengths = [len(history) for history in histories]
    count = sum(lengths)
    largest = max(max(history, default=0) for history in histories)
    item_features = []
    if genres is not None:
        item_features.append(_genre_table(genres))
    if years is not None:
        item_features.append(_year_table(years))
    tables = NumberedTables(
        name="by hand",
        user_N=np.repeat(np.arange(len(histories)) + FIRST_USER, lengths),
        item_N=_flat(histories) + FIRST_ITEM,
        time_N=np.full(count, NO_TIME) if times is None else _flat(times),
        rating_N=np.full(count, NO_RATING) if ratings is None else _flat(ratings),
        rating_levels=[] if ratings is None else LEVELS,
        user_ids=list(range(len(histories))),
        item_ids=list(range(num_items or largest + 1)),
        item_features=item_features,
        user_features=[] if gender is None else [_gender_table(gender)],
    )
    return build_dataset(tables)


def _genre_table(genres: Sequence[Sequence[int]]) -> FeatureTable:
    genre_VM = np.zeros((FIRST_ITEM + len(genres), max(map(len, genres))), dtype=np.int32)
    for item, values in enumerate(genres, FIRST_ITEM):
        genre_VM[item, : len(values)] = values
    names = [f"genre {number}" for number in range(1, genre_VM.max() + 1)]
    return Feature("genres", Kind.MULTI, names), genre_VM


def _year_table(years: Sequence[int]) -> FeatureTable:
    known = sorted(set(years) - {0})
    row_of = {0: 0, **{year: row for row, year in enumerate(known, 1)}}
    year_V = [0] * FIRST_ITEM + [row_of[year] for year in years]
    return Feature("year", Kind.CATEGORICAL, known), np.array(year_V, dtype=np.int32)


def _gender_table(gender: Sequence[int]) -> FeatureTable:
    feature = Feature("gender", Kind.CATEGORICAL, ["F", "M"], {"F": "women", "M": "men"})
    return feature, np.array([0, *gender], dtype=np.int32)


def _flat(lists: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([value for values in lists for value in values], dtype=np.int64)


def one_user(events: int = 7, **more: Any) -> PreparedDataset:
    """User 0 with events 0, 1, … at 100, 200, … seconds, rated 1, 2, …, 5, 1, …"""
    positions = range(events)
    return dataset_of(
        list(positions),
        times=[[100 * (position + 1) for position in positions]],
        ratings=[[1 + position % 5 for position in positions]],
        **more,
    )


def leave_one_out(dataset: PreparedDataset) -> Split:
    """Leave-one-out split."""
    return make_split(dataset, SplitConfig("leave-one-out"))


def random_world(
    seed: int, users: int = 12, items: int = 9, most_events: int = 15
) -> PreparedDataset:
    """Histories of 1 … `most_events` random events with repeated items; the last user has 5."""
    random = np.random.default_rng(seed)
    histories = []
    for _ in range(users - 1):
        length = random.integers(1, most_events + 1)
        histories.append(random.integers(0, items, length).tolist())
    histories.append(random.integers(0, items, 5).tolist())
    return dataset_of(*histories, num_items=items)


class Scores:
    """Scorer of a function from histories to scores of the real items, `[B, items]`."""

    def __init__(
        self, items: int, score: Callable[[Histories], Tensor], name: str = "scores"
    ) -> None:
        self.items = items
        self.function = score
        self.name = name

    def score(self, histories: Histories) -> Tensor:
        """Scores `[B, V]`; PAD and MASK score highest, and must be excluded."""
        known = self.function(histories).expand(len(histories), self.items)
        reserved = torch.full((len(histories), FIRST_ITEM), torch.inf)
        return torch.cat([reserved, known], dim=1)


def constant(dataset: PreparedDataset) -> Scores:
    """Scorer that scores all items alike."""
    return Scores(dataset.num_items, lambda histories: torch.zeros(1, 1), "constant")


def knows(dataset: PreparedDataset, split: Split, subset: Subset = "test") -> Scores:
    """Scorer that looks up the target of each user."""
    cases = split.cases(subset)
    target_C = dataset.item_N[cases.target_C] - FIRST_ITEM
    target_of = dict(zip(cases.user_C.tolist(), target_C.tolist(), strict=True))

    def score(histories: Histories) -> Tensor:
        target_B = [target_of[user] for user in histories.user_B.tolist()]
        score_BV = torch.zeros(len(histories), dataset.num_items)
        score_BV[torch.arange(len(histories)), target_B] = 1
        return score_BV

    return Scores(dataset.num_items, score, "knows")
