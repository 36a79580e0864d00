"""What a file's columns mean: declared once, for MovieLens releases and for anyone's own tables alike.

A schema of one's own is a YAML file; `docs/data.md` is its reference. Reading the files is left to `sources`.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from bert4rec.data.features import Kind
from bert4rec.errors import ConfigError, SourceError


@dataclass(frozen=True)
class Format:
    """How a file is laid out. Parquet says so itself; of text only what its name does not tell is needed."""

    separator: str = ""
    """Between fields; by default a comma, in `.tsv`, `.inter`, `.item` and `.user` files a tab."""
    header: Sequence[str] = ()
    """The column names of a file that does not begin with them."""
    encoding: str = "utf-8"
    quoted: bool = True
    """Whether double quotes around a field belong to the format."""


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of an item or user table, and the column it is made from."""

    name: str
    kind: Kind
    column: str
    separator: str = "|"
    """Between the values of a multi-valued feature."""
    extract: str = ""
    """A regular expression; its first group is the value."""
    bins: Sequence[float] = ()
    """Lower bounds; with `bin_labels`, one more than bounds, numbers become ranges."""
    bin_labels: Sequence[str] = ()
    map: Mapping[str, str] = field(default_factory=dict)
    """Raw value to value, before anything else."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a value means in words."""
    missing: Sequence[str] = ()
    """Values that mean "unknown", besides the empty one."""
    one_hot: Mapping[str, str] = field(default_factory=dict)
    """Column of zeros and ones to the value it stands for, in place of `column`."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the file that this feature reads."""
        return list(self.one_hot) or [self.column]


@dataclass(frozen=True)
class EventTable:
    """One row for each rating, click or purchase."""

    file: str
    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    scale: Sequence[float] = ()
    """The possible ratings; by default those that occur, if there are few."""
    format: Format = field(default_factory=Format)
    unused: Sequence[str] = ()
    """Columns left out on purpose."""


@dataclass(frozen=True)
class SideTable:
    """One row for each item, or for each user."""

    file: str
    key: str
    """The column of ids."""
    title: str | None = None
    features: Sequence[FeatureColumn] = ()
    unused: Sequence[str] = ()
    """Columns left out on purpose."""
    format: Format = field(default_factory=Format)

    @property
    def feature_columns(self) -> list[str]:
        """The columns of the file that features are made from."""
        return [column for feature in self.features for column in feature.columns]


@dataclass(frozen=True)
class Schema:
    """Events, and what is known of items and users."""

    name: str
    events: EventTable
    items: SideTable | None = None
    users: SideTable | None = None
    note: str = ""
    """Something to know about this data, printed at preparation."""

    @property
    def tables(self) -> list[EventTable | SideTable]:
        """Those that there are."""
        return [table for table in (self.events, self.items, self.users) if table]


