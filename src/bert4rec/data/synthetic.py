"""A world with a known answer, for tests and examples: what happens next is nearly always a rule that can be learned.

Items form groups (their genres); within a group they follow one another in a fixed circle. A user likes one group,
which demographics hint at, walks its circle, now and then jumps, and rates liked groups high. Needs numpy alone.

Legend: N events, G groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bert4rec.data.prepared import Feature, Kind, PreparedDataset
from bert4rec.data.prepared_writer import Content, in_memory, write_prepared
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, FIRST_USER

GROUPS = 4
FOLLOWS = 0.9
"""How often the next item is the circle's next one: the most that any Hit@1 can reach, but for luck."""
FIRST_ITEM_ID, FIRST_USER_ID = 101, 1
_START, _DAY = 978_307_200, 86_400  # 1 January 2001


def synthetic_dataset(
    seed: int = 0,
    num_users: int = 200,
    num_items: int = 60,
    events_per_user: int = 30,
    folder: Path | None = None,
) -> PreparedDataset:
    """The world, in memory or as a prepared folder: items 101, 102, …, users 1, 2, …; item 101 + i has genre i mod 4.

    Histories hold `events_per_user` events, or half as many for every other user. After item 101 + i usually comes
    the next one of its genre, 101 + i + 4, after the last the first.
    """
    if num_items < GROUPS:
        raise UsageError(
            f"num_items is {num_items}: it must be {GROUPS} or more, one for each group"
        )
    random = np.random.default_rng(seed)
    user_N, item_N, time_N, rating_N = [], [], [], []
    liked_B = np.arange(num_users) % GROUPS
    for user in range(num_users):
        events = events_per_user if user % 2 else max(3, events_per_user // 2)
        items = _walk(random, liked_B[user], events, num_items)
        loved = items % GROUPS == liked_B[user]
        user_N += [user] * events
        item_N += items.tolist()
        time_N += (_START + user * _DAY + np.cumsum(random.integers(60, _DAY, events))).tolist()
        rating_N += (np.where(loved, 4, 1) + random.integers(0, 2, events)).tolist()
    content = Content(
        name="synthetic",
        user_N=np.array(user_N, dtype=np.int64) + FIRST_USER,
        item_N=np.array(item_N, dtype=np.int64) + FIRST_ITEM,
        time_N=np.array(time_N, dtype=np.int64),
        rating_N=np.array(rating_N, dtype=np.int64),
        rating_levels=[1.0, 2.0, 3.0, 4.0, 5.0],
        user_ids=list(range(FIRST_USER_ID, FIRST_USER_ID + num_users)),
        item_ids=list(range(FIRST_ITEM_ID, FIRST_ITEM_ID + num_items)),
        titles=[f"Item {number}" for number in range(num_items)],
        item_features=_item_features(num_items),
        user_features=_user_features(random, liked_B),
        notes={"source": f"synthetic, seed {seed}", "cleaning": {}},
    )
    return in_memory(content) if folder is None else write_prepared(folder, content)


def _walk(random: np.random.Generator, liked: int, events: int, num_items: int) -> np.ndarray:
    """Items along the liked group's circle; a jump goes anywhere, the walk goes on from there and then returns."""
    circle = len(range(liked, num_items, GROUPS))
    place, items = int(random.integers(circle)), []
    for _ in range(events):
        if random.random() < FOLLOWS:
            place = (place + 1) % circle
            items.append(place * GROUPS + liked)
        else:
            items.append(int(random.integers(num_items)))
            place = items[-1] // GROUPS
    return np.array(items)


def _item_features(num_items: int) -> list[tuple[Feature, np.ndarray]]:
    """Each item's genre, a second one for every third item; the year; a price."""
    genres_VM = np.zeros((FIRST_ITEM + num_items, 2), dtype=np.int32)
    item = np.arange(num_items)
    genres_VM[FIRST_ITEM:, 0] = item % GROUPS + 1
    genres_VM[FIRST_ITEM:, 1] = np.where(item % 3 == 0, GROUPS + 1, 0)
    year_V = np.concatenate([np.zeros(FIRST_ITEM), item % 5 + 1]).astype(np.int32)
    price_V = np.concatenate([np.full(FIRST_ITEM, np.nan), (item % 7 - 3) / 2]).astype(np.float32)
    names = ["Circle", "Square", "Star", "Wave", "Sparkling"]
    return [
        (Feature("genres", Kind.MULTI, names), genres_VM),
        (Feature("year", Kind.CATEGORICAL, [1991, 1992, 1993, 1994, 1995]), year_V),
        (Feature("price", Kind.NUMERIC, mean=10.0, scale=2.0), price_V),
    ]


def _user_features(
    random: np.random.Generator, liked_B: np.ndarray
) -> list[tuple[Feature, np.ndarray]]:
    """Gender hints at the liked group (even or odd), age at which of the two; the occupation says nothing."""
    users = len(liked_B)
    honest_B = random.random(users) < 0.9
    gender_B = np.where(honest_B, liked_B % 2, 1 - liked_B % 2) + 1
    age_B = liked_B // 2 + 1
    work_B = random.integers(1, 4, users)
    return [
        (Feature("gender", Kind.CATEGORICAL, ["F", "M"]), _with_unknown(gender_B)),
        (Feature("age_group", Kind.CATEGORICAL, ["18-24", "25-34"]), _with_unknown(age_B)),
        (
            Feature(
                "occupation_code",
                Kind.CATEGORICAL,
                [0, 1, 7],
                {"0": "other", "1": "educator", "7": "executive"},
            ),
            _with_unknown(work_B),
        ),
    ]


def _with_unknown(value_B: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(FIRST_USER), value_B]).astype(np.int32)
