"""Position embeddings, and the cross-attention from a history's tokens to its user.

Legend: T tokens, B sequences, D width, J user tokens, H heads, E width of a head, L positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.model.lookup import embed


def sinusoidal(positions: int, size: int) -> Tensor:
    """Sines and cosines of the position, `[L, D]` (Vaswani et al. 2017, section 3.5).

    Wavelengths run from 2π to 10,000 · 2π.
    """
    position_L1 = torch.arange(positions, dtype=torch.float32)[:, None]
    frequency_D = 10_000 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    table_LD = torch.zeros(positions, size)
    table_LD[:, 0::2] = torch.sin(position_L1 * frequency_D)
    table_LD[:, 1::2] = torch.cos(position_L1 * frequency_D)[:, : size // 2]
    return table_LD


def item_init_std(config: ModelConfig) -> float:
    """Standard deviation of an untrained item embedding's entries.

    Under a dot product a long vector is a high score of its own, which rare items would keep. So it
    is .02, as in BERT (Devlin et al. 2019).
    """
    return config.hidden_size**-0.5 if config.cosine_head else 0.02


def position_embedding(config: ModelConfig) -> nn.Embedding | None:
    """Vector of each position, the start token's included; None without the setting."""
    if config.position == "none":
        return None
    positions = config.seq_length + 1
    if config.position == "learned":
        embedding = nn.Embedding(positions, config.hidden_size)
        nn.init.normal_(embedding.weight, std=0.02)
        return embedding
    # As long as an untrained item embedding: a longer vector would drown it.
    table_LD = sinusoidal(positions, config.hidden_size) * 2**0.5 * item_init_std(config)
    return nn.Embedding.from_pretrained(table_LD, freeze=True)


class UserAttention(nn.Module):
    """Cross-attention (Vaswani et al. 2017) from every token to its user's tokens and request time.

    User tokens are the same for a complete sequence; each token has its own request time.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D = config.hidden_size
        self.num_heads = config.num_heads
        self.norm = nn.LayerNorm(D)
        self.query = nn.Linear(D, D)
        self.key_value = nn.Linear(D, 2 * D)
        self.project_out = nn.Linear(D, D)

    def forward(
        self, x_TD: Tensor, user_BJD: Tensor, request_time_TD: Tensor, row_T: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mixed values `[T, D]`, and the weights `[T, J + 1, H]`, the request time's last."""
        query_THE = self._split_heads(self.query(self.norm(x_TD)))
        # Projected once per user, then repeated for the tokens of its sequence.
        user_key_value = embed(self.key_value(user_BJD), row_T)
        request_time_key_value = self.key_value(request_time_TD)[:, None]
        key_value = torch.cat([user_key_value, request_time_key_value], dim=1)
        key_TJHE, value_TJHE = map(self._split_heads, key_value.chunk(2, dim=2))
        score_TJH = (query_THE[:, None] * key_TJHE).sum(3) / query_THE.shape[2] ** 0.5
        weight_TJH = score_TJH.softmax(1)
        mixed_THE = (weight_TJH[..., None] * value_TJHE).sum(1)
        return self.project_out(mixed_THE.flatten(1)), weight_TJH

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))
