"""Top-k recommendations of each user: the one path from scores to lists, with rules or without.

    scores ─► filters ─► boosts ─► top-k, or MMR re-ranking under caps

Legend: B users, V item rows, K items of a list, I candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.histories import Histories
from bert4rec.ids import PAD
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.ranking import list_rank, top_candidates, top_k
from bert4rec.retrieval.reranking import MMR_CANDIDATES, mmr_rerank
from bert4rec.retrieval.scorers import Scorer


@dataclass(frozen=True)
class Move:
    """Change of an item's rank by a rule."""

    rule: str
    """Name of the rule; rules that act together are named together, as in `allow and where`."""
    rank_before: int
    """Rank without this rule, under the rules applied before it."""
    rank_after: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Stage(NamedTuple):
    """Scores after a rule has been applied."""

    rule: str
    score_BV: Tensor


@dataclass(frozen=True)
class Ranking:
    """Top-k items of each user, best first."""

    item_BK: Ints
    """Item rows; PAD where a list ends early."""
    score_BK: Floats
    """Scores before boosts; EXCLUDED where a list ends early."""
    stages: Sequence[Stage] = ()
    """Scores before the rules, then after each rule; empty for a ranking without rules."""
    reranked_by: str = ""
    """Names of the rules that re-ranked the last stage."""

    def items(self, user: int) -> list[int]:
        """Item rows of one user's list."""
        return self.item_BK[user][self.score_BK[user] > EXCLUDED].tolist()

    def moves(self, user: int) -> list[list[Move]]:
        """Moves of each item of one user's list, in the order of the rules."""
        items = self.items(user)
        item_1K = torch.tensor([items], dtype=torch.long)
        ranks = {
            stage.rule: list_rank(stage.score_BV[user : user + 1], item_1K)[0].tolist()
            for stage in self.stages
        }
        if self.reranked_by:
            ranks[self.reranked_by] = list(range(1, len(items) + 1))
        return [list(_moves(ranks, position)) for position in range(len(items))]


def _moves(ranks: dict[str, list[int]], position: int) -> Iterator[Move]:
    """Moves of the item at one position of the list."""
    for (_, before), (rule, after) in pairwise(ranks.items()):
        if before[position] != after[position]:
            yield Move(rule, before[position], after[position])


def recommend(
    scorer: Scorer,
    histories: Histories,
    k: int,
    *,
    seen: Histories | None,
    item_rules: ItemRules | None = None,
) -> Ranking:
    """Top-k recommendations of each user; items of `seen` are filtered, None filters none."""
    score_BV = candidate_scores(scorer, histories, seen=seen)
    return rank_items(score_BV, k, item_rules)


def rank_items(score_BV: Tensor, k: int, item_rules: ItemRules | None = None) -> Ranking:
    """Top-k items of given scores, without EXCLUDED ones; ties go to the lower item row."""
    if item_rules is None:
        item_BK, score_BK = top_candidates(score_BV, k)
        return Ranking(item_BK.cpu().numpy(), score_BK.cpu().numpy())
    stages = [*_stages(score_BV.cpu(), item_rules)]
    item_BK = _top_items(stages[-1].score_BV, k, item_rules)
    score_BK = stages[0].score_BV.gather(1, item_BK).where(item_BK != PAD, EXCLUDED)
    return Ranking(item_BK.numpy(), score_BK.numpy(), stages, item_rules.rules.rerankers)


def _stages(score_BV: Tensor, item_rules: ItemRules) -> Iterator[Stage]:
    """Scores before the rules, after the filters and after the boosts."""
    yield Stage("", score_BV)
    if item_rules.rules.filters:
        score_BV = score_BV.masked_fill(~item_rules.allowed_V, EXCLUDED)
        yield Stage(item_rules.rules.filters, score_BV)
    if item_rules.rules.boosts:
        score_BV = score_BV + item_rules.boost_V
        yield Stage("boosts", score_BV)


def _top_items(score_BV: Tensor, k: int, item_rules: ItemRules) -> Tensor:
    """Item rows `[B, K]` of the lists, re-ranked under caps or for diversity."""
    if item_rules.rules.rerankers:
        return _reranked(score_BV, k, item_rules, max(MMR_CANDIDATES, 10 * k))
    return top_candidates(score_BV, k)[0]


def _reranked(score_BV: Tensor, k: int, item_rules: ItemRules, candidates: int) -> Tensor:
    """Item rows `[B, K]` chosen by MMR from the best candidates.

    Lists that the caps leave short are chosen again from four times as many candidates.
    """
    item_BI, score_BI = top_k(score_BV, candidates)
    item_BK = mmr_rerank(
        item_BI, score_BI, item_rules.item_VD, k, item_rules.rules.diversity, item_rules.caps
    )
    left_B = (score_BV > EXCLUDED).sum(1)
    length_B = (item_BK != PAD).sum(1)
    is_short_B = (length_B < left_B.clamp(max=k)) & (candidates < left_B)
    # One user at a time: the vectors of thousands of candidates of all users may not fit.
    for user in is_short_B.nonzero()[:, 0].tolist():
        item_BK[user] = _reranked(score_BV[user : user + 1], k, item_rules, 4 * candidates)[0]
    return item_BK
