"""Arrays of raw ids."""

from __future__ import annotations

import numpy as np

from bert4rec.data.arrays import id_array


def test_one_long_id_takes_no_room_in_the_others() -> None:
    long = "x" * 8_000
    ids = id_array([long, *map(str, range(60_000))])
    assert ids.nbytes < 1_000_000
    assert (ids[0], ids[-1]) == (long, "59999")


def test_integer_ids_stay_integers_of_any_size() -> None:
    assert id_array([3, -1]).dtype == np.int64
    assert id_array([3, 2**63]).tolist() == [3, 2**63]
    assert id_array([]).tolist() == []
