"""Absolute positions, and the attention by which a history reads its user.

Legend: T tokens, B sequences, D width, S user tokens, H heads, E width of a head, P places.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.model.lookup import embed


def sinusoidal(places: int, size: int) -> Tensor:
    """Sines and cosines of the place, wavelengths from 2π to 10,000 · 2π (Vaswani et al. 2017, section 3.5)."""
    place_P1 = torch.arange(places, dtype=torch.float32)[:, None]
    rate_D = 10_000 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    table_PD = torch.zeros(places, size)
    table_PD[:, 0::2] = torch.sin(place_P1 * rate_D)
    table_PD[:, 1::2] = torch.cos(place_P1 * rate_D)[:, : size // 2]
    return table_PD


def item_scale(config: ModelConfig) -> float:
    """The standard deviation of a fresh item vector's entries.

    Under a dot product a long vector is a high score of its own, which rare items would keep: as in BERT, .02.
    """
    return config.hidden_size**-0.5 if config.cosine_head else 0.02


def position_embedding(config: ModelConfig) -> nn.Embedding | None:
    """A vector for each place of a sequence (the start token has one too); None where the configuration has none."""
    if config.position == "none":
        return None
    places = config.seq_length + 1
    if config.position == "learned":
        embedding = nn.Embedding(places, config.hidden_size)
        nn.init.normal_(embedding.weight, std=0.02)
        return embedding
    # As long as a fresh item vector: longer ones would drown it.
    table_PD = sinusoidal(places, config.hidden_size) * 2**0.5 * item_scale(config)
    return nn.Embedding.from_pretrained(table_PD, freeze=True)


class UserAttention(nn.Module):
    """Cross-attention: every token asks, the user's separate tokens and the request's context answer.

    The user's tokens are the same for the whole sequence, the context is each token's own request.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm = nn.LayerNorm(config.hidden_size)
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key_value = nn.Linear(config.hidden_size, 2 * config.hidden_size)
        self.project_out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, x_TD: Tensor, user_BSD: Tensor, context_TD: Tensor, row_T: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each token takes from its user `[T, D]`, and the weights `[T, S + 1, H]`, the context's last."""
        query_THE = self._heads(self.query(self.norm(x_TD)))
        of_user_TSD = embed(self.key_value(user_BSD), row_T)
        key_value = torch.cat([of_user_TSD, self.key_value(context_TD)[:, None]], dim=1)
        key_TSHE, value_TSHE = (self._heads(part) for part in key_value.chunk(2, dim=2))
        score_TSH = (query_THE[:, None] * key_TSHE).sum(3) / query_THE.shape[2] ** 0.5
        weight_TSH = score_TSH.softmax(1)
        mixed_THE = (weight_TSH[..., None] * value_TSHE).sum(1)
        return self.project_out(mixed_THE.flatten(1)), weight_TSH

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))
