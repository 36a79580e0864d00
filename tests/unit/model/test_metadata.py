from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bert4rec.data.features import Feature, Kind
from bert4rec.ids import FIRST_ITEM, UNKNOWN
from bert4rec.model.metadata import FeatureEncoder, ItemMetadata, UserTokens, load_feature_tables
from bert4rec.model.table_sizes import FeatureSize

GENRES = FeatureSize("genres", Kind.MULTI, rows=4, width=3)
GENDER = FeatureSize("gender", Kind.CATEGORICAL, rows=3)
PRICE = FeatureSize("price", Kind.NUMERIC, rows=1)


def encoder(feature: FeatureSize, rows: int = 5) -> FeatureEncoder:
    """Value v has the vector (v, v²): the unknown one (7, 7)."""
    made = FeatureEncoder(feature, 2, rows)
    if feature.kind is not Kind.NUMERIC:
        value_O = torch.arange(float(feature.rows))
        made.values.weight.data = torch.stack([value_O, value_O**2], dim=1)
        made.values.weight.data[UNKNOWN] = 7
    return made


@pytest.mark.parametrize(
    ("genres", "vector"),
    [
        ([1, 0, 0], [1, 1]),  # unknown values that fill up the row do not count
        ([1, 3, 0], [2, 5]),  # the mean of (1, 1) and (3, 9)
        ([1, 2, 3], [2, 14 / 3]),
        ([0, 0, 0], [7, 7]),  # no genre: the unknown one's vector
    ],
)
def test_genre_vectors_are_averaged_over_known_genres(
    genres: list[int], vector: list[float]
) -> None:
    assert encoder(GENRES)(torch.tensor([genres]))[0].tolist() == pytest.approx(vector)


def test_unknown_genre_is_trained_by_items_without_genres_alone() -> None:
    genres = encoder(GENRES)
    genres(torch.tensor([[1, 2, 0]])).sum().backward()
    assert genres.values.weight.grad is not None
    assert genres.values.weight.grad[:, 0].tolist() == [0, 0.5, 0.5, 0]
    genres(torch.tensor([[0, 0, 0]])).sum().backward()
    assert genres.values.weight.grad[UNKNOWN].tolist() == [1, 1]


def test_each_category_and_the_unknown_one_have_a_row() -> None:
    assert encoder(GENDER)(torch.tensor([2, UNKNOWN])).tolist() == [[2, 4], [7, 7]]


def test_missing_number_differs_from_the_mean() -> None:
    price = encoder(PRICE)
    price.project.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    price.project.bias.data.zero_()
    assert price(torch.tensor([1.5, 0.0, torch.nan])).tolist() == [[1.5, 0], [0, 0], [0, 1]]


def test_missing_number_leaves_gradients_finite() -> None:
    price = encoder(PRICE)
    price(torch.tensor([torch.nan, 2.0])).sum().backward()
    assert price.project.weight.grad is not None
    assert price.project.weight.grad.isfinite().all()


def test_new_tables_hold_the_unknown_value() -> None:
    assert encoder(GENRES).stored_values(torch.tensor([4])).tolist() == [[0, 0, 0]]
    assert encoder(GENDER).stored_values(torch.tensor([4])).tolist() == [0]
    assert encoder(PRICE).stored_values(torch.tensor([4])).isnan().all()


def filled() -> ItemMetadata:
    metadata = ItemMetadata([GENRES, PRICE], feature_width=2, hidden_size=3, item_rows=4)
    genres_VM = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 3, 0]], dtype=np.int32)
    price_V = np.array([np.nan, np.nan, 0.5, -1.0], dtype=np.float32)
    tables = {
        "price": (Feature("price", Kind.NUMERIC), price_V),
        "genres": (Feature("genres", Kind.MULTI, ["a", "b", "c"]), genres_VM),
    }
    load_feature_tables(metadata.features, tables)
    return metadata


def test_tables_are_loaded_by_name_in_any_order() -> None:
    genres, price = filled().features
    assert isinstance(genres, FeatureEncoder)
    assert isinstance(price, FeatureEncoder)
    assert genres.stored_values(torch.tensor([3])).tolist() == [[2, 3, 0]]
    assert price.stored_values(torch.tensor([2, 3])).tolist() == [0.5, -1.0]


