"""Output heads: item scores, rating levels and preferences from the states of the network.

Legend: X states of tokens or of users, N events to rate, B sequences, D width, V item rows,
R rating levels, E columns of a rating factor: a bias for each level, then a vector.
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
from bert4rec.model.table_sizes import FeatureSize, TableSizes

BIAS_PENALTY_SHARE = 0.1
"""L2 penalty of a bias relative to a vector's: a bias is what many ratings agree on."""


class ItemHead(nn.Module):
    """Scores of the whole catalogue; output embeddings are tied to the input (Press and Wolf 2017).

    `score_XV = output_states(state_XD) @ output_embeddings(item_VD).T + bias_V`
    """

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        self.cosine = config.cosine_head
        self.logit_scale = config.logit_scale
        self.bias_V = (
            None if config.cosine_head else nn.Parameter(torch.zeros(table_sizes.item_rows))
        )

    def output_states(self, state_XD: Tensor) -> Tensor:
        """Query vectors of the scores; those of a cosine head hold `logit_scale`."""
        return F.normalize(state_XD, dim=1) * self.logit_scale if self.cosine else state_XD

    def output_embeddings(self, item_VD: Tensor) -> Tensor:
        """Output item embeddings, the same for every state."""
        return F.normalize(item_VD, dim=1) if self.cosine else item_VD


class RatingHead(nn.Module):
    """Distribution over the rating levels that a user in some state gives to a known item.

    A perceptron reads the state and the item embedding. `RatingFactors` add what is particular to
    the user and the item.
    """

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        D = config.hidden_size
        self.perceptron = nn.Sequential(
            nn.Linear(2 * D, D),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(D, table_sizes.rating_levels),
        )
        size = config.rating_factor_size
        self.factors = RatingFactors(size, table_sizes) if size else None

    def forward(self, state_ND: Tensor, item_ND: Tensor, user_N: Tensor, item_N: Tensor) -> Tensor:
        """Logits `[N, R]`.

        The item is given by embedding and row, the user by row: UNKNOWN for a cold-start user.
        """
        logit_NR = self.perceptron(torch.cat([state_ND, item_ND], dim=1))
        return logit_NR if self.factors is None else logit_NR + self.factors(user_N, item_N)


class RatingFactors(nn.Module):
    """Biased matrix factorisation (Koren, Bell and Volinsky 2009) in logits of the rating levels.

    A user and an item each have a bias for every level, and a vector. The product of the two
    vectors moves all levels along one learned direction. Cold-start users and items have zeros.
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
        user_NE, item_NE = _factors_of(self.user, user_N), _factors_of(self.item, item_N)
        R = len(self.direction_R)
        product_N1 = (user_NE[:, R:] * item_NE[:, R:]).sum(1, keepdim=True)
        return user_NE[:, :R] + item_NE[:, :R] + product_N1 * self.direction_R

    def square_norm(self, user_N: Tensor, item_N: Tensor, is_rated_N: Tensor) -> Tensor:
        """Mean squared norm of the user's and item's factors over the ratings, the L2 penalty.

        The vectors' part is multiplied by the direction's length. Otherwise they would shrink and
        the direction would grow in their place.
        """
        user_N = user_N.masked_fill(~is_rated_N, UNKNOWN)
        item_N = item_N.masked_fill(~is_rated_N, PAD)
        user_square_E = _factors_of(self.user, user_N).square().sum(0)
        square_E = user_square_E + _factors_of(self.item, item_N).square().sum(0)
        R = len(self.direction_R)
        bias_square = BIAS_PENALTY_SHARE * square_E[:R].sum()
        square = bias_square + self.direction_R.norm() * square_E[R:].sum()
        return square / is_rated_N.sum().clamp(min=1)


def _factors_of(table: nn.Embedding, row_N: Tensor) -> Tensor:
    """Rows of a table; zeros without a gradient for the padding row."""
    return embed(table.weight, row_N) * row_N.ne(table.padding_idx or 0)[:, None]


class PreferenceHead(nn.Module):
    """Preferences over a user's upcoming events: a vector that scores items, and feature values.

    Targets are the items of the upcoming events and their genres, so that no one vector suits all
    users.
    """

    def __init__(self, config: ModelConfig, table_sizes: TableSizes) -> None:
        super().__init__()
        D = config.hidden_size
        self.preference = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, D))
        features = [feature for feature in table_sizes.item_features if _is_predicted(feature)]
        self.values = nn.ModuleList(nn.Linear(D, feature.rows - 1) for feature in features)
        self.names = [feature.name for feature in features]

    def forward(self, state_BD: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Preference vectors `[B, D]`, and logits of each feature's known values, by name."""
        preference_BD = self.preference(state_BD)
        layers = zip(self.names, self.values, strict=True)
        return preference_BD, {name: layer(preference_BD) for name, layer in layers}


def _is_predicted(feature: FeatureSize) -> bool:
    """True for multi-valued features that have any value besides the unknown one."""
    return feature.kind is Kind.MULTI and feature.rows > 1
