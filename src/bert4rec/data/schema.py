"""What a file's columns mean: declared once, for MovieLens releases and for anyone's own tables alike.

A schema of one's own is a YAML file; `docs/data.md` is its reference. Reading the files is left to `sources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from bert4rec.data.prepared import Kind
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


@dataclass(frozen=True)
class Schema:
    """Events, and what is known of items and users."""

    name: str
    events: EventTable
    items: SideTable | None = None
    users: SideTable | None = None
    note: str = ""
    """Something to know about this data, printed at preparation."""


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


def _only(path: Path, where: str, content: object, allowed: Sequence[str], required: Sequence[str] = ()) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: {where or 'the schema'} must be a mapping; see docs/data.md")
    for key in content:
        if key not in allowed:
            raise ConfigError(f"{path}: unknown key {f'{where}.{key}'.lstrip('.')!r}; known are {', '.join(allowed)}")
    for key in required:
        if key not in content:
            raise ConfigError(f"{path}: the key {f'{where}.{key}'.lstrip('.')!r} is missing")


_FORMAT_KEYS = ("separator", "header", "encoding", "quoted")


def _format(content: Mapping[str, Any]) -> Format:
    return Format(**{key: content[key] for key in _FORMAT_KEYS if key in content})


def _events(path: Path, content: Any) -> EventTable:
    own = ("file", "user", "item", "time", "rating", "scale")
    _only(path, "events", content, (*own, *_FORMAT_KEYS), ("file", "user", "item"))
    return EventTable(**{key: content[key] for key in own if key in content}, format=_format(content))


def _side(path: Path, where: str, key: str, content: Any) -> SideTable:
    _only(path, where, content, ("file", key, "title", "features", "unused", *_FORMAT_KEYS), ("file", key))
    described = content.get("features") or {}
    if not isinstance(described, Mapping):
        raise ConfigError(f"{path}: {where}.features must map names to kinds; see docs/data.md")
    return SideTable(
        file=content["file"],
        key=content[key],
        title=content.get("title"),
        features=[_feature(path, f"{where}.features", name, entry) for name, entry in described.items()],
        unused=content.get("unused", ()),
        format=_format(content),
    )


def _feature(path: Path, where: str, name: str, entry: Any) -> FeatureColumn:
    entry = {"kind": entry} if isinstance(entry, str) else entry
    allowed = tuple(item.name for item in fields(FeatureColumn) if item.name != "name")
    _only(path, f"{where}.{name}", entry, allowed, ("kind",))
    kinds = [kind.value for kind in Kind]
    if entry["kind"] not in kinds:
        raise ConfigError(f"{path}: {where}.{name} has kind {entry['kind']!r}; known are {', '.join(kinds)}")
    given = {"column": name, **entry, "kind": Kind(entry["kind"])}
    for mapping in ("map", "labels", "one_hot"):
        given[mapping] = {str(key): str(value) for key, value in dict(given.get(mapping) or {}).items()}
    return FeatureColumn(name=name, **given)


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
        events=EventTable(file=path.name, **roles),  # type: ignore[arg-type]
        items=_atomic_side(path.with_suffix(".item"), "item_id"),
        users=_atomic_side(path.with_suffix(".user"), "user_id"),
    )


def _atomic_header(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8") as lines:
        header = lines.readline().rstrip("\r\n")
    columns = dict(column.partition(":")[::2] for column in header.split("\t"))
    if not all(columns.values()):
        raise SourceError("the header must name columns as 'name:type', separated by tabs", path, row=1)
    return columns


def _atomic_side(path: Path, key: str) -> SideTable | None:
    if not path.is_file():
        return None
    kinds = {"token": Kind.CATEGORICAL, "token_seq": Kind.MULTI, "float": Kind.NUMERIC}
    columns = _atomic_header(path)
    features = [
        FeatureColumn(name=name, kind=kinds[kind], column=name, separator=" ")
        for name, kind in columns.items()
        if name != key and kind in kinds
    ]
    unused = [name for name, kind in columns.items() if kind not in kinds]
    return SideTable(file=path.name, key=key, features=features, unused=unused)
