"""`Log`: the receiver of progress lines."""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]
