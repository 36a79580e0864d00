"""Feature tables of items and users, and their encoders.

The tables are buffers of the network, indexed by item or user row. A batch carries ids alone, so a
masked item hides its genres, and a saved network holds its metadata. Where the vectors are added is
left to `network`.

Legend: O rows of a table, N looked-up rows, M values of one row, E width of a feature's vector,
B users, V item rows, D hidden width, J user tokens, X anything a feature holds: `[B]` or `[B, M]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bert4rec.data.features import FeatureTables, Kind, network_values
from bert4rec.ids import UNKNOWN
from bert4rec.model.lookup import embed
from bert4rec.model.table_sizes import FeatureSize


class FeatureEncoder(nn.Module):
    """One feature: value rows, or numbers, to vectors of width E.

    The unknown value has a vector of its own, which is trained.
    """

    def __init__(self, feature: FeatureSize, width: int, rows: int) -> None:
        super().__init__()
        self.feature = feature
        if feature.kind is Kind.NUMERIC:
            self.project = nn.Linear(2, width)
        else:
            self.values = nn.Embedding(feature.rows, width)
            nn.init.normal_(self.values.weight, std=width**-0.5)
        self.register_buffer("table_O", _unknown_table(feature, rows))

    def stored_values(self, row_N: Tensor) -> Tensor:
        """Stored values of rows: `[N]`, or `[N, M]` of a multi-valued feature."""
        return self.get_buffer("table_O")[row_N]

    def forward(self, value_N: Tensor) -> Tensor:
        """Vectors `[N, E]` of values; several values of one row are averaged."""
        if self.feature.kind is Kind.NUMERIC:
            missing_N = value_N.isnan()
            known_N = value_N.nan_to_num()
            return self.project(torch.stack([known_N, missing_N.to(value_N.dtype)], dim=1))
        if self.feature.kind is Kind.CATEGORICAL:
            return embed(self.values.weight, value_N)
        return self._mean_of_known(value_N)

    def _mean_of_known(self, value_NM: Tensor) -> Tensor:
        """Mean vector of the known values; the unknown value's vector where there is none."""
        known_NM = (value_NM != UNKNOWN).to(self.values.weight.dtype)
        none_known_N1 = known_NM.sum(1, keepdim=True) == 0
        weight_NM = torch.cat([known_NM[:, :1] + none_known_N1, known_NM[:, 1:]], dim=1)
        total_NE = (embed(self.values.weight, value_NM) * weight_NM[:, :, None]).sum(1)
        return total_NE / weight_NM.sum(1, keepdim=True)


def _unknown_table(feature: FeatureSize, rows: int) -> Tensor:
    if feature.kind is Kind.NUMERIC:
        return torch.full((rows,), torch.nan)
    shape = (rows, feature.width) if feature.kind is Kind.MULTI else (rows,)
    return torch.zeros(shape, dtype=torch.long)


class ItemMetadata(nn.Module):
    """All item features, concatenated and projected to the hidden width."""

    def __init__(
        self,
        features: Sequence[FeatureSize],
        feature_width: int,
        hidden_size: int,
        item_rows: int,
    ) -> None:
        super().__init__()
        self.features = nn.ModuleList(
            FeatureEncoder(feature, feature_width, item_rows) for feature in features
        )
        self.project = nn.Linear(len(features) * feature_width, hidden_size)

    def forward(self) -> Tensor:
        """Metadata vectors of all item rows, `[V, D]`."""
        vectors = [encoder(encoder.table_O) for encoder in self.features]
        return self.project(torch.cat(vectors, dim=1))

    def without_each_feature(self, item: int) -> dict[str, Tensor]:
        """One item's metadata vector `[1, D]` with each of its known features unknown, by name."""
        row_1 = torch.tensor([item], device=self.project.weight.device)
        encoders = list(feature_encoders(self.features))
        vectors = [encoder(encoder.stored_values(row_1)) for encoder in encoders]
        found = {}
        for index, encoder in enumerate(encoders):
            unknown = encoder(unknown_like(encoder.stored_values(row_1)))
            if not torch.equal(unknown, vectors[index]):
                changed = [*vectors[:index], unknown, *vectors[index + 1 :]]
                found[encoder.feature.name] = self.project(torch.cat(changed, dim=1))
        return found


class UserTokens(nn.Module):
    """A user as separate tokens: the id, and one per feature. Any of them may be unknown."""

    def __init__(
        self,
        features: Sequence[FeatureSize],
        feature_width: int,
        id_width: int,
        hidden_size: int,
        user_rows: int,
    ) -> None:
        super().__init__()
        self.user = nn.Embedding(user_rows, id_width)
        nn.init.normal_(self.user.weight, std=id_width**-0.5)
        self.project_user = nn.Linear(id_width, hidden_size)
        self.features = nn.ModuleList(
            FeatureEncoder(feature, feature_width, user_rows) for feature in features
        )
        self.project = nn.ModuleList(nn.Linear(feature_width, hidden_size) for _ in features)

    @property
    def count(self) -> int:
        """Number of tokens J of a user."""
        return 1 + len(self.features)

    def forward(self, user_B: Tensor, given: Mapping[str, Tensor], dropout: float) -> Tensor:
        """Tokens `[B, J, D]` of users by row, with feature values `given` in place of stored ones.

        Each token is made unknown with probability `dropout`, so that "unknown" is trained.
        """
        values = self.feature_values(user_B, given)
        tokens = [self.project_user(embed(self.user.weight, randomly_unknown(user_B, dropout)))]
        layers = zip(self.features, self.project, values.values(), strict=True)
        for encoder, project, value in layers:
            tokens.append(project(encoder(randomly_unknown(value, dropout))))
        return torch.stack(tokens, dim=1)

    def feature_values(self, user_B: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Value rows, or numbers, of each feature by name: as given, or else as stored."""
        values = {}
        for encoder in feature_encoders(self.features):
            name = encoder.feature.name
            values[name] = given[name] if name in given else encoder.stored_values(user_B)
        return values


def randomly_unknown(value_X: Tensor, share: float) -> Tensor:
    """Values of which a random share of the rows is made unknown."""
    if not share:
        return value_X
    is_hidden_B = torch.rand(len(value_X), device=value_X.device) < share
    over_row = is_hidden_B.view(-1, *[1] * (value_X.dim() - 1))
    return unknown_like(value_X).where(over_row, value_X)


def unknown_like(value_X: Tensor) -> Tensor:
    """Unknown values of the same shape and type: NaN for numbers, else UNKNOWN."""
    return torch.full_like(value_X, torch.nan if value_X.is_floating_point() else UNKNOWN)


def feature_encoders(modules: nn.ModuleList) -> Iterator[FeatureEncoder]:
    """Modules of a list of encoders, with their type."""
    for module in modules:
        assert isinstance(module, FeatureEncoder)
        yield module


def load_feature_tables(encoders: nn.ModuleList, features: FeatureTables) -> None:
    """Copy a dataset's feature tables into the encoders' buffers."""
    for encoder in feature_encoders(encoders):
        values_O = network_values(*features[encoder.feature.name])
        encoder.get_buffer("table_O").copy_(torch.tensor(values_O))
