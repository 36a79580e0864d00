"""Schemas of RecBole's atomic files, whose headers declare the type of each column."""

from __future__ import annotations

from pathlib import Path

from bert4rec.data.features import Kind
from bert4rec.errors import SourceError
from bert4rec.ingest.schema import EventTable, FeatureColumn, Format, Schema, SideTable

_KINDS = {"token": Kind.CATEGORICAL, "token_seq": Kind.MULTI, "float": Kind.NUMERIC}
_FORMAT = Format(quoted=False)


def recbole_schema(path: Path) -> Schema:
    """Schema of a `.inter` file and of the `.item` and `.user` files beside it."""
    types = _column_types(path)
    for required in ("user_id", "item_id"):
        if required not in types:
            raise SourceError(f"the header has no column {required!r}", path, row=1)
    events = EventTable(
        file=path.name,
        user="user_id",
        item="item_id",
        time="timestamp" if "timestamp" in types else None,
        rating="rating" if "rating" in types else None,
        format=_FORMAT,
    )
    return Schema(
        name=path.stem,
        events=events,
        items=_side_table(path.with_suffix(".item"), "item_id"),
        users=_side_table(path.with_suffix(".user"), "user_id"),
    )


def _column_types(path: Path) -> dict[str, str]:
    """Types by column name, from a header of `name:type`."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        header = lines.readline().rstrip("\r\n")
    types = dict(column.partition(":")[::2] for column in header.split("\t"))
    if not all(types.values()):
        raise SourceError(
            "the header must name columns as 'name:type', separated by tabs", path, row=1
        )
    return types


def _side_table(path: Path, key: str) -> SideTable | None:
    """All columns of a `.item` or `.user` file; a text column named like a title is the title."""
    if not path.is_file():
        return None
    types = _column_types(path)
    titles = [name for name, kind in types.items() if "title" in name and kind == "token_seq"]
    title = titles[0] if titles else None
    features = [
        FeatureColumn(name=name, kind=_KINDS[kind], column=name, separator=" ")
        for name, kind in types.items()
        if name not in (key, title) and kind in _KINDS
    ]
    return SideTable(
        file=path.name,
        key=key,
        title=title,
        features=features,
        unused=[name for name, kind in types.items() if kind not in _KINDS],
        format=_FORMAT,
    )
