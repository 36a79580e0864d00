"""`NetworkScorer`: answers about any `Histories`. The one path on which a network's scores reach anybody.

Legend: B users, T tokens, V item rows, D width, R rating levels.
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
from bert4rec.model.network import Bert4Rec

_PASSES = {"causal": (causal_sequences, True), "mask": (masked_sequences, False)}


def scoring_passes(run: RunConfig) -> tuple[str, ...]:
    """The passes whose scores are averaged; what was not trained is not asked."""
    scoring, tasks = run.model.scoring, run.training.task_weights
    if scoring == "auto":
        return ("causal",) if tasks.next_item else ("mask",)
    passes = ("causal", "mask") if scoring == "average" else (scoring,)
    for scoring_pass, weight in (("causal", tasks.next_item), ("mask", tasks.item_prediction)):
        if scoring_pass in passes and not weight:
            raise ConfigError(
                f"scoring {scoring!r} needs the {scoring_pass} pass, whose task has weight 0; take 'auto'"
            )
    return passes


class NetworkScorer:
    """A trained network, ready to be asked. Weights must not change while it lives: item vectors are computed once."""

    def __init__(self, network: Bert4Rec, run: RunConfig, name: str = "bert4rec") -> None:
        self.network, self.run = network.eval(), run
        self.passes = scoring_passes(run)
        self.name = name
        self._latest: tuple[Histories | None, list[Tensor]] = (None, [])

    @property
    def reads_request_time(self) -> bool:
        """Whether it was ever told when it is asked."""
        return self.network.config.request_time != "never"

    @property
    def seq_length(self) -> int:
        """How many events of a history are read, the last ones."""
        return self.network.config.seq_length

    @property
    def predicts_ratings(self) -> bool:
        """Whether it was trained to predict ratings."""
        return self.network.rating_head is not None

    @torch.no_grad()
    def with_shuffled_weights(self, seed: int) -> NetworkScorer:
        """Another one that has learned nothing: the entries of each weight stand in another order."""
        network, generator = deepcopy(self.network), torch.Generator().manual_seed(seed)
        for weight in network.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
        network.cold_start_bias.reset()
        return NetworkScorer(network, self.run, f"{self.name}, weights shuffled")

    @cached_property
    @torch.no_grad()
    def item_VD(self) -> Tensor:
        """The vectors of all item rows."""
        return self.network.item_embeddings().detach()

    @cached_property
    @torch.no_grad()
    def output_VD(self) -> Tensor:
        """The items' side of every score."""
        return self.network.item_head.output_embeddings(self.item_VD)

    @cached_property
    @torch.no_grad()
    def score_offset_V(self) -> Tensor | None:
        """What is added to every score of an item."""
        return self.network.score_offset_V()

    @cached_property
    @torch.no_grad()
    def metadata_output_VD(self) -> Tensor:
        """The items' side of every score if their metadata alone were known."""
        if self.network.metadata is None:
            raise DataError(
                f"{self.name}: reads no item features; without its id it knows nothing of an item"
            )
        return self.network.item_head.output_embeddings(self.network.metadata())

    @torch.no_grad()
    def user_states(self, histories: Histories) -> list[Tensor]:
        """The state `[B, D]` that answers for each user, one for each scoring_pass of the history; both share the heads.

        The same histories are not read twice in a row: who asks for scores often asks for ratings next.
        """
        read, found = self._latest
        if read is not histories:
            found = [self._read(histories, scoring_pass) for scoring_pass in self.passes]
            self._latest = histories, found
        return found

    @torch.no_grad()
    def score(self, histories: Histories) -> Tensor:
        """Scores of every item row, `[B, V]`; PAD and MASK have a column that means nothing."""
        score_BV = self.score_without_cold_start_bias(histories)
        new_B = np.flatnonzero(histories.length_B == 0)
        if len(new_B):
            values = self.user_feature_values(histories.take(new_B))
            self.network.cold_start_bias.add_to(
                score_BV, torch.from_numpy(new_B).to(score_BV.device), values
            )
        return score_BV

    @torch.no_grad()
    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Likewise, without the biases of cold_start_bias: a history without events is answered as any other is, `[B, V]`."""
        return self._scores(
            self.user_states(histories), self.output_VD, self.score_offset_V
        ).float()

    def user_feature_values(self, histories: Histories) -> dict[str, Tensor]:
        """The users' value rows (or numbers) by feature, of those features that the network reads."""
        if self.network.user is None:
            return {}
        user_B, given = user_tensors(histories)
        device = self.item_VD.device
        return self.network.user.values(
            user_B.to(device), {name: value.to(device) for name, value in given.items()}
        )

    @torch.no_grad()
    def score_by_metadata(self, histories: Histories) -> Tensor:
        """What each item row would score if its metadata alone were known, without the penalty, `[B, V]`.

        Raises DataError for a network that reads no metadata.
        """
        return self._scores(self.user_states(histories), self.metadata_output_VD, None).float()

    @torch.no_grad()
    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """How likely each rating level is when each user rates the item next, `[B, R]`.

        A single history may be asked about any number of items at once.
        """
        head = self.network.rating_head
        if head is None:
            raise DataError("this model was trained without ratings and predicts none")
        item_B = item_B.to(self.item_VD.device)
        user_B = (
            torch.from_numpy(histories.user_B.astype(np.int64))
            .to(item_B.device)
            .expand(len(item_B))
        )
        likely = [
            head(state_BD.expand(len(item_B), -1), self.item_VD[item_B], user_B, item_B).softmax(1)
            for state_BD in self.user_states(histories)
        ]
        return torch.stack(likely).mean(0).float()

    @torch.no_grad()
    def feature_preferences(self, histories: Histories) -> dict[str, Tensor]:
        """How likely each value of each multi-valued item feature is in the coming events, `[B, values]`, by name."""
        if self.network.preference_head is None:
            return {}
        _, values = self.network.preference_head(self.user_states(histories)[0])
        return {name: logits.softmax(1).float() for name, logits in values.items()}

    @torch.no_grad()
    def item_feature_effects(self, histories: Histories, item: int) -> dict[str, float]:
        """What each known feature of an item adds to its score, by name: the score minus that of the item without it.

        One user at a time. A network that reads no item features has none.
        """
        metadata = self.network.metadata
        if metadata is None:
            return {}
        head, own_1D = self.network.item_head, self.network.item.weight[item]
        without = {
            name: own_1D + vector_1D for name, vector_1D in metadata.without_each(item).items()
        }
        if not without:
            return {}
        key_FD = self.output_VD[item] - head.keys(torch.cat(list(without.values())))
        worth_F = torch.stack(
            [head.output_states(state_1D)[0] @ key_FD.T for state_1D in self.user_states(histories)]
        ).mean(0)
        return dict(zip(without, worth_F.tolist(), strict=True))

    def score_with_event_weights(self, histories: Histories, item: int, shown_E: Tensor) -> Tensor:
        """One user's score of an item when of each event that is read a part is shown; it can be differentiated."""
        states = []
        for scoring_pass in self.passes:
            sequences, causal = self._sequences(histories, scoring_pass)
            event_T = sequences.item_T >= FIRST_ITEM
            shown_T = torch.ones(len(event_T), device=event_T.device)
            shown_T = shown_T.masked_scatter(event_T, shown_E[len(shown_E) - int(event_T.sum()) :])
            states.append(
                self.network.encode(sequences, self.item_VD, causal, shown_T=shown_T, last=True)
            )
        return self._scores(states, self.output_VD, self.score_offset_V)[0, item]

    @torch.no_grad()
    def attention_weights(self, histories: Histories) -> dict[str, list[Tensor]]:
        """Attention weights: `layers`, one `[1, H, L, L]` a block; `user`, `[L, S + 1, H]`. One user at a time."""
        if len(histories) != 1:
            raise ValueError(f"attention is shown for one user at a time, not {len(histories)}")
        record: dict[str, list[Tensor]] = {}
        sequences, causal = self._sequences(histories, self.passes[0])
        self.network.encode(sequences, self.item_VD, causal, record)
        return record

    def _scores(
        self, states: Sequence[Tensor], output_VD: Tensor, score_offset_V: Tensor | None
    ) -> Tensor:
        """The mean of the passes' scores `[B, V]`; only for as many states as fit in memory with the catalogue."""
        scores = [
            self.network.item_head.output_states(state_BD) @ output_VD.T for state_BD in states
        ]
        score_BV = torch.stack(scores).mean(0) if len(scores) > 1 else scores[0]
        return score_BV if score_offset_V is None else score_BV + score_offset_V

    def _read(self, histories: Histories, scoring_pass: str) -> Tensor:
        """The state of each history's last token. Histories of similar length go together, for the least padding."""
        by_length_B = np.argsort(-histories.length_B, kind="stable")
        sequences, causal = self._sequences(histories.take(by_length_B), scoring_pass)
        state_BD = self.network.encode(sequences, self.item_VD, causal, last=True)
        back_B = torch.from_numpy(np.argsort(by_length_B, kind="stable")).to(state_BD.device)
        return state_BD[back_B]

    def _sequences(self, histories: Histories, scoring_pass: str) -> tuple[Sequences, bool]:
        if not self.reads_request_time:
            histories = histories.without_request_time()
        make, causal = _PASSES[scoring_pass]
        return make(histories, self.network.config.seq_length).to(self.item_VD.device), causal
