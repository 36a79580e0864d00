"""`Bert4Rec`: one set of weights that encodes histories in a causal and in a masked pass.

    item embeddings ─► tokens ─► user, by cross-attention ─► blocks ─► states ─► heads

Losses are left to `training.losses`, ranking of scores to `retrieval`.

Legend: T tokens, B sequences, S supervised tokens, N those with a rating, D width, V item rows,
R rating levels, I cold-start items, J user tokens, H attention heads, L positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bert4rec.config import ModelConfig, TaskWeights
from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.sequences import Sequences
from bert4rec.ids import FIRST_ITEM, NO_RATING, NO_TIME
from bert4rec.model.attention_bias import AttentionBias
from bert4rec.model.attention_plan import AttentionPlan, plan_attention, plan_last_token
from bert4rec.model.blocks import BLOCKS
from bert4rec.model.cold_start_bias import ColdStartBias
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY
from bert4rec.model.dropout import Dropout
from bert4rec.model.embeddings import UserAttention, item_init_std, position_embedding
from bert4rec.model.heads import ItemHead, PreferenceHead, RatingHead
from bert4rec.model.initialisation import initialise
from bert4rec.model.lookup import embed
from bert4rec.model.metadata import (
    ItemMetadata,
    UserTokens,
    load_feature_tables,
    randomly_unknown,
)
from bert4rec.model.predictions import Predictions
from bert4rec.model.table_sizes import TableSizes
from bert4rec.model.temporal import TemporalEmbedding

AttentionRecord = dict[str, list[Tensor]]
"""Recorded attention weights: `layers`, `[B, H, L, L]` each; `user`, `[T, J + 1, H]`."""


class Bert4Rec(nn.Module):
    """BERT4Rec (Sun et al. 2019) with a causal pass besides the masked one, metadata and time.

    The network is built for the tables of one dataset. A task of weight 0 has no head.
    """

    cold_item_I: Tensor | None
    """Rows of cold-start items of the training run; None if there are none."""

    def __init__(self, config: ModelConfig, table_sizes: TableSizes, tasks: TaskWeights) -> None:
        super().__init__()
        self.config, self.table_sizes = config, table_sizes
        D = config.hidden_size
        self.item = nn.Embedding(table_sizes.item_rows, D)
        nn.init.normal_(self.item.weight, std=item_init_std(config))
        self.metadata = _item_metadata(config, table_sizes)
        self.position = position_embedding(config)
        self.temporal = TemporalEmbedding(D) if config.temporal_embedding else None
        reads_ratings = config.rating_input and table_sizes.rating_levels
        self.rating = nn.Embedding(1 + table_sizes.rating_levels, D) if reads_ratings else None
        self.user = _user_tokens(config, table_sizes)
        crosses = config.user_features == "cross_attention"
        self.user_attention = UserAttention(config) if crosses else None
        self.request = TemporalEmbedding(D) if self.user is not None else None
        self.attention_bias = AttentionBias(config)
        self.blocks = nn.ModuleList(BLOCKS[config.block](config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(config.dropout)
        self.item_head = ItemHead(config, table_sizes)
        rates = table_sizes.rating_levels and tasks.rating_prediction
        self.rating_head = RatingHead(config, table_sizes) if rates else None
        self.preference_head = (
            PreferenceHead(config, table_sizes) if tasks.user_preference else None
        )
        user_features = table_sizes.user_features if self.user is not None else ()
        self.cold_start_bias = ColdStartBias(user_features)
        self.register_buffer("cold_item_I", None, persistent=False)
        self.register_buffer(COLD_ITEM_PENALTY, torch.zeros(()))
        initialise(self)

    @classmethod
    def for_dataset(
        cls, config: ModelConfig, dataset: PreparedDataset, tasks: TaskWeights
    ) -> Bert4Rec:
        """Untrained network that holds the dataset's feature tables."""
        network = cls(config, TableSizes.of(dataset), tasks)
        network.load_features(dataset)
        return network

    def load_features(self, dataset: PreparedDataset) -> None:
        """Copy the dataset's feature tables into the network's buffers."""
        if self.metadata is not None:
            load_feature_tables(self.metadata.features, dataset.item_features)
        if self.user is not None:
            load_feature_tables(self.user.features, dataset.user_features)

    @property
    def places_cold_start_items(self) -> bool:
        """True if the network was trained to place items by their metadata alone."""
        return self.metadata is not None and self.config.id_dropout > 0

    def forward(self, batch: Batch) -> Predictions:
        """Predictions for one training batch."""
        keep_id_V = self._draw_id_dropout()
        item_VD = self.item_embeddings(keep_id_V)
        causal_TD = self._encode_pass(batch.causal, item_VD, causal=True)
        masked_TD = self._encode_pass(batch.masked, item_VD, causal=False)
        causal_SD = _at_supervised(causal_TD, batch.causal)
        masked_SD = _at_supervised(masked_TD, batch.masked)
        # Ratings and preferences are read off the causal states where there are any.
        state_TD = masked_TD if causal_TD is None else causal_TD
        state_SD = masked_SD if causal_SD is None else causal_SD
        preference_BD, values = self._preferences(state_TD, batch.upcoming)
        rating_NR, square_norm = self._ratings(state_SD, batch.causal or batch.masked, item_VD)
        bias_V = self.item_head.bias_V
        return Predictions(
            output_VD=self.item_head.output_embeddings(item_VD),
            bias_V=bias_V if bias_V is None or keep_id_V is None else bias_V * keep_id_V,
            cold_item_I=self.cold_item_I,
            causal_SD=None if causal_SD is None else self.item_head.output_states(causal_SD),
            masked_SD=None if masked_SD is None else self.item_head.output_states(masked_SD),
            preference_BD=preference_BD,
            values=values,
            rating_NR=rating_NR,
            rating_factor_square_norm=square_norm,
        )

    def item_embeddings(self, keep_id_V: Tensor | None = None) -> Tensor:
        """Embedding of every item row, `[V, D]`: that of its id, if kept, plus its metadata's."""
        id_VD = self.item.weight if keep_id_V is None else self.item.weight * keep_id_V[:, None]
        return id_VD if self.metadata is None else id_VD + self.metadata()

    def encode(
        self,
        sequences: Sequences,
        item_VD: Tensor,
        causal: bool,
        record: AttentionRecord | None = None,
        token_weight_T: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """State of every token, `[T, D]`.

        `record` collects attention weights. `token_weight_T`, from 0 to 1, scales the tokens:
        gradient attributions differentiate it. With `last` the states are those of each sequence's
        last token, `[B, D]`, and the last block computes no others.
        """
        x_TD = self._embed_tokens(sequences, item_VD)
        x_TD = x_TD if token_weight_T is None else x_TD * token_weight_T[:, None]
        x_TD = self.dropout(x_TD)
        if self.user is not None and self.request is not None:
            request_time_TD = self.request(sequences.request_time_T, sequences.time_T)
            user_TD = self._attend_user(self.user, request_time_TD, x_TD, sequences, record)
            x_TD = x_TD + self.dropout(user_TD)
        bias = self.attention_bias
        # All layers attend alike: one plan serves them all.
        plan = plan_attention(sequences, causal, bias, record is not None)
        last_plan = plan_last_token(sequences, causal, bias, plan.rectangles) if last else plan
        *blocks, last_block = self.blocks
        for block in blocks:
            x_TD = self._apply_block(block, x_TD, plan)
        x_TD = self._apply_block(last_block, x_TD, last_plan)
        if record is not None and plan.weights is not None:
            record["layers"] = list(chain.from_iterable(plan.weights))
        return self.norm(x_TD)

    def _encode_pass(
        self, supervised: Supervised | None, item_VD: Tensor, causal: bool
    ) -> Tensor | None:
        return None if supervised is None else self.encode(supervised.sequences, item_VD, causal)

    def _draw_id_dropout(self) -> Tensor | None:
        """True for items whose id is kept in this step; the others are left to their metadata."""
        if not self.training or not self.places_cold_start_items:
            return None
        random_V = torch.rand(len(self.item.weight), device=self.item.weight.device)
        keep_id_V = random_V >= self.config.id_dropout
        keep_id_V[:FIRST_ITEM].fill_(True)  # PAD and MASK have no metadata to fall back on
        return keep_id_V

    def _embed_tokens(self, sequences: Sequences, item_VD: Tensor) -> Tensor:
        """Sum of the vectors of item, position, time and rating, `[T, D]`."""
        x_TD = embed(item_VD, sequences.item_T)
        if self.position is not None:
            x_TD = x_TD + embed(self.position.weight, sequences.position_T)
        if self.temporal is not None:
            x_TD = x_TD + self.temporal(sequences.time_T, _previous_time(sequences))
        if self.rating is not None:
            rating_TD = embed(self.rating.weight, sequences.rating_T)
            x_TD = x_TD + rating_TD * (sequences.rating_T != NO_RATING)[:, None]
        return x_TD

    def _attend_user(
        self,
        user: UserTokens,
        request_time_TD: Tensor,
        x_TD: Tensor,
        sequences: Sequences,
        record: AttentionRecord | None,
    ) -> Tensor:
        """Vector of the user and the request time for each token, `[T, D]`."""
        dropout = self.config.user_dropout if self.training else 0.0
        user_BJD = user(sequences.user_B, sequences.user_features, dropout)
        if self.user_attention is None:
            return embed(user_BJD.sum(1), sequences.row_T) + request_time_TD
        user_TD, weight_TJH = self.user_attention(x_TD, user_BJD, request_time_TD, sequences.row_T)
        if record is not None:
            record["user"] = [weight_TJH]
        return user_TD

    def _apply_block(self, block: nn.Module, x_TD: Tensor, plan: AttentionPlan) -> Tensor:
        if self.config.gradient_checkpointing and self.training:
            return checkpoint(block, x_TD, plan, use_reentrant=False)
        return block(x_TD, plan)

    def _ratings(
        self, state_SD: Tensor | None, supervised: Supervised | None, item_VD: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Rating logits `[N, R]`, and the mean squared norm of the rating factors.

        In training a share of the users is unknown to the factors.
        """
        if self.rating_head is None or state_SD is None or supervised is None:
            return None, None
        sequences, rated_N = supervised.sequences, supervised.rated_N
        item_N = supervised.item_S[rated_N]
        is_rated_N = supervised.rating_S[rated_N] != NO_RATING
        user_B = randomly_unknown(
            sequences.user_B, self.config.id_dropout if self.training else 0.0
        )
        user_N = user_B[sequences.row_T[supervised.token_S[rated_N]]]
        state_ND, item_ND = embed(state_SD, rated_N), embed(item_VD, item_N)
        rating_NR = self.rating_head(state_ND, item_ND, user_N, item_N)
        factors = self.rating_head.factors
        if factors is None:
            return rating_NR, None
        return rating_NR, factors.square_norm(user_N, item_N, is_rated_N)

    def _preferences(
        self, state_TD: Tensor | None, upcoming: UpcomingEvents | None
    ) -> tuple[Tensor | None, Mapping[str, Tensor] | None]:
        """Query vectors of the upcoming-item scores `[B, D]`, and logits of feature values."""
        if self.preference_head is None or state_TD is None or upcoming is None:
            return None, None
        # Detached: the task trains its own head alone (decision 15), here and in its loss.
        state_BD = embed(state_TD.detach(), upcoming.token_B)
        preference_BD, values = self.preference_head(state_BD)
        return self.item_head.output_states(preference_BD), values


def _item_metadata(config: ModelConfig, table_sizes: TableSizes) -> ItemMetadata | None:
    features = table_sizes.item_features
    if not config.item_features or not features:
        return None
    return ItemMetadata(
        features, config.feature_embedding_size, config.hidden_size, table_sizes.item_rows
    )


def _user_tokens(config: ModelConfig, table_sizes: TableSizes) -> UserTokens | None:
    if config.user_features == "none":
        return None
    return UserTokens(
        table_sizes.user_features,
        config.feature_embedding_size,
        config.user_embedding_size,
        config.hidden_size,
        table_sizes.user_rows,
    )


def _at_supervised(state_TD: Tensor | None, supervised: Supervised | None) -> Tensor | None:
    """States of the supervised tokens, `[S, D]`; None for a pass that is off."""
    if state_TD is None or supervised is None:
        return None
    return embed(state_TD, supervised.token_S)


def _previous_time(sequences: Sequences) -> Tensor:
    """Time of the token before each one, NO_TIME for the first of a sequence."""
    previous_T = sequences.time_T.roll(1)
    return previous_T.masked_fill(sequences.position_T == 0, NO_TIME)
