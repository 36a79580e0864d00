"""The two blocks a network is stacked from. Legend: T tokens, X tokens that ask, D width."""

from __future__ import annotations

from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.model.attention import GatedAttention, Look, SoftmaxAttention
from bert4rec.model.dropout import Dropout


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed-forward (Vaswani et al. 2017; norm first as in Xiong et al. 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, wide = config.hidden_size, config.feed_forward_factor * config.hidden_size
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attention = SoftmaxAttention(config)
        self.feed_forward = nn.Sequential(
            nn.Linear(D, wide), nn.GELU(), Dropout(config.dropout), nn.Linear(wide, D)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x_TD: Tensor, at: Look) -> Tensor:
        """The tokens that ask, after looking at the others, then at themselves."""
        x_XD = at.asking(x_TD) + self.dropout(self.attention(self.attention_norm(x_TD), at))
        return x_XD + self.dropout(self.feed_forward(self.feed_forward_norm(x_XD)))


class GatedBlock(nn.Module):
    """HSTU's block (Zhai et al. 2024): pre-norm gated attention, and nothing else."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.attention = GatedAttention(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_TD: Tensor, at: Look) -> Tensor:
        """The tokens that ask, after looking at the others."""
        return at.asking(x_TD) + self.dropout(self.attention(self.norm(x_TD), at))


BLOCKS: dict[str, type[TransformerBlock] | type[GatedBlock]] = {
    "transformer": TransformerBlock,
    "gated": GatedBlock,
}
