"""What is added to the scores of people of whom no event is known: all of them are asked from one and the same place.

A state of width D orders thousands of items for every history at once, and so orders the most popular ones of nobody's
history less exactly than counting does. Here each of these items has a bias of its own for cold_start_bias, and one for each
value of their features. It is found after training (`training.cold_start_bias`); until then it is zero.

Legend: B users, X the items that have a bias, P columns: everybody's, and one for each value of each feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.data.features import Kind
from bert4rec.ids import PAD
from bert4rec.model.table_sizes import FeatureSize

ITEMS = 1000
"""So many items have a bias; where there are fewer, the rest are of PAD. A saved model has as many places."""
VALUES = 100
"""A feature with more values speaks through its vectors alone. What is saved has its shape by this."""


class ColdStartBias(nn.Module):
    """A bias of the most chosen items for everybody new, and for each value of their categorical features."""

    def __init__(self, features: Sequence[FeatureSize]) -> None:
        super().__init__()
        self.features = [of for of in features if of.kind is Kind.CATEGORICAL and of.rows <= VALUES]
        columns = 1 + sum(of.rows for of in self.features)
        self.register_buffer("item_I", torch.full((ITEMS,), PAD))
        self.register_buffer("bias_FI", torch.zeros(columns, ITEMS))

    def first_column_of_features(self) -> dict[str, int]:
        """The column of each feature's first value, the unknown one; that of everybody is 0."""
        found, column = {}, 1
        for of in self.features:
            found[of.name] = column
            column += of.rows
        return found

    def columns(self, values: Mapping[str, Tensor], rows: int) -> Tensor:
        """Which columns speak for each of so many users, `[B, P]`, 1 or 0, by the value rows of their features."""
        everybody_B1 = torch.ones(rows, 1, device=self.get_buffer("bias_FI").device)
        own = [F.one_hot(values[of.name].to(everybody_B1.device), of.rows) for of in self.features]
        return torch.cat([everybody_B1, *own], dim=1)

    def add_to(self, score_BV: Tensor, of_B: Tensor, values: Mapping[str, Tensor]) -> None:
        """Adds the biases, in place, to the scores of some users, who have these value rows."""
        item_I, bias_FI = self.get_buffer("item_I"), self.get_buffer("bias_FI")
        score_BV[of_B[:, None], item_I] += self.columns(values, len(of_B)) @ bias_FI

    def reset(self) -> None:
        """As before training: nothing is added."""
        self.get_buffer("item_I").fill_(PAD)
        self.get_buffer("bias_FI").zero_()
