"""What is read off a state: item scores, a rating, and what the user will like.

Legend: N states, D width, V item rows, R rating levels, X rating levels and the width of a factor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.data.features import Kind
from bert4rec.ids import PAD, UNKNOWN
from bert4rec.model.dropout import Dropout
from bert4rec.model.lookup import embed
from bert4rec.model.table_sizes import TableSizes

BIAS_SHRINKAGE = 0.1
"""The penalty of a bias for one of a vector: a bias is what many ratings agree on, a vector may fit any few."""


class ItemHead(nn.Module):
    """Scores of the whole catalogue, tied with the items' input vectors: `queries(state) @ keys(items).T + bias`."""

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        self.cosine, self.logit_scale = config.cosine_head, config.logit_scale
        self.bias_V = (
            None if config.cosine_head else nn.Parameter(torch.zeros(table_sizes.item_rows))
        )

    def output_states(self, state_ND: Tensor) -> Tensor:
        """The side of the states; the factor of the cosine is in it."""
        return F.normalize(state_ND, dim=1) * self.logit_scale if self.cosine else state_ND

    def output_embeddings(self, item_VD: Tensor) -> Tensor:
        """The side of the items, the same for every state."""
        return F.normalize(item_VD, dim=1) if self.cosine else item_VD


class RatingHead(nn.Module):
    """The distribution over the rating levels that a user in some state gives to a known item.

    What is read off state and item vector, and what `RatingFactors` knows of the user and the item by themselves.
    """

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        D = config.hidden_size
        self.read = nn.Sequential(
            nn.Linear(2 * D, D),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(D, table_sizes.rating_levels),
        )
        self.factors = (
            RatingFactors(config.rating_factor_size, table_sizes)
            if config.rating_factor_size
            else None
        )

    def forward(self, state_ND: Tensor, item_ND: Tensor, user_N: Tensor, item_N: Tensor) -> Tensor:
        """Logits `[N, R]`. The item is given by its vector and by its row, the user by a row: UNKNOWN if never seen."""
        logit_NR = self.read(torch.cat([state_ND, item_ND], dim=1))
        return logit_NR if self.factors is None else logit_NR + self.factors(user_N, item_N)


class RatingFactors(nn.Module):
    """Biased matrix factorisation (Koren, Bell and Volinsky 2009), in logits of the rating levels.

    Each user and each item has a bias of every level and a vector; the product of the two vectors moves all levels
    along one learned direction. Who is unknown has zeros.
    """

    def __init__(self, size: int, table_sizes: TableSizes) -> None:
        super().__init__()
        R = table_sizes.rating_levels
        self.user = nn.Embedding(table_sizes.user_rows, R + size, padding_idx=UNKNOWN)
        self.item = nn.Embedding(table_sizes.item_rows, R + size, padding_idx=PAD)
        self.direction_R = nn.Parameter(torch.linspace(-1, 1, R))
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.02)
            with torch.no_grad():
                table.weight[table.padding_idx] = 0

    def forward(self, user_N: Tensor, item_N: Tensor) -> Tensor:
        """Logits `[N, R]`."""
        user_NX, item_NX = _known(self.user, user_N), _known(self.item, item_N)
        R = len(self.direction_R)
        product_N1 = (user_NX[:, R:] * item_NX[:, R:]).sum(1, keepdim=True)
        return user_NX[:, :R] + item_NX[:, :R] + product_N1 * self.direction_R

    def square(self, user_N: Tensor, item_N: Tensor, is_rated_N: Tensor) -> Tensor:
        """What training keeps small: the mean over the ratings of the squares of user and item, biases less so.

        The vectors' part is times the direction's length, or they would shrink and it would grow in their place.
        """
        user_N, item_N = (
            user_N.masked_fill(~is_rated_N, UNKNOWN),
            item_N.masked_fill(~is_rated_N, PAD),
        )
        square_X = _known(self.user, user_N).square().sum(0) + _known(
            self.item, item_N
        ).square().sum(0)
        R = len(self.direction_R)
        square = BIAS_SHRINKAGE * square_X[:R].sum() + self.direction_R.norm() * square_X[R:].sum()
        return square / is_rated_N.sum().clamp(min=1)


def _known(table: nn.Embedding, row_N: Tensor) -> Tensor:
    """Rows of a table, zeros where nobody is known; nothing is learned there."""
    return embed(table.weight, row_N) * row_N.ne(table.padding_idx or 0)[:, None]


class PreferenceHead(nn.Module):
    """What the user will like next: a taste vector that scores items, and the values of each multi-valued feature.

    Its targets are the coming events' items and their genres, so there is no vector that satisfies it for everyone.
    """

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        D = config.hidden_size
        self.taste = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, D))
        multi_valued = [
            feature
            for feature in table_sizes.item_features
            if feature.kind is Kind.MULTI and feature.rows > 1
        ]
        self.values = nn.ModuleList(nn.Linear(D, feature.rows - 1) for feature in multi_valued)
        self.names = [feature.name for feature in multi_valued]

    def forward(self, state_ND: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The taste vectors `[N, D]`, and logits over the known values of each multi-valued feature, by name."""
        taste_ND = self.taste(state_ND)
        return taste_ND, {
            name: read(taste_ND) for name, read in zip(self.names, self.values, strict=True)
        }
