"""Schemas in YAML, and errors of schemas that cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.data.features import Kind
from bert4rec.errors import Bert4RecError, ConfigError, SourceError
from bert4rec.ingest.schema_file import read_schema

EVENTS = "events: {file: e.csv, user: u, item: i, time: t}\n"


def read(tmp_path: Path, text: str):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return read_schema(path)


def test_feature_reads_the_column_of_its_name_by_default(tmp_path: Path) -> None:
    features = "{colour: categorical, tags: {kind: multi, column: words}}"
    items = f"items: {{file: i.csv, item: id, features: {features}}}\n"
    schema = read(tmp_path, EVENTS + items)
    assert [(f.name, f.kind, f.column) for f in schema.items.features] == [
        ("colour", Kind.CATEGORICAL, "colour"),
        ("tags", Kind.MULTI, "words"),
    ]
    assert schema.name == "own"


def test_scalars_are_the_text_in_the_file(tmp_path: Path) -> None:
    feature = (
        "{kind: categorical, missing: [NULL, ~, no, 007, 1e3, 2024-01-01, 0x1F, 1_000, 12:30],"
        " labels: {NO: Norway, 1.0: yes, null: none}, map: {on: off}}"
    )
    schema = read(
        tmp_path, EVENTS + f"items: {{file: i.csv, item: 2024, features: {{yes: {feature}}}}}\n"
    )
    found = schema.items.features[0]
    assert (schema.items.key, found.name, found.column) == ("2024", "yes", "yes")
    times = ["2024-01-01", "0x1F", "1_000", "12:30"]
    assert found.missing == ["NULL", "~", "no", "007", "1e3", *times]
    assert found.labels == {"NO": "Norway", "1.0": "yes", "null": "none"}
    assert found.map == {"on": "off"}


def test_numbers_and_booleans_are_made_where_they_are_declared(tmp_path: Path) -> None:
    text = "events: {file: e, user: u, item: i, rating: r, scale: [1, 2.5, 1e1, -.5], quoted: no}"
    events = read(tmp_path, text).events
    assert events.scale == [1.0, 2.5, 10.0, -0.5]
    assert events.format.quoted is False


BROKEN = {
    "not YAML": ("events: [", "not a YAML file"),
    "a list": ("- events", "must be a mapping|is a mapping"),
    "no events": ("name: x", "the key 'events' is missing"),
    "an unknown table": (EVENTS + "shops: {}", "unknown key 'shops'"),
    "an unknown key": ("events: {file: e, user: u, item: i, when: t}", "unknown key 'events.when'"),
    "an unknown key without a value": (
        "events: {file: e, user: u, item: i, when: }",
        "unknown key 'events.when'",
    ),
    "a key without its value": (
        "events: {file: , user: u, item: i}",
        "key 'events.file' is missing",
    ),
    "a missing key": ("events: {file: e, user: u}", "key 'events.item' is missing"),
    "a list as a column": (
        "events: {file: e, user: u, item: i, time: [5]}",
        r"events.time is \['5'\]: it must be text",
    ),
    "a key that is there twice": (
        "events: {file: e, user: u, item: i, user: v}",
        "not a YAML file .the key 'user' is there 2 times",
    ),
    "deep nesting": ("events: " + "[" * 5000, "not a YAML file of a schema"),
    "a list in a list of texts": (
        "events: {file: e, user: u, item: i, unused: [[a]]}",
        "it must hold texts only",
    ),
    "a boolean of another word": (
        "events: {file: e, user: u, item: i, quoted: maybe}",
        "must be true or false",
    ),
    "a scale up to infinity": (
        "events: {file: e, user: u, item: i, rating: r, scale: [1, .inf]}",
        "numbers only",
    ),
    "a column with two uses": ("events: {file: e, user: u, item: u, time: t}", "'u' 2 times"),
    "a scale of words": (
        "events: {file: e, user: u, item: i, rating: r, scale: [low]}",
        "numbers only",
    ),
    "a scale that is no list": (
        "events: {file: e, user: u, item: i, rating: r, scale: 5}",
        "must be a list",
    ),
    "a scale without ratings": (
        "events: {file: e, user: u, item: i, scale: [1, 2]}",
        "add 'rating'",
    ),
    "an unused header column": (
        "events: {file: e, user: u, item: i, header: [u, i, x]}",
        "declares 'x', which is not",
    ),
    "an unknown encoding": (
        "events: {file: e, user: u, item: i, encoding: klingon}",
        "'klingon' is not known",
    ),
    "quoted as a word": ("events: {file: e, user: u, item: i, quoted: maybe}", "true or false"),
    "an unknown kind": (
        EVENTS + "items: {file: f, item: i, features: {c: colour}}",
        "kind 'colour'; known are",
    ),
    "an unknown feature key": (
        EVENTS + "users: {file: f, user: u, features: {c: {kind: multi, split: x}}}",
        "unknown key 'users.features.c.split'",
    ),
    "features as a list": (
        EVENTS + "items: {file: f, item: i, features: [c]}",
        "must map names to kinds",
    ),
    "labels short of bins": (
        EVENTS + "users: {file: f, user: u, "
        "features: {a: {kind: categorical, bins: [18], bin_labels: [old]}}}",
        "one more of bin_labels",
    ),
    "an extract without a group": (
        EVENTS + "items: {file: f, item: i, features: {y: {kind: categorical, extract: '[0-9]+'}}}",
        "no regular expression with a",
    ),
    "used and unused": (
        EVENTS + "items: {file: f, item: i, title: t, unused: [t]}",
        "unused names 't'",
    ),
}


@pytest.mark.parametrize(("text", "part"), BROKEN.values(), ids=BROKEN)
def test_wrong_schema_is_one_clear_line(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(Bert4RecError, match=part) as caught:
        read(tmp_path, text)
    assert "own.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError) == ("YAML" not in part)


def test_missing_schema_says_what_a_schema_is(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a schema is a YAML file or a RecBole"):
        read_schema(tmp_path / "none.yaml")
