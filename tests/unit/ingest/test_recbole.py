"""RecBole's atomic files as schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.data.features import Kind
from bert4rec.errors import SourceError
from bert4rec.ingest.schema_file import read_schema


def test_atomic_files_declare_their_schema(tmp_path: Path) -> None:
    (tmp_path / "shop.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n1\t5\t100\n"
    )
    header = "item_id:token\tprice:float\ttags:token_seq\tmovie_title:token_seq\tvector:float_seq\n"
    (tmp_path / "shop.item").write_text(header)
    schema = read_schema(tmp_path / "shop.inter")
    assert schema.name == "shop"
    assert (schema.events.user, schema.events.time, schema.events.rating) == (
        "user_id",
        "timestamp",
        None,
    )
    assert [(f.name, f.kind) for f in schema.items.features] == [
        ("price", Kind.NUMERIC),
        ("tags", Kind.MULTI),
    ]
    assert schema.items.title == "movie_title"
    assert schema.items.unused == ["vector"]
    assert schema.users is None


@pytest.mark.parametrize("header", ["user_id\titem_id\n", "user:token\titem_id:token\n"])
def test_atomic_file_with_another_header_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "shop.inter").write_text(header)
    with pytest.raises(SourceError, match=r"shop\.inter, row 1"):
        read_schema(tmp_path / "shop.inter")
