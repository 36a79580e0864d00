from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import torch

from bert4rec.ids import NO_TIME
from bert4rec.model.temporal import HALF_OCTAVES, TemporalEmbedding, half_octave

DAY = 86_400


def embed(times: list[int], since: list[int] | None = None) -> list[list[int]]:
    """The rows of day of year, weekday, hour and gap that each event takes."""
    temporal = TemporalEmbedding(4)
    for column, table in enumerate(
        (temporal.day_of_year, temporal.weekday, temporal.hour, temporal.gap)
    ):
        table.weight.data.zero_()
        table.weight.data[:, column] = torch.arange(len(table.weight))
    found = temporal(torch.tensor(times), torch.tensor(since or [NO_TIME] * len(times)))
    return found.long().tolist()


def seconds(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[misc]


def test_day_of_year_follows_the_calendar_from_1970_to_2110() -> None:
    moments = [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=day % 24)
        for day in range(51_500)
    ]
    assert moments[-1].year == 2111
    found = torch.tensor(embed([int(moment.timestamp()) for moment in moments]))
    true = [
        [moment.timetuple().tm_yday, 1 + moment.weekday(), 1 + moment.hour, 0] for moment in moments
    ]
    assert torch.equal(found, torch.tensor(true))


@pytest.mark.parametrize(
    ("year", "day"),
    [
        (1972, 366),
        (1999, 365),
        (2000, 366),
        (2100, 365),
        (2400, 366),
        (2999, 365),
    ],  # centuries leap by 400 only
)
def test_last_day_of_a_year_is_366_in_leap_years_alone(year: int, day: int) -> None:
    assert embed([seconds(year, 12, 31, 23), seconds(year, 1, 1)]) == [
        [day, 1 + datetime(year, 12, 31).weekday(), 24, 0],
        [1, 1 + datetime(year, 1, 1).weekday(), 1, 0],
    ]


def test_first_of_march_is_a_day_later_in_a_leap_year() -> None:
    assert [row[0] for row in embed([seconds(2023, 3, 1), seconds(2024, 3, 1)])] == [60, 61]


def test_seconds_are_exact_after_billions() -> None:
    before = seconds(2023, 11, 14, 21, 59, 59)  # as float32 both would be one time
    assert [row[2] - 1 for row in embed([before, before + 1])] == [21, 22]
    assert [row[3] for row in embed([before + 1, before + 2], [before, before])] == [1, 3]


@pytest.mark.parametrize(
    ("duration", "bucket"),
    [
        (0, 1),
        (1, 1),
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 5),
        (6, 6),
        (DAY, 33),
        (365 * DAY, 50),
        (60 * 365 * DAY, 62),
    ],
)
def test_duration_falls_into_its_half_octave(duration: int, bucket: int) -> None:
    assert half_octave(torch.tensor([duration])).tolist() == [bucket]  # 1 + floor(2 log2 seconds)


def test_doubling_is_two_buckets_and_the_last_holds_the_rest() -> None:
    powers = half_octave(2 ** torch.arange(40)).tolist()
    assert powers == [min(1 + 2 * power, HALF_OCTAVES - 1) for power in range(40)]


def test_unknown_time_takes_the_unknown_rows() -> None:
    assert embed([NO_TIME], [seconds(2001, 1, 1)]) == [[0, 0, 0, 0]]


def test_first_event_has_a_calendar_and_an_unknown_gap() -> None:
    assert embed([0]) == [[1, 4, 1, 0]]  # Thursday, 1 January 1970, midnight


def test_negative_gap_counts_as_zero() -> None:
    assert embed([100], [200])[0][3] == 1


def test_unknown_rows_are_trained() -> None:
    temporal = TemporalEmbedding(4)
    temporal(torch.tensor([NO_TIME]), torch.tensor([NO_TIME])).sum().backward()
    for table in (temporal.day_of_year, temporal.weekday, temporal.hour, temporal.gap):
        assert table.weight.grad is not None
        assert (table.weight.grad.abs().sum(1) > 0).nonzero().flatten().tolist() == [0]
