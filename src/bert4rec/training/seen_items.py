"""Items that a token has seen, which are masked out of its softmax (docs/decisions/0008).

A causal token has seen the items up to itself; a token of the masked pass, the visible items of its
sequence.

Legend: S supervised tokens, s those of one piece, T tokens, B sequences, V item rows, I real items,
P pairs of token and seen item.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bert4rec.data.sequences import Sequences
from bert4rec.ids import FIRST_ITEM


@dataclass(frozen=True)
class SeenItems:
    """Seen items of each supervised token."""

    sequences: Sequences
    token_S: Tensor
    """Token indices of the supervised tokens."""
    causal: bool

    def mask_out(self, logit_sI: Tensor, piece: slice) -> None:
        """Set the logits of seen items to −∞, in place, for the tokens of one piece."""
        if logit_sI.device.type == "cpu":
            row_P, item_P = self.pairs(piece)
            logit_sI[row_P, item_P - FIRST_ITEM] = -torch.inf
        else:  # a GPU would wait for the number of pairs; comparing all items takes it less time
            logit_sI.masked_fill_(self.mask(piece, logit_sI.shape[1]), -torch.inf)

    def pairs(self, piece: slice) -> tuple[Tensor, Tensor]:
        """Rows within the piece and item rows `[P]`, one pair for each seen item of a token."""
        sequences, token_s = self.sequences, self.token_S[piece]
        start_s = token_s - sequences.position_T[token_s]
        length_s = self._seen_length(token_s)
        row_P = torch.repeat_interleave(length_s)
        shift_s = start_s - (length_s.cumsum(0) - length_s)
        index_P = torch.arange(len(row_P), device=row_P.device) + shift_s[row_P]
        item_P = sequences.item_T[index_P]
        real_P = item_P >= FIRST_ITEM
        return row_P[real_P], item_P[real_P]

    def mask(self, piece: slice, items: int) -> Tensor:
        """True where a token of the piece has seen a real item, `[s, I]`."""
        token_s = self.token_S[piece]
        first_sI = self._first_seen(items)[self.sequences.row_T[token_s]]
        return first_sI <= self._horizon_T[token_s, None]

    def _seen_length(self, token_s: Tensor) -> Tensor:
        """Number of tokens that each token sees, from the start of its sequence."""
        if self.causal:
            return self.sequences.position_T[token_s] + 1
        return self.sequences.length_B[self.sequences.row_T[token_s]]

    @property
    def _horizon_T(self) -> Tensor:
        """Last position that each token sees; 0 for all where they see the complete sequence."""
        position_T = self.sequences.position_T
        return position_T if self.causal else torch.zeros_like(position_T)

    def _first_seen(self, items: int) -> Tensor:
        """Smallest horizon that covers each real item, `[B, I]`; out of reach for absent items."""
        sequences = self.sequences
        size = len(sequences.user_B), FIRST_ITEM + items
        first_BV = sequences.item_T.new_full(size, torch.iinfo(torch.int64).max)
        cell_T = sequences.row_T * first_BV.shape[1] + sequences.item_T
        first_BV.view(-1).scatter_reduce_(0, cell_T, self._horizon_T, "amin")
        return first_BV[:, FIRST_ITEM:]
