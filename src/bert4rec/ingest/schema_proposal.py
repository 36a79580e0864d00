"""A proposed schema for tables that nobody described yet, as commented YAML.

Names and a bounded sample of the rows decide. What they cannot decide is a question: a comment, and
a setting without its value, so that `prepare` refuses until it is answered.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError, UsageError
from bert4rec.ingest.file_types import suffix_of
from bert4rec.ingest.raw_tables import column_names, scan_table
from bert4rec.ingest.schema import Format
from bert4rec.ingest.text_errors import unreadable
from bert4rec.ingest.text_layout import sniffed_layout
from bert4rec.ingest.time_guess import TimeGuess, guess_time

SAMPLE = 100_000
"""Rows that are looked at."""
_FEW = 20
_TITLES = ("title", "name", "label", "booktitle", "productname", "itemname")
_EVENT_TYPES = ("event", "eventtype", "action", "behavior", "behaviour", "eventname")
_MARKERS = ("NULL", "null", "NA", "N/A", "n/a", "nan", "NaN", "None", r"\N", "-", "?", "??", "—")
_ROLE_NAMES: Mapping[str, Sequence[str]] = {
    "user": (
        *("user", "userid", "uid", "customer", "customerid", "reviewerid", "memberid"),
        *("visitorid", "fullvisitorid", "buyerid", "clientid", "username"),
    ),
    "item": (
        *("item", "itemid", "iid", "product", "productid", "productsku", "sku", "movie"),
        *("movieid", "asin", "parentasin", "article", "articleid", "isbn", "businessid"),
        *("venueid", "placeid", "locationid", "songid", "trackid", "artistid", "bookid"),
    ),
    "time": (
        *("timestamp", "ts", "time", "datetime", "date", "eventtime", "unixreviewtime"),
        *("utctime", "createdat", "boughtat", "orderdate", "checkintime", "unixtime"),
    ),
    "rating": ("rating", "stars", "overall", "bookrating", "score", "reviewrating"),
}


@dataclass(frozen=True)
class Proposal:
    """A schema as text, and what it says about each column."""

    text: str
    uses: Sequence[tuple[str, str, str]]
    """Column, use and reason."""
    questions: int


@dataclass
class _Draft:
    """Lines of the schema so far."""

    lines: list[str] = field(default_factory=list)
    uses: list[tuple[str, str, str]] = field(default_factory=list)
    questions: int = 0

    def add(self, line: str, remark: str = "") -> None:
        """A line of YAML, with a remark behind it."""
        self.lines.append(f"{line}  # {_plain(remark)}" if remark else line)

    def ask(self, indent: str, question: str) -> None:
        """A question as a comment."""
        self.questions += 1
        self.lines.append(f"{indent}# QUESTION: {_plain(question)}")


@dataclass(frozen=True)
class _Table:
    """A file, its layout and a sample of its rows."""

    path: Path
    layout: Format
    remarks: Sequence[str]
    frame: pl.LazyFrame
    sample: pl.DataFrame

    @property
    def names(self) -> list[str]:
        """Columns of the file."""
        return self.sample.columns

    def texts(self, name: str) -> list[str]:
        """Values of a column in the sample, without blank ones."""
        column = self.sample[name]
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            return [str(value) for value in column.drop_nulls().head(1000).to_list()]
        texts = column.cast(pl.String).str.strip_chars().drop_nulls()
        return texts.filter(texts != "").to_list()


def propose_schema(
    events: Path,
    items: Path | None = None,
    users: Path | None = None,
    told: Mapping[str, str | None] | None = None,
    folder: Path = Path(),
) -> Proposal:
    """A schema of the tables, with paths relative to the folder that it is written to.

    Args:
        events: File of events.
        items: File of items.
        users: File of users.
        told: Columns of events by role (user, item, time, rating), where they are known.
        folder: Folder of the schema.

    Raises:
        SourceError: A file cannot be read, or has no such column.
        UsageError: The file declares its columns itself.
    """
    if suffix_of(events) == ".inter":
        raise UsageError(f"{events} needs no schema: bert4rec prepare --schema {events}")
    draft = _Draft()
    draft.add("# Proposed by 'bert4rec schema'; check it, and answer what is marked QUESTION.")
    draft.add(f"name: {_quoted(events.name.partition('.')[0])}")
    with tempfile.TemporaryDirectory() as scratch:
        table = _read(events, Path(scratch))
        roles = _roles(table, {role: name for role, name in (told or {}).items() if name})
        _add_events(draft, table, roles, folder)
        for path, role in ((items, "item"), (users, "user")):
            if path is not None:
                _add_side_table(draft, _read(path, Path(scratch)), role, table, roles, folder)
    return Proposal("\n".join(draft.lines) + "\n", draft.uses, draft.questions)


def _read(path: Path, scratch: Path) -> _Table:
    layout, remarks = sniffed_layout(path)
    try:
        frame = scan_table(path, layout, scratch)
        names = column_names(frame)
        sample = frame.select(names).head(SAMPLE).collect()
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, layout) from problem
    return _Table(path, layout, remarks, frame, sample)


def _roles(table: _Table, told: Mapping[str, str]) -> dict[str, list[str]]:
    """Candidates for each role: one is an answer, none or several are a question."""
    for name in told.values():
        if name not in table.names:
            raise SourceError(
                f"no such column; the file has {', '.join(table.names[:20])}",
                table.path,
                field=name,
            )
    roles = {}
    for role, known in _ROLE_NAMES.items():
        free = [name for name in table.names if name not in told.values()]
        found = [name for name in free if _key(name) in known]
        roles[role] = [told[role]] if role in told else found
    return roles


def _key(name: str) -> str:
    """Name in small letters and digits alone, without a prefix: `ga:productSku` is productsku."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower())


