"""`Log`: the receiver of a preparation's progress lines."""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]
