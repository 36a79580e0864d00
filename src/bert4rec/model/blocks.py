"""Transformer and gated blocks that a network stacks.

Legend: T tokens, D width, X query tokens: all of them, or the last of each sequence.
"""

from __future__ import annotations

from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.model.attention import GatedAttention, SoftmaxAttention
from bert4rec.model.attention_plan import AttentionPlan
from bert4rec.model.dropout import Dropout


class TransformerBlock(nn.Module):
    """Attention and feed-forward (Vaswani et al. 2017), pre-norm (Xiong et al. 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D = config.hidden_size
        inner = config.feed_forward_factor * D
        self.attention_norm = nn.LayerNorm(D)
        self.feed_forward_norm = nn.LayerNorm(D)
        self.attention = SoftmaxAttention(config)
        self.feed_forward = nn.Sequential(
            nn.Linear(D, inner), nn.GELU(), Dropout(config.dropout), nn.Linear(inner, D)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x_TD: Tensor, plan: AttentionPlan) -> Tensor:
        """Query tokens after attention and feed-forward, `[X, D]`."""
        attended_XD = self.attention(self.attention_norm(x_TD), plan)
        x_XD = plan.query_tokens(x_TD) + self.dropout(attended_XD)
        return x_XD + self.dropout(self.feed_forward(self.feed_forward_norm(x_XD)))


class GatedBlock(nn.Module):
    """HSTU's block (Zhai et al. 2024): pre-norm gated attention, without a feed-forward layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.attention = GatedAttention(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_TD: Tensor, plan: AttentionPlan) -> Tensor:
        """Query tokens after attention, `[X, D]`."""
        return plan.query_tokens(x_TD) + self.dropout(self.attention(self.norm(x_TD), plan))


BLOCKS: dict[str, type[TransformerBlock] | type[GatedBlock]] = {
    "transformer": TransformerBlock,
    "gated": GatedBlock,
}
"""Block classes by the setting `block`."""