def _add_events(
    draft: _Draft, table: _Table, roles: Mapping[str, Sequence[str]], folder: Path
) -> None:
    draft.add("events:")
    _add_file(draft, table, folder)
    used = [_add_id(draft, table, role, roles[role]) for role in ("user", "item")]
    used.append(_add_time(draft, table, roles["time"]))
    used.append(_add_rating(draft, table, roles["rating"]))
    _add_markers(draft, table, used[:2])
    for name in table.names:
        if _key(name) in _EVENT_TYPES and name not in used:
            kinds = sorted(set(table.texts(name)))[:_FEW]
            draft.add(f"  # only: {{{_quoted(name)}: {_list(kinds)}}}", "which events count")
    _add_unused(draft, table, [name for name in table.names if name not in used])


def _add_file(draft: _Draft, table: _Table, folder: Path) -> None:
    path = Path(os.path.relpath(table.path, folder))
    is_far = table.path.is_absolute() and ".." in path.parts
    draft.add(f"  file: {_quoted((table.path if is_far else path).as_posix())}")
    plain = Format()
    for key in ("separator", "encoding"):
        value = getattr(table.layout, key)
        if value != getattr(plain, key):
            draft.add(f"  {key}: {_quoted(value)}")
    if not table.layout.quoted:
        draft.add("  quoted: false", "double quotes are part of the text")
    if table.layout.header:
        draft.add(f"  header: {_list(table.layout.header)}", "the file has no line of names")
    for remark in table.remarks:
        draft.ask("  ", remark)


def _add_id(draft: _Draft, table: _Table, role: str, found: Sequence[str]) -> str:
    """The column that was taken, or the empty text."""
    if len(found) == 1:
        draft.add(f"  {role}: {_quoted(found[0])}")
        draft.uses.append((f"{table.path.name}: {found[0]}", role, "by its name"))
        return found[0]
    draft.ask("  ", f"which column holds the {role}s? {_choice(found or table.names)}")
    draft.add(f"  {role}:")
    return ""