def read_schema(path: Path) -> Schema:
    """The schema of a YAML file, or of a RecBole `.inter` file with the `.item` and `.user` files beside it."""
    if not path.is_file():
        raise SourceError("no such file; a schema is a YAML file or a RecBole .inter file", path)
    if path.suffix == ".inter":
        return recbole_schema(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise SourceError(f"not a YAML file ({' '.join(str(problem).split())})", path) from problem
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a schema is a mapping with the key 'events'; see docs/data.md")
    _only(path, "", content, ("name", "events", "items", "users"))
    if "events" not in content:
        raise ConfigError(f"{path}: the key 'events' is missing; see docs/data.md")
    return Schema(
        name=str(content.get("name", path.stem)),
        events=_events(path, content["events"]),
        items=_side(path, "items", "item", content["items"]) if content.get("items") else None,
        users=_side(path, "users", "user", content["users"]) if content.get("users") else None,
    )


def _only(
    path: Path, where: str, content: object, allowed: Sequence[str], required: Sequence[str] = ()
) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: {where or 'the schema'} must be a mapping; see docs/data.md")
    for key in content:
        if key not in allowed:
            raise ConfigError(
                f"{path}: unknown key {f'{where}.{key}'.lstrip('.')!r}; known are {', '.join(allowed)}"
            )
    for key in required:
        if key not in content:
            raise ConfigError(f"{path}: the key {f'{where}.{key}'.lstrip('.')!r} is missing")


_FORMAT_KEYS = ("separator", "header", "encoding", "quoted")
_TEXT = (
    "file",
    "user",
    "item",
    "time",
    "rating",
    "title",
    "separator",
    "encoding",
    "column",
    "extract",
    "kind",
)
_TEXT_LISTS = ("header", "unused", "bin_labels", "missing")
_NUMBER_LISTS = ("scale", "bins")
_MAPPINGS = ("map", "labels", "one_hot")


def _checked(path: Path, where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The values by key, each of the type that the key asks for; what is empty is left out."""
    given = {key: value for key, value in content.items() if value is not None}
    for key, value in given.items():
        numbers = key in _NUMBER_LISTS
        if key in _TEXT and not isinstance(value, str):
            raise ConfigError(f"{path}: {where}.{key} is {value!r}: it must be text")
        if (key in _TEXT_LISTS or numbers) and not isinstance(value, list):
            raise ConfigError(f"{path}: {where}.{key} is {value!r}: it must be a list")
        if numbers and not all(type(entry) in (int, float) for entry in value):
            raise ConfigError(f"{path}: {where}.{key} is {value!r}: it must hold numbers only")
        if key in _MAPPINGS and not isinstance(value, Mapping):
            raise ConfigError(f"{path}: {where}.{key} is {value!r}: it must be a mapping")
        if key == "quoted" and not isinstance(value, bool):
            raise ConfigError(f"{path}: {where}.quoted is {value!r}: it must be true or false")
    texts = {key: [str(entry) for entry in given[key]] for key in _TEXT_LISTS if key in given}
    maps = {
        key: {str(word): str(value) for word, value in given[key].items()}
        for key in _MAPPINGS
        if key in given
    }
    return given | texts | maps


def _format(path: Path, where: str, content: Mapping[str, Any]) -> Format:
    layout = Format(**{key: content[key] for key in _FORMAT_KEYS if key in content})
    try:
        codecs.lookup(layout.encoding)
    except LookupError:
        raise ConfigError(
            f"{path}: {where}.encoding {layout.encoding!r} is not known; try iso-8859-1"
        ) from None
    return layout


def _events(path: Path, content: Any) -> EventTable:
    own = ("file", "user", "item", "time", "rating", "scale", "unused")
    _only(path, "events", content, (*own, *_FORMAT_KEYS), ("file", "user", "item"))
    given = _checked(path, "events", content)
    table = EventTable(
        **{key: given[key] for key in own if key in given}, format=_format(path, "events", given)
    )
    roles = [name for name in (table.user, table.item, table.time, table.rating) if name]
    _each_once(path, "events", [*roles, *table.unused])
    _all_used(path, "events", table.format.header, [*roles, *table.unused])
    if table.scale and not table.rating:
        raise ConfigError(
            f"{path}: events.scale is declared but no column of ratings; add 'rating'"
        )
    if len(set(table.scale)) > 255:
        raise ConfigError(f"{path}: events.scale has {len(table.scale)} levels; 255 are the most")
    return table


def _each_once(path: Path, where: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(
                f"{path}: {where} declares the column {name!r} {count} times; each has one use"
            )


def _all_used(path: Path, where: str, header: Sequence[str], used: Sequence[str]) -> None:
    """A header that the schema declares names only columns that are used, or left out on purpose."""
    _each_once(path, f"{where}.header", header)
    for name in header:
        if name not in used:
            raise ConfigError(
                f"{path}: {where}.header declares {name!r}, which is not used; list it under 'unused'"
            )


def _side(path: Path, where: str, key: str, content: Any) -> SideTable:
    _only(
        path,
        where,
        content,
        ("file", key, "title", "features", "unused", *_FORMAT_KEYS),
        ("file", key),
    )
    given = _checked(path, where, content)
    described = given.get("features", {})
    if not isinstance(described, Mapping):
        raise ConfigError(f"{path}: {where}.features must map names to kinds; see docs/data.md")
    table = SideTable(
        file=given["file"],
        key=given[key],
        title=given.get("title"),
        features=[
            _feature(path, f"{where}.features", str(name), entry)
            for name, entry in described.items()
        ],
        unused=given.get("unused", ()),
        format=_format(path, where, given),
    )
    used = [table.key, *([table.title] if table.title else []), *table.feature_columns]
    for name in table.unused:
        if name in used:
            raise ConfigError(f"{path}: {where}.unused names {name!r}, which is used")
    _all_used(path, where, table.format.header, [*used, *table.unused])
    return table


def _feature(path: Path, where: str, name: str, entry: Any) -> FeatureColumn:
    entry = {"kind": entry} if isinstance(entry, str) else entry
    where = f"{where}.{name}"
    _only(
        path,
        where,
        entry,
        tuple(item.name for item in fields(FeatureColumn) if item.name != "name"),
        ("kind",),
    )
    given = {"column": name, **_checked(path, where, entry)}
    kinds = [kind.value for kind in Kind]
    if given["kind"] not in kinds:
        raise ConfigError(
            f"{path}: {where} has kind {given['kind']!r}; known are {', '.join(kinds)}"
        )
    column = FeatureColumn(**{**given, "name": name, "kind": Kind(given["kind"])})
    if column.bins and (
        len(column.bin_labels) != len(column.bins) + 1 or sorted(column.bins) != column.bins
    ):
        raise ConfigError(
            f"{path}: {where} needs bins in ascending order and one more of bin_labels than of them"
        )
    if column.extract and not _has_group(column.extract):
        raise ConfigError(
            f"{path}: {where}.extract {column.extract!r} is no regular expression with a (group)"
        )
    if column.one_hot and column.kind is not Kind.MULTI:
        raise ConfigError(f"{path}: {where} has one_hot, which makes a feature of kind multi")
    return column


def _has_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups > 0
    except re.error:
        return False


def recbole_schema(path: Path) -> Schema:
    """The schema that the headers of RecBole's atomic files declare: every token, token_seq and float is used."""
    columns = _atomic_header(path)
    known = {"user_id": "user", "item_id": "item", "timestamp": "time", "rating": "rating"}
    missing = [name for name in ("user_id", "item_id") if name not in columns]
    if missing:
        raise SourceError(f"the header has no column {missing[0]!r}", path, row=1)
    roles = {role: name for name, role in known.items() if name in columns}
    return Schema(
        name=path.stem,
        events=EventTable(file=path.name, **roles, format=Format(quoted=False)),  # type: ignore[arg-type]
        items=_atomic_side(path.with_suffix(".item"), "item_id"),
        users=_atomic_side(path.with_suffix(".user"), "user_id"),
    )


def _atomic_header(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        header = lines.readline().rstrip("\r\n")
    columns = dict(column.partition(":")[::2] for column in header.split("\t"))
    if not all(columns.values()):
        raise SourceError(
            "the header must name columns as 'name:type', separated by tabs", path, row=1
        )
    return columns


def _atomic_side(path: Path, key: str) -> SideTable | None:
    """All columns of a `.item` or `.user` file; a text column with "title" in its name is the title."""
    if not path.is_file():
        return None
    kinds = {"token": Kind.CATEGORICAL, "token_seq": Kind.MULTI, "float": Kind.NUMERIC}
    columns = _atomic_header(path)
    title = next(
        (name for name, kind in columns.items() if "title" in name and kind == "token_seq"), None
    )
    features = [
        FeatureColumn(name=name, kind=kinds[kind], column=name, separator=" ")
        for name, kind in columns.items()
        if name not in (key, title) and kind in kinds
    ]
    unused = [name for name, kind in columns.items() if kind not in kinds]
    layout = Format(quoted=False)
    return SideTable(
        file=path.name, key=key, title=title, features=features, unused=unused, format=layout
    )
