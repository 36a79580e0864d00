"""Side information as vectors: feature tables and their encoder, for items and users alike.

The tables are buffers of the network, indexed by item or user row: a batch carries ids alone, so hiding an item hides
its genres, and a saved network knows its metadata. What the vectors are added to is left to `network`.

Legend: R rows of the table, N rows asked for, M values an item may have, W width of a value's vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bert4rec.data.features import Feature, Kind
from bert4rec.ids import UNKNOWN
from bert4rec.model.lookup import embed
from bert4rec.model.table_sizes import FeatureSize


class FeatureEncoder(nn.Module):
    """One feature: value rows (or numbers) to vectors of width W. The unknown value has a vector, and it is trained."""

    def __init__(self, feature: FeatureSize, size: int, rows: int) -> None:
        super().__init__()
        self.feature = feature
        if feature.kind is Kind.NUMERIC:
            self.project = nn.Linear(2, size)
        else:
            self.values = nn.Embedding(feature.rows, size)
            nn.init.normal_(self.values.weight, std=size**-0.5)
        self.register_buffer("table_O", _empty_table(feature, rows))

    def value(self, row_N: Tensor) -> Tensor:
        """The stored values of rows: `[N]`, or `[N, M]` of a multi-valued feature."""
        return self.get_buffer("table_O")[row_N]

    def forward(self, value_N: Tensor) -> Tensor:
        """The vectors `[N, W]` of values."""
        if self.feature.kind is Kind.NUMERIC:
            missing_N = value_N.isnan()
            return self.project(
                torch.stack([value_N.nan_to_num(), missing_N.to(value_N.dtype)], dim=1)
            )
        if self.feature.kind is Kind.CATEGORICAL:
            return embed(self.values.weight, value_N)
        return self._mean_of_known(value_N)

    def _mean_of_known(self, value_NM: Tensor) -> Tensor:
        """The mean over the real values; the unknown value's vector where there is none."""
        real_NM = (value_NM != UNKNOWN).to(self.values.weight.dtype)
        real_NM = torch.cat(
            [real_NM[:, :1] + (real_NM.sum(1, keepdim=True) == 0), real_NM[:, 1:]], dim=1
        )
        total_NW = (embed(self.values.weight, value_NM) * real_NM[:, :, None]).sum(1)
        return total_NW / real_NM.sum(1, keepdim=True)


def _empty_table(feature: FeatureSize, rows: int) -> Tensor:
    if feature.kind is Kind.NUMERIC:
        return torch.full((rows,), torch.nan)
    shape = (rows, feature.width) if feature.kind is Kind.MULTI else (rows,)
    return torch.zeros(shape, dtype=torch.long)


class ItemMetadata(nn.Module):
    """All item features, concatenated and projected to the hidden size."""

    def __init__(
        self, features: Sequence[FeatureSize], size: int, hidden_size: int, item_rows: int
    ) -> None:
        super().__init__()
        self.features = nn.ModuleList(
            FeatureEncoder(feature, size, item_rows) for feature in features
        )
        self.project = nn.Linear(len(features) * size, hidden_size)

    def forward(self) -> Tensor:
        """The metadata vectors of all item rows, `[V, D]`."""
        return self.project(
            torch.cat([feature(feature.table_O) for feature in self.features], dim=1)
        )

    def without_each(self, row: int) -> dict[str, Tensor]:
        """One item's metadata vector `[1, D]` with each of its known features unknown in turn, by name."""
        row_1, found = torch.tensor([row], device=self.project.weight.device), {}
        encoders = [feature for feature in self.features if isinstance(feature, FeatureEncoder)]
        encoded = [feature(feature.value(row_1)) for feature in encoders]
        for place, feature in enumerate(encoders):
            unknown_1W = feature(unknown_like(feature.value(row_1)))
            if not torch.equal(unknown_1W, encoded[place]):
                others = [*encoded[:place], unknown_1W, *encoded[place + 1 :]]
                found[feature.feature.name] = self.project(torch.cat(others, dim=1))
        return found


class UserTokens(nn.Module):
    """A user as separate tokens: the id, and one for each feature. Any of them may be unknown."""

    def __init__(
        self,
        features: Sequence[FeatureSize],
        feature_size: int,
        user_size: int,
        hidden_size: int,
        user_rows: int,
    ) -> None:
        super().__init__()
        self.user = nn.Embedding(user_rows, user_size)
        nn.init.normal_(self.user.weight, std=user_size**-0.5)
        self.project_user = nn.Linear(user_size, hidden_size)
        self.features = nn.ModuleList(
            FeatureEncoder(feature, feature_size, user_rows) for feature in features
        )
        self.project = nn.ModuleList(nn.Linear(feature_size, hidden_size) for _ in features)

    @property
    def count(self) -> int:
        """Tokens of a user."""
        return 1 + len(self.features)

    def forward(self, user_B: Tensor, given: Mapping[str, Tensor], hide: float) -> Tensor:
        """The tokens `[B, count, D]`; each is hidden with probability `hide`, so that "unknown" is trained."""
        values = self.values(user_B, given)
        tokens = [self.project_user(embed(self.user.weight, hidden(user_B, hide)))]
        for feature, project, value in zip(
            self.features, self.project, values.values(), strict=True
        ):
            tokens.append(project(feature(hidden(value, hide))))
        return torch.stack(tokens, dim=1)

    def values(self, user_B: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The users' value rows (or numbers) by feature: as given, or else as stored."""
        encoders = {of.feature.name: of for of in self.features if isinstance(of, FeatureEncoder)}
        return {
            name: given[name] if name in given else of.value(user_B)
            for name, of in encoders.items()
        }


def hidden(value_B: Tensor, share: float) -> Tensor:
    """Values of which a random share is unknown."""
    if not share:
        return value_B
    hidden_B = torch.rand(len(value_B), device=value_B.device) < share
    return unknown_like(value_B).where(hidden_B.view(-1, *[1] * (value_B.dim() - 1)), value_B)


def unknown_like(value_B: Tensor) -> Tensor:
    """So many unknown values: of nobody, of nothing."""
    return torch.full_like(value_B, torch.nan if value_B.is_floating_point() else UNKNOWN)


def fill_tables(
    encoders: nn.ModuleList, features: Mapping[str, tuple[Feature, NDArray[Any]]]
) -> None:
    """Copies a dataset's feature tables into the encoders' buffers."""
    for encoder in encoders:
        assert isinstance(encoder, FeatureEncoder)
        _, table = features[encoder.feature.name]
        encoder.get_buffer("table_O").copy_(torch.tensor(np.asarray(table)))
