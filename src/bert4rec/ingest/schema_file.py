"""Schemas read from files: YAML for own tables, and RecBole's atomic files.

Values are checked against the types of the dataclasses in `schema`. An error is one line that names
the file, the key, its value and what is allowed. `docs/schema.md` is the reference.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from bert4rec.data.features import Kind
from bert4rec.errors import ConfigError, SourceError
from bert4rec.ingest.event_times import TIME_UNITS
from bert4rec.ingest.file_types import suffix_of
from bert4rec.ingest.recbole import recbole_schema
from bert4rec.ingest.schema import EventTable, FeatureColumn, Format, Schema, SideTable

REFERENCE = "docs/schema.md"
_REPEATED = ("error", "first", "last", "collect")
_MOST_LEVELS = 255
"""Rating rows are stored as uint8, and row 0 means "no rating"."""


def read_schema(path: Path) -> Schema:
    """Schema of a YAML file, or of a RecBole `.inter` file.

    Raises:
        SourceError: The file does not exist or is not YAML.
        ConfigError: A declaration is unknown, ill-typed or contradictory.
    """
    if not path.is_file():
        raise SourceError("no such file; a schema is a YAML file or a RecBole .inter file", path)
    if suffix_of(path) == ".inter":
        return recbole_schema(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _TextLoader)
    except RecursionError:
        raise SourceError("not a YAML file of a schema (nested too deeply)", path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise SourceError(f"not a YAML file ({' '.join(str(problem).split())})", path) from problem
    root = _Section.of(path, "", content)
    root.check_keys(["name", "events", "items", "users"], required=["events"])
    return Schema(
        name=str(root.content.get("name") or path.stem),
        events=_event_table(root.section("events")),
        items=_side_table(root.section("items"), "item") if root.content.get("items") else None,
        users=_side_table(root.section("users"), "user") if root.content.get("users") else None,
    )


class _TextLoader(yaml.BaseLoader):
    """Loader that keeps every scalar as the text in the file: NO, NULL, 007 and 1e3 too.

    Values become numbers and booleans by the type that the schema declares for their key.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Mapping of a node; a key that is there twice is an error."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            counts = Counter(self.construct_object(key, deep=deep) for key, _ in node.value)
            key, count = counts.most_common(1)[0]
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is there {count} times", node.start_mark
            )
        return mapping


