"""Row numbers and the order of ties."""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.errors import ConfigError, UsageError

HEADER = "u,i,r,t\n"


TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


TIED = HEADER + "".join(
    f"{user},{item},{1 + item % 5},100\n" for user in (1, 2) for item in range(12)
)


def test_shuffled_ties_keep_their_ratings(own_tables) -> None:
    filed = own_tables(TIED)
    shuffled = own_tables(TIED, ties="shuffled", overwrite=True)
    for dataset in (filed, shuffled):
        assert dataset.rating_N.tolist() == [
            1 + dataset.items.raw(item) % 5 for item in dataset.item_N
        ]
    assert [shuffled.items.raw(item) for item in shuffled.item_N] != list(range(12)) * 2
    first, second = np.split(np.asarray(shuffled.item_N), 2)
    assert first.tolist() != second.tolist()  # not one order for all users
    assert (filed.ties, shuffled.ties) == ("file", "shuffled")
    assert filed.checksum != shuffled.checksum


def test_ties_in_file_order_keep_their_checksum(own_tables) -> None:
    assert own_tables(TIED).checksum == "c99118260cc40a23"


def test_another_order_of_ties_needs_overwrite(own_tables) -> None:
    own_tables(TIED)
    with pytest.raises(
        UsageError, match=r"was prepared with ties 'file', not 'shuffled'; --overwrite"
    ):
        own_tables(TIED, ties="shuffled")


def test_shuffled_ties_are_refused_in_file_order(own_tables) -> None:
    with pytest.raises(
        ConfigError, match="ties 'shuffled' is about equal times, and file_order ignores times"
    ):
        own_tables(TIED, ties="shuffled", file_order=True)


def test_checksum_depends_on_the_order_of_events(own_tables) -> None:
    same = [
        own_tables(text, overwrite=True).checksum
        for text in (TWO, HEADER + "2,5,1,300\n1,5,3,100\n1,6,4,200\n")
    ]
    other = own_tables(HEADER + "1,6,3,100\n1,5,4,200\n2,5,1,300\n", overwrite=True).checksum
    assert same[0] == same[1] != other
