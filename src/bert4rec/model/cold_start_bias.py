"""Item biases for users without events: their scores all come from nearly the same state.

A state of width D orders thousands of items for every history at once. It therefore orders the
most popular ones of an empty history less exactly than counting does. Here each of these items has
a bias for all cold-start users, and one for each value of their features. Biases are fitted after
training (`training.cold_start_bias`); until then they are zero.

Legend: B users, V item rows, I items that have a bias, X users without events,
F columns: one for all cold-start users, then one for each value of each feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.data.features import Kind
from bert4rec.ids import PAD
from bert4rec.model.table_sizes import FeatureSize

MAX_ITEMS = 1000
"""Items that have a bias; unused entries are of PAD. Shapes of a saved model depend on it."""
MAX_VALUES = 100
"""Features with more values have no biases. Shapes of a saved model depend on it."""


class ColdStartBias(nn.Module):
    """Biases of the most popular items for cold-start users, by value of categorical features."""

    def __init__(self, features: Sequence[FeatureSize]) -> None:
        super().__init__()
        self.features = [feature for feature in features if _has_biases(feature)]
        columns = 1 + sum(feature.rows for feature in self.features)
        self.register_buffer("item_I", torch.full((MAX_ITEMS,), PAD))
        self.register_buffer("bias_FI", torch.zeros(columns, MAX_ITEMS))

    def first_column_of_features(self) -> dict[str, int]:
        """Column of each feature's first value, the unknown one. Column 0 is of all users."""
        columns, column = {}, 1
        for feature in self.features:
            columns[feature.name] = column
            column += feature.rows
        return columns

    def indicators(self, values: Mapping[str, Tensor], users: int) -> Tensor:
        """Columns that apply to each user, `[users, F]` of 1 and 0, by the rows of their values."""
        device = self.get_buffer("bias_FI").device
        all_users = torch.ones(users, 1, device=device)
        by_feature = [
            F.one_hot(values[feature.name].to(device), feature.rows) for feature in self.features
        ]
        return torch.cat([all_users, *by_feature], dim=1)

    def add_to(self, score_BV: Tensor, user_X: Tensor, values: Mapping[str, Tensor]) -> None:
        """Add the biases, in place, to the scores of users `X` with these feature values."""
        item_I, bias_FI = self.get_buffer("item_I"), self.get_buffer("bias_FI")
        score_BV[user_X[:, None], item_I] += self.indicators(values, len(user_X)) @ bias_FI

    def reset(self) -> None:
        """Restore the untrained state, in which nothing is added."""
        self.get_buffer("item_I").fill_(PAD)
        self.get_buffer("bias_FI").zero_()


def _has_biases(feature: FeatureSize) -> bool:
    return feature.kind is Kind.CATEGORICAL and feature.rows <= MAX_VALUES