def _add_time(draft: _Draft, table: _Table, found: Sequence[str]) -> str:
    if len(found) != 1:
        names = _choice(found or table.names)
        draft.ask("  ", f"which column holds the times? {names} (none: prepare --file_order)")
        draft.add("  time:")
        return ""
    name = found[0]
    kind = table.sample[name].dtype
    is_instant = kind.is_temporal() and kind not in (pl.Time, pl.Duration)
    guess = TimeGuess("a typed column") if is_instant else guess_time(table.texts(name))
    if guess.question:
        draft.ask("  ", f"{guess.question}; then write 'time: {name}'")
        draft.add("  time:")
        draft.uses.append((f"{table.path.name}: {name}", "question", guess.question))
        return name
    draft.add(f"  time: {_quoted(name)}", guess.reason)
    for key, value in guess.settings.items():
        draft.add(f"  {key}: {_quoted(value)}")
    draft.uses.append((f"{table.path.name}: {name}", "time", guess.reason))
    return name


def _add_rating(draft: _Draft, table: _Table, found: Sequence[str]) -> str:
    numeric = [name for name in found if _are_numbers(table.texts(name))]
    if len(numeric) != 1:
        if found:
            draft.ask("  ", f"which column holds the ratings? {_choice(found)}; none is used now")
        return ""
    name = numeric[0]
    levels = _levels(table, name)
    draft.add(f"  rating: {_quoted(name)}")
    if 0 in levels and 1 in levels and len(levels) > 2:
        draft.ask("  ", "does 0 mean 'no rating'? If it is a rating, add it to the scale")
        levels.remove(0)
    if 0 < len(levels) <= _FEW:
        scale = [f"{level:g}" for level in levels]
        draft.add(f"  scale: [{', '.join(scale)}]")
    draft.uses.append((f"{table.path.name}: {name}", "rating", f"{len(levels)} levels"))
    return name


def _levels(table: _Table, name: str) -> list[float]:
    """Numbers in the whole file; empty if they are many."""
    number = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    found = table.frame.select(number.drop_nulls().unique()).collect(engine="streaming")
    levels = sorted(found.to_series().to_list())
    return levels if len(levels) <= _FEW + 1 else []


def _add_markers(draft: _Draft, table: _Table, names: Iterable[str]) -> None:
    """Ask whether marks among the ids mean "unknown"."""
    texts: list[str] = []
    for name in filter(None, names):
        texts += table.texts(name)
    found = _markers(texts)
    if found:
        draft.ask("  ", "are these ids, or do they mean 'unknown'? Delete the line if they are ids")
        draft.add(f"  missing: {_list(found)}")


def _markers(texts: Sequence[str]) -> list[str]:
    return sorted(set(texts) & set(_MARKERS))


def _add_unused(draft: _Draft, table: _Table, names: Sequence[str]) -> None:
    if names:
        draft.add(f"  unused: {_list(names)}")
    draft.uses += [(f"{table.path.name}: {name}", "not used", "no role") for name in names]


def _add_side_table(
    draft: _Draft,
    table: _Table,
    role: str,
    events: _Table,
    roles: Mapping[str, Sequence[str]],
    folder: Path,
) -> None:
    """The table of items or users."""
    draft.add(f"{role}s:")
    _add_file(draft, table, folder)
    key = _add_key(draft, table, role, events, roles[role])
    rest = [name for name in table.names if name != key]
    title = next((name for name in rest if _key(name) in _TITLES), "")
    if title:
        draft.add(f"  title: {_quoted(title)}")
        draft.uses.append((f"{table.path.name}: {title}", "title", "by its name"))
    proposed = {name: _feature(table, name) for name in rest if name != title}
    used = {name: found for name, found in proposed.items() if not found[1]}
    if used:
        draft.add("  features:")
    for name, (setting, _) in used.items():
        _ask_about(draft, table, name, setting)
        draft.add(f"    {_quoted(name)}: {setting}")
        draft.uses.append((f"{table.path.name}: {name}", setting, "by its values"))
    left = {name: why for name, (_, why) in proposed.items() if why}
    if left:
        reasons = [f"{name}: {why}" for name, why in left.items()]
        draft.add(f"  unused: {_list(left)}", "; ".join(reasons))
    draft.uses += [(f"{table.path.name}: {name}", "not used", why) for name, why in left.items()]