@dataclass(frozen=True)
class _Section:
    """A mapping in the schema file. A key without a value counts as missing."""

    path: Path
    key: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path, key: str, content: Any) -> _Section:
        """Section below a key, whose content must be a mapping."""
        if not isinstance(content, Mapping):
            raise ConfigError(
                f"{path}: {key or 'the schema'} must be a mapping with named keys; see {REFERENCE}"
            )
        return cls(path, key, content)

    def has(self, name: str) -> bool:
        """True if a key is there and has a value."""
        return self.content.get(name) not in (None, "")

    def section(self, name: str) -> _Section:
        """The section below a key."""
        return _Section.of(self.path, self.key_of(name), self.content[name])

    def key_of(self, name: str) -> str:
        """Key with the keys above it: `items.features.year`."""
        return f"{self.key}.{name}".lstrip(".")

    def error(self, problem: str, name: str = "") -> ConfigError:
        """Error about this section, or about one of its keys."""
        return ConfigError(f"{self.path}: {self.key_of(name) if name else self.key}{problem}")

    def check_keys(self, known: Sequence[str], required: Sequence[str]) -> None:
        """Raise ConfigError for a key that is unknown, or required and missing."""
        for name in self.content:
            if name not in known:
                raise ConfigError(
                    f"{self.path}: unknown key {self.key_of(name)!r}; known are {', '.join(known)}"
                )
        for name in required:
            if not self.has(name):
                raise ConfigError(
                    f"{self.path}: the key {self.key_of(name)!r} is missing; see {REFERENCE}"
                )

    def values(self, cls: type, aliases: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Values of the fields of a dataclass, checked by the fields' types.

        `aliases` holds the keys of fields that the file names differently. Fields of other types
        are left out.
        """
        values = {}
        for name, hint in get_type_hints(cls).items():
            key = (aliases or {}).get(name, name)
            if self.has(key) and hint in _TYPES:
                values[name] = self._value(key, _TYPES[hint])
        return values

    def _value(self, name: str, expected: _Type) -> Any:
        value = self.content[name]
        if not isinstance(value, expected.type):
            raise self.error(f" is {value!r}: it must be {expected.words}", name)
        try:
            return expected.convert(value)
        except ValueError as problem:
            raise self.error(f" is {value!r}: {problem}", name) from None


@dataclass(frozen=True)
class _Type:
    """A type of values in a schema file."""

    type: type
    words: str
    convert: Callable[[Any], Any]


def _number(value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        if math.isfinite(number):
            return number
    raise ValueError("it must be a number")


def _numbers(values: list[Any]) -> list[float]:
    try:
        return [_number(value) for value in values]
    except ValueError:
        raise ValueError("it must hold numbers only") from None


def _boolean(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ValueError("it must be true or false")
    return _BOOLEANS[value.lower()]


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("it must hold texts only")
    return values


def _text_mapping(values: Mapping[Any, Any]) -> dict[str, str]:
    _texts([*values, *values.values()])
    return dict(values)


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""Words of YAML 1.1, which schemas could always use."""


_TYPES: dict[Any, _Type] = {
    str: _Type(str, "text", str),
    str | None: _Type(str, "text", str),
    bool: _Type(str, "true or false", _boolean),
    float: _Type(str, "a number", _number),
    float | None: _Type(str, "a number", _number),
    Sequence[str]: _Type(list, "a list", _texts),
    Sequence[float]: _Type(list, "a list", _numbers),
    Mapping[str, str]: _Type(Mapping, "a mapping", _text_mapping),
}


def _keys(cls: type) -> list[str]:
    return [entry.name for entry in fields(cls)]


def _required_keys(cls: type) -> list[str]:
    """Names of the fields without a default."""
    return [
        entry.name
        for entry in fields(cls)
        if entry.default is MISSING and entry.default_factory is MISSING
    ]


def _event_table(section: _Section) -> EventTable:
    known = [key for key in _keys(EventTable) if key != "format"]
    section.check_keys([*known, *_keys(Format)], _required_keys(EventTable))
    table = EventTable(**section.values(EventTable), format=_format(section))
    columns = [*table.roles.values(), *table.unused]
    _check_unique(section, "", columns)
    _check_header(section, table.format.header, columns)
    _check_time(section, table)
    if table.scale and not table.rating:
        raise section.error(" is declared but no column of ratings; add 'rating'", "scale")
    if len(set(table.scale)) > _MOST_LEVELS:
        raise section.error(f" has {len(table.scale)} levels; {_MOST_LEVELS} are the most", "scale")
    return table


def _check_time(section: _Section, table: EventTable) -> None:
    """Raise ConfigError for a unit that is unknown, or two answers to one question."""
    if table.time_unit and table.time_unit not in TIME_UNITS:
        known = ", ".join(TIME_UNITS)
        raise section.error(f" is {table.time_unit!r}; known are {known}", "time_unit")
    if table.time_unit and table.time_format:
        raise section.error(" and 'time_format' exclude each other", "time_unit")
    if table.time_format and "%" not in table.time_format:
        raise section.error(" has no field such as %Y", "time_format")


def _side_table(section: _Section, key: str) -> SideTable:
    """Item or user table, whose ids are in the column that `key` names."""
    own = ["file", key, "title", "features", "missing", "repeated", "unused"]
    section.check_keys([*own, *_keys(Format)], required=["file", key])
    table = SideTable(
        **section.values(SideTable, aliases={"key": key}),
        features=_features(section),
        format=_format(section),
    )
    if table.repeated not in _REPEATED:
        allowed = ", ".join(_REPEATED)
        raise section.error(f" is {table.repeated!r}; known are {allowed}", "repeated")
    for name in table.unused:
        if name in table.used_columns:
            raise section.error(f" names {name!r}, which is used", "unused")
    _check_header(section, table.format.header, [*table.used_columns, *table.unused])
    return table


def _format(section: _Section) -> Format:
    layout = Format(**section.values(Format))
    if layout.decimal not in (".", ",") or layout.thousands in (layout.decimal, *"0123456789"):
        raise section.error(" is '.' or ',', and 'thousands' is another mark", "decimal")
    try:
        codecs.lookup(layout.encoding)
    except LookupError:
        raise section.error(
            f" {layout.encoding!r} is not known; try iso-8859-1", "encoding"
        ) from None
    return layout


def _features(section: _Section) -> list[FeatureColumn]:
    if not section.has("features"):
        return []
    declared = section.content["features"]
    if not isinstance(declared, Mapping):
        raise section.error(f" must map names to kinds; see {REFERENCE}", "features")
    features = []
    for name, entry in declared.items():
        content = {"kind": entry} if isinstance(entry, str) else entry
        key = section.key_of(f"features.{name}")
        features.append(_feature(str(name), _Section.of(section.path, key, content)))
    return features


def _feature(name: str, section: _Section) -> FeatureColumn:
    known = [key for key in _keys(FeatureColumn) if key != "name"]
    section.check_keys(known, required=["kind"])
    kinds = [kind.value for kind in Kind]
    if section.content["kind"] not in kinds:
        raise section.error(f" has kind {section.content['kind']!r}; known are {', '.join(kinds)}")
    kind = Kind(section.content["kind"])
    column = FeatureColumn(
        **{"name": name, "column": name, **section.values(FeatureColumn), "kind": kind}
    )
    is_ascending = list(column.bins) == sorted(column.bins)
    if column.bins and (len(column.bin_labels) != len(column.bins) + 1 or not is_ascending):
        raise section.error(
            " needs bins in ascending order and one more of bin_labels than of them"
        )
    if column.extract and not _has_group(column.extract):
        raise section.error(
            f" {column.extract!r} is no regular expression with a (group)", "extract"
        )
    if column.one_hot and column.kind is not Kind.MULTI:
        raise section.error(" has one_hot, which makes a feature of kind multi")
    return column


def _has_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups > 0
    except re.error:
        return False


def _check_unique(section: _Section, name: str, columns: Sequence[str]) -> None:
    """Raise ConfigError for a column that is declared more than once."""
    for column, count in Counter(columns).items():
        if count > 1:
            raise section.error(
                f" declares the column {column!r} {count} times; each has one use", name
            )


def _check_header(section: _Section, header: Sequence[str], declared: Sequence[str]) -> None:
    """Raise ConfigError for a header column that is neither used nor left out on purpose."""
    _check_unique(section, "header", header)
    for column in header:
        if column not in declared:
            raise section.error(
                f" declares {column!r}, which is not used; list it under 'unused'", "header"
            )