def test_saved_weights_hold_the_feature_tables() -> None:
    metadata = filled()
    fresh = ItemMetadata([GENRES, PRICE], feature_width=2, hidden_size=3, item_rows=4)
    fresh.load_state_dict(metadata.state_dict())
    assert torch.equal(fresh(), metadata())


def test_item_metadata_is_the_projection_of_all_features_side_by_side() -> None:
    metadata = filled()
    genres, price = metadata.features
    rows = torch.arange(4)
    vectors = [encoder(encoder.stored_values(rows)) for encoder in (genres, price)]  # type: ignore[operator]
    assert metadata().shape == (4, 3)
    torch.testing.assert_close(metadata(), metadata.project(torch.cat(vectors, dim=1)))


def test_reserved_rows_have_the_vector_of_unknown_metadata() -> None:
    metadata = filled()
    vectors = metadata()
    assert torch.equal(vectors[0], vectors[FIRST_ITEM - 1])
    assert not torch.equal(vectors[0], vectors[FIRST_ITEM])


@pytest.fixture
def users() -> UserTokens:
    torch.manual_seed(0)
    tokens = UserTokens([GENDER, PRICE], feature_width=2, id_width=3, hidden_size=4, user_rows=5)
    gender_U = np.array([0, 1, 2, 1, 2], dtype=np.int32)
    price_U = np.array([np.nan, 1, 2, 3, 4], dtype=np.float32)
    load_feature_tables(
        tokens.features,
        {
            "gender": (Feature("gender", Kind.CATEGORICAL, ["F", "M"]), gender_U),
            "price": (Feature("price", Kind.NUMERIC), price_U),
        },
    )
    return tokens


def test_user_is_separate_tokens_of_one_feature_each(users: UserTokens) -> None:
    of_1, of_3 = users(torch.tensor([1, 3]), {}, dropout=0.0)
    assert (of_1.shape, users.count) == ((3, 4), 3)
    assert (of_1 == of_3).all(1).tolist() == [False, True, False]  # they share their gender


def test_given_value_replaces_the_stored_one(users: UserTokens) -> None:
    given = {"gender": torch.tensor([2])}
    replaced = users(torch.tensor([1]), given, dropout=0.0)[0]
    stored = users(torch.tensor([1]), {}, dropout=0.0)[0]
    of_2 = users(torch.tensor([2]), {}, dropout=0.0)[0]
    assert torch.equal(replaced[1], of_2[1])
    assert torch.equal(replaced[[0, 2]], stored[[0, 2]])


def test_user_with_every_token_dropped_is_the_unknown_user(users: UserTokens) -> None:
    unknown = users(torch.tensor([UNKNOWN]), {}, dropout=0.0)
    assert torch.equal(users(torch.tensor([1]), {}, dropout=1.0), unknown)
    assert not torch.equal(users(torch.tensor([1]), {}, dropout=0.0), unknown)


def test_user_tokens_are_dropped_independently_at_the_given_rate(users: UserTokens) -> None:
    torch.manual_seed(0)
    many = torch.ones(4000, dtype=torch.long)
    unknown = users(torch.tensor([UNKNOWN]), {}, dropout=0.0)
    dropped_BJ = (users(many, {}, dropout=0.25) == unknown).all(2).float()
    assert dropped_BJ.mean(0).tolist() == pytest.approx([0.25] * 3, abs=0.03)
    assert (dropped_BJ[:, 0] * dropped_BJ[:, 1]).mean().item() == pytest.approx(0.25**2, abs=0.02)


def test_user_dropout_trains_the_unknown_rows(users: UserTokens) -> None:
    def grad_of_unknown(dropout: float) -> float:
        users.zero_grad()
        users(torch.tensor([1, 2, 3, 4] * 8), {}, dropout).square().sum().backward()
        tables = [users.user, users.features[0].values]
        assert all(
            isinstance(table, nn.Embedding) and table.weight.grad is not None for table in tables
        )
        return min(float(table.weight.grad[UNKNOWN].abs().sum()) for table in tables)  # type: ignore[index, union-attr]

    assert grad_of_unknown(0.0) == 0
    assert grad_of_unknown(0.5) > 0
