"""`Schema`: the meaning of raw tables' columns, for MovieLens releases and for own tables alike.

`schema_file` and `recbole` read schemas, `raw_tables` scans the tables that they describe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bert4rec.data.features import Kind
from bert4rec.ingest.file_types import default_separator


@dataclass(frozen=True)
class Format:
    """Layout of a text file. A Parquet file declares its own."""

    separator: str = ""
    """Field separator; by default a comma, in `.tsv` and RecBole files a tab."""
    header: Sequence[str] = ()
    """Column names of a file without a header line."""
    encoding: str = "utf-8"
    quoted: bool = True
    """True if double quotes around a field belong to the format."""
    decimal: str = "."
    """Decimal mark of numeric features and of numbers that are binned."""
    thousands: str = ""
    """Mark between groups of three digits; none by default."""

    def separator_of(self, path: Path) -> str:
        """Field separator of a file."""
        return self.separator or default_separator(path)

    @property
    def is_utf8(self) -> bool:
        """True if the text needs no decoding."""
        return self.encoding.lower() in ("utf-8", "utf8")


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of an item or user table, and the column it is made from."""

    name: str
    kind: Kind
    column: str
    separator: str = "|"
    """Separator of the values of a multi-valued feature."""
    extract: str = ""
    """Regular expression; its first group is the value."""
    bins: Sequence[float] = ()
    """Lower bounds of ranges; they need one more of `bin_labels`."""
    bin_labels: Sequence[str] = ()
    map: Mapping[str, str] = field(default_factory=dict)
    """Replacements of raw values, applied first."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of values."""
    missing: Sequence[str] = ()
    """Values that mean "unknown", besides the empty one."""
    one_hot: Mapping[str, str] = field(default_factory=dict)
    """Values by column of zeros and ones, in place of `column`."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of the file that this feature reads."""
        return list(self.one_hot) or [self.column]


@dataclass(frozen=True)
class EventTable:
    """Table of ratings, clicks or purchases, one per row."""

    file: str
    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    scale: Sequence[float] = ()
    """Possible ratings; by default those that occur, if they are few."""
    time_unit: str = ""
    """Unit of times that are numbers: s, ms, us or ns; by default that of most, by size."""
    time_format: str = ""
    """Layout of times, as `strptime` reads them."""
    format: Format = field(default_factory=Format)
    unused: Sequence[str] = ()
    """Columns left out on purpose."""

    @property
    def roles(self) -> dict[str, str]:
        """Columns of the file by role; undeclared roles are left out."""
        columns = {"user": self.user, "item": self.item, "rating": self.rating, "time": self.time}
        return {role: column for role, column in columns.items() if column}


@dataclass(frozen=True)
class SideTable:
    """Table of items or of users, one per row, or one value per row where rows are collected."""

    file: str
    key: str
    """Column of ids."""
    title: str | None = None
    features: Sequence[FeatureColumn] = ()
    missing: Sequence[str] = ()
    """Values that mean "unknown" in every column, besides the empty one."""
    repeated: str = "error"
    """Rows of an id that came before: error, first, last, or collect (values of all rows)."""
    unused: Sequence[str] = ()
    """Columns left out on purpose."""
    format: Format = field(default_factory=Format)

    @property
    def used_columns(self) -> list[str]:
        """Columns of the file that are read, each once."""
        columns = [self.key]
        if self.title:
            columns.append(self.title)
        for feature in self.features:
            columns += feature.columns
        return list(dict.fromkeys(columns))


@dataclass(frozen=True)
class Schema:
    """Tables of events and, optionally, of items and users."""

    name: str
    events: EventTable
    items: SideTable | None = None
    users: SideTable | None = None
    note: str = ""
    """Remark about the data, printed at preparation."""

    @property
    def tables(self) -> list[EventTable | SideTable]:
        """Declared tables."""
        return [table for table in (self.events, self.items, self.users) if table]
