from __future__ import annotations

import json

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.model.table_sizes import FeatureSize, TableSizes
from small_worlds import dataset_of


def test_sizes_by_hand() -> None:
    dataset = dataset_of(
        [0, 1, 2],
        [0],
        ratings=[[1, 2, 3], [4]],
        genres=[[1, 2], [3], []],
        years=[1990, 0, 1991],
        gender=[1, 2],
    )
    assert TableSizes.of(dataset) == TableSizes(
        item_rows=2 + 3,  # PAD and MASK
        user_rows=1 + 2,  # the unknown user
        rating_levels=5,
        item_features=(
            FeatureSize("genres", Kind.MULTI, rows=1 + 3, width=2),
            FeatureSize("year", Kind.CATEGORICAL, rows=1 + 2),
        ),
        user_features=(FeatureSize("gender", Kind.CATEGORICAL, rows=1 + 2),),
    )


def test_data_without_ratings_and_features_has_no_sizes_of_them() -> None:
    assert TableSizes.of(dataset_of([0, 1])) == TableSizes(
        item_rows=4, user_rows=2, rating_levels=0
    )


def test_sizes_survive_a_json_file(world: PreparedDataset) -> None:
    sizes = TableSizes.of(world)
    assert TableSizes.from_dict(json.loads(json.dumps(sizes.to_dict()))) == sizes
    assert {feature.kind for feature in sizes.item_features} == set(Kind)
