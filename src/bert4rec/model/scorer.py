"""`NetworkScorer`: scores, ratings and preferences of a trained network for any `Histories`.

Every score of a network that is reported or served passes through here. Ranking is left to
`retrieval`.

Legend: B users, T tokens, V item rows, D width, R rating levels, I cold-start or chosen items,
N events of one user's history, J user tokens, H attention heads, L positions, X item features.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bert4rec.config import RunConfig
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import Sequences, causal_sequences, masked_sequences, user_tensors
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.cold_start_rows import score_offset
from bert4rec.model.network import AttentionRecord, Bert4Rec

_MAKE_SEQUENCES = {"causal": causal_sequences, "masked": masked_sequences}


def scoring_passes(config: RunConfig) -> tuple[str, ...]:
    """Passes whose scores are averaged: "causal", "masked", or both.

    Raises ConfigError for a pass that was not trained.
    """
    scoring, tasks = config.model.scoring, config.training.task_weights
    if scoring == "auto":
        return ("causal",) if tasks.next_item else ("masked",)
    passes = ("causal", "masked") if scoring == "average" else (scoring,)
    weight_of = {"causal": tasks.next_item, "masked": tasks.item_prediction}
    for name in passes:
        if not weight_of[name]:
            raise ConfigError(
                f"scoring {scoring!r} needs the {name} pass, whose task has weight 0; take 'auto'"
            )
    return passes


class NetworkScorer:
    """Scores of a trained network.

    Item embeddings are computed once: the network's weights must not change while it is in use.

        scorer = NetworkScorer(network, config)
        score_BV = scorer.score(dataset.histories(user_B, stop_B))
    """

    def __init__(self, network: Bert4Rec, config: RunConfig, name: str = "bert4rec") -> None:
        self.network = network.eval()
        self.config = config
        self.passes = scoring_passes(config)
        self.name = name
        self._latest: tuple[Histories | None, list[Tensor]] = (None, [])

    @property
    def reads_request_time(self) -> bool:
        """True if the network was trained with request times."""
        return self.network.config.request_time != "never"

    @property
    def seq_length(self) -> int:
        """Number of most recent events of a history that are read."""
        return self.network.config.seq_length

    @property
    def predicts_ratings(self) -> bool:
        """True if the network was trained to predict ratings."""
        return self.network.rating_head is not None

    @torch.no_grad()
    def with_shuffled_weights(self, seed: int) -> NetworkScorer:
        """Scorer of a network without knowledge: the entries of each weight are permuted.

        It is the control of model parameter randomisation (Adebayo et al. 2018).
        """
        network, generator = deepcopy(self.network), torch.Generator().manual_seed(seed)
        for weight in network.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
        network.cold_start_bias.reset()
        return NetworkScorer(network, self.config, f"{self.name}, weights shuffled")

    @cached_property
    @torch.no_grad()
    def item_VD(self) -> Tensor:
        """Embeddings of all item rows."""
        return self.network.item_embeddings().detach()

    @cached_property
    @torch.no_grad()
    def output_VD(self) -> Tensor:
        """Output embeddings of all item rows."""
        return self.network.item_head.output_embeddings(self.item_VD)

    @cached_property
    @torch.no_grad()
    def score_offset_V(self) -> Tensor | None:
        """Score offset of each item: item bias, less the penalty of a cold-start item."""
        return score_offset(self.network)

    @cached_property
    @torch.no_grad()
    def metadata_output_VD(self) -> Tensor:
        """Output embeddings of all item rows as if all were cold-start items."""
        if self.network.metadata is None:
            raise DataError(
                f"{self.name}: reads no item features; without its id it knows nothing of an item"
            )
        return self.network.item_head.output_embeddings(self.network.metadata())

    @torch.no_grad()
    def user_states(self, histories: Histories) -> list[Tensor]:
        """State of each user's last token, `[B, D]`, one tensor for each scoring pass.

        States of the latest histories are kept: their ratings often follow their scores.
        """
        latest, states = self._latest
        if latest is not histories:
            states = [self._encode_last(histories, name) for name in self.passes]
            self._latest = histories, states
        return states

    @torch.no_grad()
    def score(self, histories: Histories) -> Tensor:
        """Scores of every item row, `[B, V]`; the columns of PAD and MASK mean nothing."""
        score_BV = self.score_without_cold_start_bias(histories)
        without_events = np.flatnonzero(histories.length_B == 0)
        if len(without_events):
            values = self.user_feature_values(histories.take(without_events))
            rows = torch.from_numpy(without_events).to(score_BV.device)
            self.network.cold_start_bias.add_to(score_BV, rows, values)
        return score_BV

    @torch.no_grad()
    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Scores `[B, V]` in which a history without events is scored as any other is."""
        states = self.user_states(histories)
        return self._scores(states, self.output_VD, self.score_offset_V).float()

    @torch.no_grad()
    def score_by_metadata(self, histories: Histories) -> Tensor:
        """Scores `[B, V]` of the items as if all were cold-start items, without the penalty.

        Raises DataError for a network that reads no metadata.
        """
        return self._scores(self.user_states(histories), self.metadata_output_VD, None).float()

    def score_with_event_weights(self, histories: Histories, item: int, weight_N: Tensor) -> Tensor:
        """One user's score of an item with each event's token scaled by a weight from 0 to 1.

        `weight_N` is of the whole history, oldest first. The score can be differentiated by it.
        """
        states = []
        for name in self.passes:
            sequences, causal = self._sequences(histories, name)
            # Start token and MASK keep weight 1; of a long history the last events alone are read.
            is_event_T = sequences.item_T >= FIRST_ITEM
            read = len(weight_N) - int(is_event_T.sum())
            weight_T = torch.ones(len(is_event_T), device=is_event_T.device)
            weight_T = weight_T.masked_scatter(is_event_T, weight_N[read:])
            state_BD = self.network.encode(
                sequences, self.item_VD, causal, token_weight_T=weight_T, last=True
            )
            states.append(state_BD)
        return self._scores(states, self.output_VD, self.score_offset_V)[0, item]

    def user_feature_values(self, histories: Histories) -> dict[str, Tensor]:
        """Users' value rows, or numbers, of each feature that the network reads, by name."""
        if self.network.user is None:
            return {}
        user_B, given = user_tensors(histories)
        device = self.item_VD.device
        given = {name: value.to(device) for name, value in given.items()}
        return self.network.user.feature_values(user_B.to(device), given)

    @torch.no_grad()
    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """Probability of each rating level if each user rates the item next, `[B, R]`.

        A single history may be combined with any number of items.
        """
        head = self.network.rating_head
        if head is None:
            raise DataError("this model was trained without ratings and predicts none")
        item_B = item_B.to(self.item_VD.device)
        rows = torch.from_numpy(histories.user_B.astype(np.int64))
        user_B = rows.to(item_B.device).expand(len(item_B))
        probabilities = []
        for state_BD in self.user_states(histories):
            state_BD = state_BD.expand(len(item_B), -1)
            probabilities.append(head(state_BD, self.item_VD[item_B], user_B, item_B).softmax(1))
        return torch.stack(probabilities).mean(0).float()

    @torch.no_grad()
    def feature_preferences(self, histories: Histories) -> dict[str, Tensor]:
        """Probability of each feature value in the upcoming events, `[B, values]`, by feature.

        Only multi-valued item features have them; a network without a preference head has none.
        """
        if self.network.preference_head is None:
            return {}
        _, values = self.network.preference_head(self.user_states(histories)[0])
        return {name: logits.softmax(1).float() for name, logits in values.items()}

    @torch.no_grad()
    def item_feature_effects(self, histories: Histories, item: int) -> dict[str, float]:
        """Ablation effect of each known feature of an item on one user's score, by name.

        An effect is the score minus the score of the item without that feature.
        """
        metadata = self.network.metadata
        if metadata is None:
            return {}
        without = metadata.without_each_feature(item)
        if not without:
            return {}
        head, id_1D = self.network.item_head, self.network.item.weight[item]
        ablated_XD = torch.cat([id_1D + vector_1D for vector_1D in without.values()])
        difference_XD = self.output_VD[item] - head.output_embeddings(ablated_XD)
        effects = [
            head.output_states(state_BD)[0] @ difference_XD.T
            for state_BD in self.user_states(histories)
        ]
        effect_X = torch.stack(effects).mean(0)
        return dict(zip(without, effect_X.tolist(), strict=True))

    @torch.no_grad()
    def attention_weights(self, histories: Histories) -> AttentionRecord:
        """Attention weights of the first scoring pass for one user.

        `layers` holds `[1, H, L, L]` for each block; `user` holds `[L, J + 1, H]`.
        """
        if len(histories) != 1:
            raise ValueError(f"attention is shown for one user at a time, not {len(histories)}")
        record: AttentionRecord = {}
        sequences, causal = self._sequences(histories, self.passes[0])
        self.network.encode(sequences, self.item_VD, causal, record)
        return record

    def _scores(
        self, states: Sequence[Tensor], output_VD: Tensor, score_offset_V: Tensor | None
    ) -> Tensor:
        """Mean of the passes' scores, `[B, V]`: callers pass as many users as fit in memory."""
        head = self.network.item_head
        scores = [head.output_states(state_BD) @ output_VD.T for state_BD in states]
        score_BV = torch.stack(scores).mean(0) if len(scores) > 1 else scores[0]
        return score_BV if score_offset_V is None else score_BV + score_offset_V

    def _encode_last(self, histories: Histories, name: str) -> Tensor:
        """State of each history's last token in one pass, `[B, D]`.

        Histories are sorted by length for the least padding, and the states put back in order.
        """
        by_length_B = np.argsort(-histories.length_B, kind="stable")
        sequences, causal = self._sequences(histories.take(by_length_B), name)
        state_BD = self.network.encode(sequences, self.item_VD, causal, last=True)
        order_B = torch.from_numpy(np.argsort(by_length_B, kind="stable"))
        return state_BD[order_B.to(state_BD.device)]

    def _sequences(self, histories: Histories, name: str) -> tuple[Sequences, bool]:
        """Token sequences of one pass, and True if it is the causal one."""
        if not self.reads_request_time:
            histories = histories.without_request_time()
        sequences = _MAKE_SEQUENCES[name](histories, self.network.config.seq_length)
        return sequences.to(self.item_VD.device), name == "causal"
