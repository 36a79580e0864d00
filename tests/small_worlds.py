"""Datasets and scorers small enough to check by hand. Items are written 0, 1, 2, … and users likewise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import Feature, Kind
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
    """One list of items a user, in order; a rating of 0 is none, genres are numbered from 1, so is the gender."""
    lengths = [len(history) for history in histories]
    num_items = num_items or max(max(history, default=0) for history in histories) + 1
    item_features, user_features = [], []
    if genres is not None:
        width = max(map(len, genres))
        table = [[0] * width] * FIRST_ITEM + [[*row, *[0] * (width - len(row))] for row in genres]
        names = [f"genre {number + 1}" for number in range(max(map(max, filter(None, genres))))]
        item_features.append(
            (Feature("genres", Kind.MULTI, names), np.array(table, dtype=np.int32))
        )
    if years is not None:
        known = sorted({year for year in years if year})
        table_V = [0] * FIRST_ITEM + [known.index(year) + 1 if year else 0 for year in years]
        item_features.append(
            (Feature("year", Kind.CATEGORICAL, known), np.array(table_V, dtype=np.int32))
        )
    if gender is not None:
        feature = Feature("gender", Kind.CATEGORICAL, ["F", "M"], {"F": "women", "M": "men"})
        user_features.append((feature, np.array([0, *gender], dtype=np.int32)))
    return build_dataset(
        NumberedTables(
            name="by hand",
            user_N=np.repeat(np.arange(len(histories)) + FIRST_USER, lengths),
            item_N=_flat(histories) + FIRST_ITEM,
            time_N=np.full(sum(lengths), NO_TIME) if times is None else _flat(times),
            rating_N=np.full(sum(lengths), NO_RATING) if ratings is None else _flat(ratings),
            rating_levels=[] if ratings is None else LEVELS,
            user_ids=list(range(len(histories))),
            item_ids=list(range(num_items)),
            item_features=item_features,
            user_features=user_features,
        )
    )


def _flat(lists: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([value for values in lists for value in values], dtype=np.int64)


def leave_one_out(dataset: PreparedDataset) -> Split:
    return make_split(dataset, SplitConfig("leave-one-out"))


def random_world(
    seed: int, users: int = 12, items: int = 9, most_events: int = 15
) -> PreparedDataset:
    """Histories of 1 … `most_events` random events; items come again and again."""
    random = np.random.default_rng(seed)
    return dataset_of(
        *(
            random.integers(0, items, random.integers(1, most_events + 1)).tolist()
            for _ in range(users - 1)
        ),
        random.integers(0, items, 5).tolist(),
        num_items=items,
    )


class Scores:
    """A scorer made of a function of the histories that gives `[B, items]`."""

    def __init__(
        self, items: int, score: Callable[[Histories], Tensor], name: str = "scores"
    ) -> None:
        self.items, self.function, self.name = items, score, name

    def score(self, histories: Histories) -> Tensor:
        known = self.function(histories).expand(len(histories), self.items)
        return torch.cat([torch.full((len(histories), FIRST_ITEM), torch.inf), known], dim=1)


def constant(dataset: PreparedDataset) -> Scores:
    return Scores(dataset.num_items, lambda histories: torch.zeros(1, 1), "constant")


def knows(dataset: PreparedDataset, split: Split, subset: Subset = "test") -> Scores:
    """A scorer that looks the answer up."""
    asked = split.cases(subset)
    answer = dict(
        zip(
            asked.user_C.tolist(),
            (dataset.item_N[asked.target_C] - FIRST_ITEM).tolist(),
            strict=True,
        )
    )

    def score(histories: Histories) -> Tensor:
        score_BV = torch.zeros(len(histories), dataset.num_items)
        score_BV[
            torch.arange(len(histories)), [answer[user] for user in histories.user_B.tolist()]
        ] = 1
        return score_BV

    return Scores(dataset.num_items, score, "knows")
