"""`Bert4Rec`: one set of weights that reads histories forwards (causal) and from both sides (masked).

    item vectors ─► tokens ─► the user, by cross-attention ─► blocks ─► states ─► heads

What the answers cost is left to `training.losses`, what becomes of scores to `ranking`.

Legend: T tokens, B sequences, S supervised tokens, N rated ones, D width, V item rows, R rating levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bert4rec.config import ModelConfig, TaskWeights
from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.sequences import Sequences
from bert4rec.ids import FIRST_ITEM, NO_RATING, NO_TIME, PAD, UNKNOWN
from bert4rec.model.attention import AttentionBias, Look, last_look, look
from bert4rec.model.blocks import BLOCKS
from bert4rec.model.cold_start_bias import ColdStartBias
from bert4rec.model.dropout import Dropout
from bert4rec.model.embeddings import UserAttention, item_scale, position_embedding
from bert4rec.model.heads import ItemHead, PreferenceHead, RatingHead
from bert4rec.model.lookup import embed
from bert4rec.model.metadata import ItemMetadata, UserTokens, fill_tables, hidden
from bert4rec.model.table_sizes import TableSizes
from bert4rec.model.temporal import TemporalEmbedding

USER_ROW_WEIGHTS = ("user.user.weight", "rating_head.factors.user.weight")
ITEM_ROW_WEIGHTS = ("item.weight", "item_head.bias_V", "rating_head.factors.item.weight")
"""The weights that have a row for each user, and for each item."""
COLD_ITEM_PENALTY = "cold_item_penalty"
"""The buffer that holds what is taken from the scores of new items."""


@dataclass(frozen=True)
class Predictions:
    """What the heads say about one batch. Item scores stay a product of two factors: the whole is never in memory."""

    output_VD: Tensor
    """The items' side of every score."""
    bias_V: Tensor | None
    cold_item_I: Tensor | None = None
    """Rows of new items: in training they are no candidates."""
    causal_SD: Tensor | None = None
    """The states' side of the next-item scores."""
    masked_SD: Tensor | None = None
    """The states' side of the masked-item scores."""
    preference_BD: Tensor | None = None
    """The states' side of the coming-items scores."""
    values: Mapping[str, Tensor] | None = None
    """Logits over the coming events' feature values."""
    rating_NR: Tensor | None = None
    """Logits over the rating levels, for the supervised tokens that are asked for a rating."""
    rating_factor_square_norm: Tensor | None = None
    """The mean square of the rating head's own vectors and biases behind them."""


