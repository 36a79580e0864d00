"""A synthetic world with a known answer, for tests and examples. Needs numpy alone.

Items form groups, which are their genres. Within a group they follow one another in a fixed circle.
A user prefers one group, which demographics hint at. The user walks its circle, jumps now and then,
and rates its items high.

Legend: N events, M values per row, U user rows, V item rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import Feature, FeatureTable, Kind
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, FIRST_USER

GROUPS = 4
FOLLOWS = 0.9
"""Probability that the next item is the circle's next one: the ceiling of Hit@1, up to chance."""
FIRST_ITEM_ID = 101
FIRST_USER_ID = 1
_START = 978_307_200  # 1 January 2001
_DAY = 86_400
_HONEST = 0.9  # probability that a user's gender hints at the preferred group


def synthetic_dataset(
    seed: int = 0,
    num_users: int = 200,
    num_items: int = 60,
    events_per_user: int = 30,
    folder: Path | None = None,
) -> PreparedDataset:
    """The synthetic world, in memory or as a prepared folder.

    Users are 1, 2, … and items 101, 102, …; item 101 + i has genre i mod 4. The next item after 101
    + i is usually 101 + i + 4, the next of its genre, and after the last one the first.

    Args:
        seed: Seed of all random draws.
        num_users: Number of users.
        num_items: Number of items, at least one per group.
        events_per_user: Events of every second user; the others have half as many.
        folder: Prepared folder to write; by default the dataset stays in memory.
    """
    if num_items < GROUPS:
        raise UsageError(
            f"num_items is {num_items}: it must be {GROUPS} or more, one for each group"
        )
    random = np.random.default_rng(seed)
    group_of_user = np.arange(num_users) % GROUPS
    histories = []
    for user, group in enumerate(group_of_user.tolist()):
        events = events_per_user if user % 2 else max(3, events_per_user // 2)
        histories.append(_history(random, user, group, events, num_items))
    user_N, item_N, time_N, rating_N = map(np.concatenate, zip(*histories, strict=True))
    tables = NumberedTables(
        name="synthetic",
        user_N=user_N + FIRST_USER,
        item_N=item_N + FIRST_ITEM,
        time_N=time_N,
        rating_N=rating_N,
        rating_levels=[1.0, 2.0, 3.0, 4.0, 5.0],
        user_ids=list(range(FIRST_USER_ID, FIRST_USER_ID + num_users)),
        item_ids=list(range(FIRST_ITEM_ID, FIRST_ITEM_ID + num_items)),
        titles=[f"Item {number}" for number in range(num_items)],
        item_features=_item_features(num_items),
        user_features=_user_features(random, group_of_user),
        notes={"source": f"synthetic, seed {seed}", "cleaning": {}},
    )
    dataset = build_dataset(tables)
    return dataset if folder is None else dataset.save(folder)


def _history(
    random: np.random.Generator, user: int, group: int, events: int, num_items: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """User, item, time and rating of each event of one user."""
    item_N = _walk(random, group, events, num_items)
    time_N = _START + user * _DAY + np.cumsum(random.integers(60, _DAY, events))
    base_N = np.where(item_N % GROUPS == group, 4, 1)
    rating_N = base_N + random.integers(0, 2, events)
    return np.full(events, user), item_N, time_N, rating_N


def _walk(random: np.random.Generator, group: int, events: int, num_items: int) -> Ints:
    """Items along the group's circle, with jumps.

    A jump goes to any item, and the walk continues from its position in the circle.
    """
    circle = len(range(group, num_items, GROUPS))
    position = int(random.integers(circle))
    items = []
    for _ in range(events):
        if random.random() < FOLLOWS:
            position = (position + 1) % circle
            items.append(position * GROUPS + group)
        else:
            item = int(random.integers(num_items))
            position = item // GROUPS
            items.append(item)
    return np.array(items, dtype=np.int64)


def _item_features(num_items: int) -> list[FeatureTable]:
    """Genres (a second one for every third item), year and price."""
    item = np.arange(num_items)
    genres_VM = np.zeros((FIRST_ITEM + num_items, 2), dtype=np.int32)
    genres_VM[FIRST_ITEM:, 0] = item % GROUPS + 1
    genres_VM[FIRST_ITEM:, 1] = np.where(item % 3 == 0, GROUPS + 1, 0)
    year_V = np.concatenate([np.zeros(FIRST_ITEM), item % 5 + 1]).astype(np.int32)
    price_V = np.concatenate([np.full(FIRST_ITEM, np.nan), item % 7 + 7.0])
    genres = ["Circle", "Square", "Star", "Wave", "Sparkling"]
    return [
        (Feature("genres", Kind.MULTI, genres), genres_VM),
        (Feature("year", Kind.CATEGORICAL, [1991, 1992, 1993, 1994, 1995]), year_V),
        (Feature("price", Kind.NUMERIC, mean=10.0, scale=2.0, is_whole=True), price_V),
    ]


def _user_features(random: np.random.Generator, group_of_user: Ints) -> list[FeatureTable]:
    """Gender and age, which hint at the preferred group, and an uninformative occupation."""
    users = len(group_of_user)
    is_honest = random.random(users) < _HONEST
    gender = np.where(is_honest, group_of_user % 2, 1 - group_of_user % 2) + 1
    age = group_of_user // 2 + 1
    occupation = random.integers(1, 4, users)
    labels = {"0": "other", "1": "educator", "7": "executive"}
    return [
        (Feature("gender", Kind.CATEGORICAL, ["F", "M"]), _user_table(gender)),
        (Feature("age_group", Kind.CATEGORICAL, ["18-24", "25-34"]), _user_table(age)),
        (
            Feature("occupation_code", Kind.CATEGORICAL, [0, 1, 7], labels),
            _user_table(occupation),
        ),
    ]


def _user_table(value: Ints) -> Ints:
    """Table over user rows: the unknown user's row first."""
    return np.concatenate([np.zeros(FIRST_USER), value]).astype(np.int32)
