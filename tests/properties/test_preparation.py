"""Invariants of preparation for any table: ids, histories, order."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.ingest.prepare import prepare_dataset

Row = tuple[object, object, int]

quick = settings(max_examples=40, deadline=None)
words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6
).filter(lambda word: word.lower() not in ("nan", "null") and '"' not in word and "," not in word)
ids = st.one_of(st.lists(st.integers(-(2**62), 2**62), min_size=1), st.lists(words, min_size=1))


def prepare(rows: list[Row], suffix: str = "csv", **chosen: Any) -> PreparedDataset:
    """The rows (user, item, time) prepared and read back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = pl.DataFrame(rows, schema=["u", "i", "t"], orient="row")
        path = folder / f"e.{suffix}"
        table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
        (folder / "s.yaml").write_text(
            f"events: {{file: {path.name}, user: u, item: i, time: t}}\n"
        )
        dataset = prepare_dataset(
            PrepareConfig(schema=folder / "s.yaml", output=folder / "out", **chosen),
            lambda line: None,
        )
        assert dataset.items.ids, dataset.users.ids  # both are read before the folder goes
        return dataset


def histories(dataset: PreparedDataset) -> dict[object, list[object]]:
    start_U1 = dataset.start_U1.tolist()
    return {
        raw: [dataset.items.raw(item) for item in dataset.item_N[start_U1[row] : start_U1[row + 1]]]
        for row, raw in enumerate(dataset.users.ids, 1)
    }


def plainly(rows: list[Row]) -> dict[object, list[object]]:
    """Reference in plain Python: identical rows once, each user's sorted by time, stably."""
    of: dict[object, list[Row]] = defaultdict(list)
    for row in dict.fromkeys(rows):
        of[row[0]].append(row)
    return {
        user: [item for _, item, _ in sorted(own, key=lambda row: row[2])]
        for user, own in of.items()
    }


@quick
@given(ids, ids, st.sampled_from(["csv", "parquet"]))
def test_raw_ids_come_back_as_they_were_given(
    users: list[int | str], items: list[int | str], suffix: str
) -> None:
    rows = [
        (users[n % len(users)], items[n % len(items)], n)
        for n in range(max(len(users), len(items)))
    ]
    dataset = prepare(rows, suffix)
    as_given = _as_read if suffix == "csv" else list
    assert set(dataset.users.ids) == set(as_given(users))
    assert set(dataset.items.ids) == set(as_given(items))
    assert all(dataset.items.raw(dataset.items.row(raw)) == raw for raw in dataset.items.ids)


def _as_read(raw: list[int | str]) -> list[int | str]:
    """Expected id from a text file, where a column of plain integers is read as integers."""
    plain = all(
        str(value).lstrip("-").isdecimal() and str(_int(value)) == str(value) for value in raw
    )
    return [int(value) for value in raw] if plain else [str(value) for value in raw]


def _int(value: int | str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None


events = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=30
)


@quick
@given(events)
def test_histories_are_the_rows_sorted_by_time_with_ties_in_file_order(rows: list[Row]) -> None:
    assert histories(prepare(rows)) == plainly(rows)


@quick
@given(events, st.randoms(use_true_random=False))
def test_interleaving_users_changes_nothing(rows: list[Row], random) -> None:
    rows = list(dict.fromkeys(rows))
    waiting: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        waiting[row[0]].append(row)
    order = [row[0] for row in rows]
    random.shuffle(order)
    mixed = [waiting[user].pop(0) for user in order]
    assert prepare(mixed).checksum == prepare(rows).checksum


@quick
@given(events)
def test_shuffled_ties_change_only_the_order_within_a_user_and_time(
    rows: list[Row],
) -> None:
    filed, shuffled = prepare(rows), prepare(rows, ties="shuffled")
    for name in ("start_U1", "time_N"):
        assert getattr(shuffled, name).tolist() == getattr(filed, name).tolist()
    assert (shuffled.items.ids, shuffled.users.ids) == (filed.items.ids, filed.users.ids)
    assert by_time(shuffled) == by_time(filed)
    assert prepare(rows, ties="shuffled").checksum == shuffled.checksum
    same_order = histories(shuffled) == histories(filed)
    assert (shuffled.checksum == filed.checksum) == same_order


def by_time(dataset: PreparedDataset) -> dict[tuple[int, int], list[int]]:
    """The items of each user and time, in no order."""
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1)).tolist()
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for user, time, item in zip(
        user_N, dataset.time_N.tolist(), dataset.item_N.tolist(), strict=True
    ):
        groups[user, time].append(item)
    return {group: sorted(own) for group, own in groups.items()}