class Bert4Rec(nn.Module):
    """The network of one configuration over one catalogue and one set of users. A task of weight 0 gets no head."""

    def __init__(self, config: ModelConfig, table_sizes: TableSizes, tasks: TaskWeights) -> None:
        super().__init__()
        self.config, self.table_sizes = config, table_sizes
        D = config.hidden_size
        self.item = nn.Embedding(table_sizes.item_rows, D)
        nn.init.normal_(self.item.weight, std=item_scale(config))
        self.metadata = (
            ItemMetadata(table_sizes.item_features, config.feature_size, D, table_sizes.item_rows)
            if config.item_features and table_sizes.item_features
            else None
        )
        self.position = position_embedding(config)
        self.temporal = TemporalEmbedding(D) if config.temporal_embedding else None
        self.rating = (
            nn.Embedding(1 + table_sizes.rating_levels, D)
            if config.rating_input and table_sizes.rating_levels
            else None
        )
        self.user = (
            UserTokens(
                table_sizes.user_features,
                config.feature_size,
                config.user_size,
                D,
                table_sizes.user_rows,
            )
            if config.user_features != "none"
            else None
        )
        self.user_attention = (
            UserAttention(config) if config.user_features == "cross_attention" else None
        )
        self.request = TemporalEmbedding(D) if self.user is not None else None
        self.attention_bias = AttentionBias(config)
        self.blocks = nn.ModuleList(BLOCKS[config.block](config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(config.dropout)
        self.item_head = ItemHead(config, table_sizes)
        self.rating_head = (
            RatingHead(config, table_sizes)
            if table_sizes.rating_levels and tasks.rating_prediction
            else None
        )
        self.preference_head = (
            PreferenceHead(config, table_sizes) if tasks.user_preference else None
        )
        self.cold_start_bias = ColdStartBias(
            table_sizes.user_features if self.user is not None else ()
        )
        self.register_buffer("cold_item_I", None, persistent=False)
        self.register_buffer(COLD_ITEM_PENALTY, torch.zeros(()))
        self._start_small()

    @classmethod
    def for_dataset(
        cls, config: ModelConfig, dataset: PreparedDataset, tasks: TaskWeights
    ) -> Bert4Rec:
        """A fresh network that holds the dataset's feature tables."""
        network = cls(config, TableSizes.of(dataset), tasks)
        network.read_features(dataset)
        return network

    def read_features(self, dataset: PreparedDataset) -> None:
        """Copies the dataset's feature tables into the network's own."""
        if self.metadata is not None:
            fill_tables(self.metadata.features, dataset.item_features)
        if self.user is not None:
            fill_tables(self.user.features, dataset.user_features)

    @property
    def places_cold_start_items(self) -> bool:
        """Whether it has learned what to make of an item of which only the metadata is known."""
        return self.metadata is not None and self.config.id_dropout > 0

    def score_offset_V(self) -> Tensor | None:
        """What is added to the products of states and items: biases, and less for new items, whose rows are zeros."""
        bias_V, is_new_V = self.item_head.bias_V, (self.item.weight == 0).all(1)
        if not self.places_cold_start_items or not is_new_V[FIRST_ITEM:].any():
            return bias_V
        return (0 if bias_V is None else bias_V) - is_new_V * self.get_buffer(COLD_ITEM_PENALTY)

    @torch.no_grad()
    def init_item_bias(self, count_V: Tensor) -> None:
        """Gives the item biases, where there are any, what is known before training: how often each item is chosen.

        A bias is the logarithm of its item's count; 0 is that of a typical item, and of one that is never chosen.
        """
        if self.item_head.bias_V is not None:
            chosen_V = count_V > 0
            log_V = count_V.clamp(min=1).log()
            self.item_head.bias_V.copy_((log_V - log_V[chosen_V].mean()) * chosen_V)

    @torch.no_grad()
    def reset_cold_rows(self, user_X: Tensor, item_X: Tensor) -> None:
        """Makes cold_users of users and new items of items, of which nothing trains.

        The users' rows become those of the unknown user. The items' become zero, so that their metadata alone speaks,
        and they are no candidates in training; a network that knows items by their ids alone keeps them as they are,
        and learns not to list them.
        """
        tables, device = dict(self.named_parameters()), self.item.weight.device
        for table in (tables[name] for name in USER_ROW_WEIGHTS if name in tables):
            table[user_X.to(device)] = table[UNKNOWN].clone()
        if self.places_cold_start_items and len(item_X):
            self.cold_item_I = item_X.to(device)
            for table in (tables[name] for name in ITEM_ROW_WEIGHTS if name in tables):
                table[self.cold_item_I] = 0

    def forward(self, batch: Batch) -> Predictions:
        """The answers to one training batch."""
        shown_V, bias_V = self._shown(), self.item_head.bias_V
        item_VD = self.item_embeddings(shown_V)
        states = {
            name: self.encode(read.sequences, item_VD, causal=name == "causal")
            for name, read in (("causal", batch.causal), ("masked", batch.masked))
            if read is not None
        }
        asked = {name: embed(states[name], getattr(batch, name).token_S) for name in states}
        # The rating and the preference are read off the causal states where there are any.
        reading = "causal" if "causal" in states else "masked"
        preference_BD, values = self._preference(states[reading], batch.upcoming)
        rating_NR, rating_factor_square_norm = self._ratings(
            asked[reading], getattr(batch, reading), item_VD
        )
        return Predictions(
            output_VD=self.item_head.output_embeddings(item_VD),
            bias_V=bias_V if bias_V is None or shown_V is None else bias_V * shown_V,
            cold_item_I=self.cold_item_I,
            causal_SD=self.item_head.output_states(asked["causal"]) if "causal" in asked else None,
            masked_SD=self.item_head.output_states(asked["masked"]) if "masked" in asked else None,
            preference_BD=preference_BD,
            values=values,
            rating_NR=rating_NR,
            rating_factor_square_norm=rating_factor_square_norm,
        )

    def item_embeddings(self, shown_V: Tensor | None = None) -> Tensor:
        """The vector of every item row, `[V, D]`: its id's, where it is shown, and its metadata's."""
        id_VD = self.item.weight if shown_V is None else self.item.weight * shown_V[:, None]
        return id_VD if self.metadata is None else id_VD + self.metadata()

    def _shown(self) -> Tensor | None:
        """Whether each item is known by its id: in training some are as new items, of which metadata alone speaks."""
        if not self.training or not self.places_cold_start_items:
            return None
        shown_V = (
            torch.rand(len(self.item.weight), device=self.item.weight.device)
            >= self.config.id_dropout
        )
        shown_V[:FIRST_ITEM].fill_(True)
        return shown_V

    def encode(
        self,
        sequences: Sequences,
        item_VD: Tensor,
        causal: bool,
        record: dict[str, list[Tensor]] | None = None,
        shown_T: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """The state of every token, `[T, D]`. `record` collects attention weights for those who want to look.

        `shown_T` is how much of each token is shown, from 0 to 1: what explanations by gradients differentiate. With
        `last` the states are those of each sequence's last token, `[B, D]`: the last block computes no others.
        """
        x_TD = self._tokens(sequences, item_VD)
        x_TD = self.dropout(x_TD if shown_T is None else x_TD * shown_T[:, None])
        if self.user is not None and self.request is not None:
            context_TD = self.request(sequences.request_time_T, sequences.time_T)
            x_TD = x_TD + self.dropout(
                self._of_user(self.user, context_TD, x_TD, sequences, record)
            )
        at = look(sequences, causal, self.attention_bias, record is not None)
        *others, final = self.blocks
        for block in others:
            x_TD = self._through(block, x_TD, at)
        x_TD = self._through(
            final, x_TD, last_look(sequences, causal, self.attention_bias, at.grids) if last else at
        )
        if record is not None and at.record is not None:
            record["layers"] = [weight for kept in at.record for weight in kept]
        return self.norm(x_TD)

    def _tokens(self, sequences: Sequences, item_VD: Tensor) -> Tensor:
        """What happened, when, how it was liked, and at which place."""
        x_TD = embed(item_VD, sequences.item_T)
        if self.position is not None:
            x_TD = x_TD + embed(self.position.weight, sequences.position_T)
        if self.temporal is not None:
            x_TD = x_TD + self.temporal(sequences.time_T, _time_before(sequences))
        if self.rating is not None:
            x_TD = (
                x_TD
                + embed(self.rating.weight, sequences.rating_T)
                * (sequences.rating_T != NO_RATING)[:, None]
            )
        return x_TD

    def _of_user(
        self,
        user: UserTokens,
        context_TD: Tensor,
        x_TD: Tensor,
        sequences: Sequences,
        record: dict[str, list[Tensor]] | None,
    ) -> Tensor:
        """What each token learns of its user and of the moment it is asked."""
        hide = self.config.user_dropout if self.training else 0.0
        user_BSD = user(sequences.user_B, sequences.user_features, hide)
        if self.user_attention is None:
            return embed(user_BSD.sum(1), sequences.row_T) + context_TD
        taken_TD, weight_TSH = self.user_attention(x_TD, user_BSD, context_TD, sequences.row_T)
        if record is not None:
            record["user"] = [weight_TSH]
        return taken_TD

    def _through(self, block: nn.Module, x_TD: Tensor, at: Look) -> Tensor:
        if self.config.gradient_checkpointing and self.training:
            return checkpoint(block, x_TD, at, use_reentrant=False)
        return block(x_TD, at)

    def _ratings(
        self, state_SD: Tensor, read: Supervised, item_VD: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Logits, and the mean square of the head's own factors; in training some users are unknown to them."""
        if self.rating_head is None:
            return None, None
        item_N, is_rated_N = read.item_S[read.rated_N], read.rating_S[read.rated_N] != NO_RATING
        user_B = hidden(read.sequences.user_B, self.config.id_dropout if self.training else 0.0)
        user_N = user_B[read.sequences.row_T[read.token_S[read.rated_N]]]
        logit_NR = self.rating_head(
            embed(state_SD, read.rated_N), embed(item_VD, item_N), user_N, item_N
        )
        if self.rating_head.factors is None:
            return logit_NR, None
        return logit_NR, self.rating_head.factors.square(user_N, item_N, is_rated_N)

    def _preference(
        self, state_TD: Tensor, coming: UpcomingEvents | None
    ) -> tuple[Tensor | None, Mapping[str, Tensor] | None]:
        if coming is None or self.preference_head is None:
            return None, None
        # Read as they are: the task teaches its own head alone (decision 15), here and in its loss.
        preference_BD, values = self.preference_head(embed(state_TD.detach(), coming.token_B))
        return self.item_head.output_states(preference_BD), values

    def _start_small(self) -> None:
        """Projections start at half their usual size where they add to the residual stream, so that depth is stable."""
        for name, parameter in self.named_parameters():
            if name.endswith("project_out.weight"):
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias") and parameter.dim() == 1 and "norm" not in name:
                nn.init.zeros_(parameter)
        for temporal in (self.temporal, self.request):
            for table in temporal.children() if temporal is not None else ():
                nn.init.normal_(table.weight, std=0.02)  # type: ignore[arg-type]
        if self.rating is not None:
            nn.init.normal_(self.rating.weight, std=0.02)
        with torch.no_grad():
            self.item.weight[PAD] = 0


def _time_before(sequences: Sequences) -> Tensor:
    """The time of the token before each one, NO_TIME for the first of a sequence."""
    before_T = sequences.time_T.roll(1)
    return before_T.masked_fill(sequences.position_T == 0, NO_TIME)