def _add_key(draft: _Draft, table: _Table, role: str, events: _Table, found: Sequence[str]) -> str:
    """The column of ids, if it is clear."""
    own = [name for name in table.names if name in found]
    own = own or [name for name in table.names if _key(name) in (*_ROLE_NAMES[role], "id")]
    if len(own) != 1 or len(found) != 1:
        draft.ask("  ", f"which column holds the ids of the {role}s? {_choice(own or table.names)}")
        draft.add(f"  {role}:")
        return ""
    name = own[0]
    ids = set(table.texts(name))
    given = set(events.texts(found[0]))
    share = len(ids & given) / max(len(given), 1)
    remark = f"{share:.1%} of the {len(given):,} ids in the sample of events have a row"
    if share < 0.5:
        draft.ask("  ", f"is {name} the id? Only {remark}; then write '{role}: {name}'")
        draft.add(f"  {role}:")
        return name
    draft.add(f"  {role}: {_quoted(name)}", remark)
    draft.uses.append((f"{table.path.name}: {name}", "id", remark))
    if len(ids) < len(table.texts(name)):
        draft.ask("  ", "ids have several rows; which counts? repeated: first, last or collect")
        draft.add("  repeated: error")
    return name


def _feature(table: _Table, name: str) -> tuple[str, str]:
    """Setting of a feature, or why the column is left out."""
    kind = table.sample[name].dtype
    texts = table.texts(name)
    if isinstance(kind, pl.List) and not isinstance(kind.inner, pl.Struct):
        return "multi", ""
    if kind.is_nested() or kind in (pl.Binary, pl.Time, pl.Duration, pl.Object):
        return "", f"holds {kind}"
    marks = _markers(texts)
    known = [text for text in texts if text not in marks]
    values = set(known)
    if len(values) < 2:
        return "", "one value or none"
    setting = {"kind": _kind(known, values)}
    separator = _separator(values)
    if setting["kind"] == "multi" and separator:
        setting["separator"] = _quoted(separator)
    if setting["kind"] == "categorical" and len(values) > 0.9 * len(known) and len(known) > _FEW:
        return "", "nearly every row has another value"
    if marks:
        setting["missing"] = _list(marks)
    if len(setting) == 1:
        return setting["kind"], ""
    entries = [f"{key}: {value}" for key, value in setting.items()]
    return "{" + ", ".join(entries) + "}", ""


def _ask_about(draft: _Draft, table: _Table, name: str, setting: str) -> None:
    """Ask about a feature whose default may be wrong."""
    if "missing:" in setting:
        draft.ask("    ", f"do these texts of {name} mean 'unknown'? Delete those that are values")
    texts = table.texts(name)
    is_whole = all(text.isdigit() for text in texts)
    if setting == "numeric" and is_whole and 2 < len(set(texts)) <= _FEW < len(texts):
        draft.ask("    ", f"is {name} an amount? If its numbers are codes, write categorical")


def _kind(known: Sequence[str], values: set[str]) -> str:
    is_code = any(re.match(r"0\d", text) for text in known)
    if _are_numbers(known) and not is_code:
        return "numeric"
    is_list = all(text[0] == "[" and text[-1] == "]" for text in values)
    return "multi" if is_list or _separator(values) else "categorical"


def _separator(values: set[str]) -> str:
    """Separator of values that come back in other combinations; empty if there is none."""
    if all(text[0] == "[" for text in values):
        return ""
    for separator in ("|", ";", ", ", ","):
        parts = set(separator.join(values).split(separator))
        is_common = sum(separator in text for text in values) > 0.2 * len(values)
        if is_common and len(parts) < len(values):
            return separator
    return ""


def _are_numbers(texts: Sequence[str]) -> bool:
    numbers = pl.Series(texts, dtype=pl.String).cast(pl.Float64, strict=False)
    return bool(texts) and bool(numbers.is_finite().fill_null(value=False).all())


def _choice(names: Iterable[str]) -> str:
    return "one of " + ", ".join(list(names)[:_FEW])


def _plain(text: str) -> str:
    """Text that stays in its comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _quoted(text: str) -> str:
    """Text as a YAML scalar."""
    is_plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII)
    return text if is_plain else json.dumps(text)


def _list(texts: Iterable[str]) -> str:
    quoted = [_quoted(text) for text in texts]
    return f"[{', '.join(quoted)}]"
