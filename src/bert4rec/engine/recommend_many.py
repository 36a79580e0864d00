"""Recommendations for many known users, batch by batch in limited memory.

Legend: B users of a batch, U user rows, X requested users, K items of a list.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert4rec.data.arrays import Ints, id_array
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.answers import RecommendationTable
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import Ranking, recommend

USERS_AT_ONCE = 128
SCORES_AT_ONCE = 2**22
"""Most scores of a batch, 16 MiB; it limits the memory for large catalogues."""


def recommendation_tables(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    user_X: Ints,
    k: int,
    filter_seen: bool,
    request_time: int,
    rules: ItemRules | None,
) -> Iterator[RecommendationTable]:
    """Top-k recommendations of known users, a table for each batch of them."""
    batch_size = max(1, min(USERS_AT_ONCE, SCORES_AT_ONCE // dataset.item_rows))
    for first in range(0, len(user_X), batch_size):
        user_B = user_X[first : first + batch_size]
        request_time_B = np.full(len(user_B), request_time)
        histories = dataset.complete_histories(user_B, request_time_B)
        seen = histories if filter_seen else None
        ranking = recommend(scorer, histories, k, seen=seen, item_rules=rules)
        yield _table(dataset, user_B, ranking)


def _table(dataset: PreparedDataset, user_B: Ints, ranking: Ranking) -> RecommendationTable:
    """Rankings of a batch in columns of raw ids."""
    row, position = np.nonzero(ranking.score_BK > EXCLUDED)
    item_rows = ranking.item_BK[row, position].tolist()
    user_ids = id_array([dataset.users.raw(user) for user in user_B.tolist()])
    return RecommendationTable(
        user_id=user_ids[row],
        item_id=id_array([dataset.items.raw(item) for item in item_rows]),
        score=ranking.score_BK[row, position],
        rank=position + 1,
    )
