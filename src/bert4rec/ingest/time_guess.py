"""Guess of how times are written, from a sample: what is not certain is a question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|[+-]\d\d:?\d\d))?)?", re.ASCII
)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FORMATS = (
    *("%Y-%m-%d %H:%M:%S UTC", "%a %b %d %H:%M:%S %z %Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    *("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d %H:%M:%S"),
    *("%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y/%m/%d", "%m %d, %Y"),
)
_UNITS = {"s": (1e8, 3.2e10), "ms": (1e11, 3.2e13), "us": (1e14, 3.2e16), "ns": (1e17, 3.2e19)}
_MOST = 2000
"""Times that are parsed one by one."""


@dataclass(frozen=True)
class TimeGuess:
    """Settings that read a column of times, or a question."""

    reason: str
    settings: Mapping[str, str] = field(default_factory=dict)
    question: str = ""


def guess_time(texts: Sequence[str]) -> TimeGuess:
    """Guess of how the times of a column are written."""
    step = max(len(texts) // _MOST, 1)
    sample = texts[::step]
    if not sample:
        return TimeGuess("", question="the column of times is empty in the sample")
    if all(_NUMBER.fullmatch(text) for text in sample):
        return _guess_number(sample)
    if all(_ISO.fullmatch(text) for text in sample):
        return TimeGuess("ISO dates, UTC without a zone")
    fitting = [form for form in _FORMATS if _fits(sample, form)]
    if len(fitting) == 1:
        return TimeGuess(f"like {sample[0]}", {"time_format": fitting[0]})
    choice = f" ({' or '.join(fitting)})" if fitting else ""
    return TimeGuess("", question=f"how is {sample[0]!r} written? add time_format{choice}")


def _guess_number(sample: Sequence[str]) -> TimeGuess:
    form = _COMPACT.get(len(sample[0]), "")
    dates = sum(_is_date(text, form) for text in sample) / len(sample)
    if form and dates == 1:
        return TimeGuess(f"dates like {sample[0]}", {"time_format": form})
    if form and dates > 0.5:
        return TimeGuess("", question=f"{sample[0]!r} looks like {form}, but not every row does")
    numbers = [float(text) for text in sample]
    for unit, (low, high) in _UNITS.items():
        if all(low <= number < high for number in numbers):
            return TimeGuess(f"unit {unit}", {"time_unit": unit} if unit in ("us", "ns") else {})
    return TimeGuess("", question=f"what is the unit of {sample[0]!r}? add time_unit")


def _fits(sample: Sequence[str], form: str) -> bool:
    return all(_is_date(text, form) for text in sample)


def _is_date(text: str, form: str) -> bool:
    try:
        return 1970 <= datetime.strptime(text, form).year < 2100
    except ValueError:
        return False
