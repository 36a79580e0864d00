"""Recommendations for many users, batch by batch in limited memory.

Legend: B users of a batch, N events, U user rows, X requested users, K items of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from bert4rec.data.arrays import Ints, id_array, offsets
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.plain_values import plain_list, shown
from bert4rec.engine.answers import RecommendationTable
from bert4rec.engine.new_histories import NewHistories
from bert4rec.engine.raw_values import row_of
from bert4rec.errors import UnknownUser, UsageError
from bert4rec.ids import UNKNOWN, RawId
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import Ranking, recommend

UnknownUsers = Literal["error", "skip", "cold_start"]
"""Treatment of ids without a history: an error, no list, or the list of a cold-start user."""
NONE_GIVEN = -1

USERS_AT_ONCE = 128
SCORES_AT_ONCE = 2**22
"""Most scores of a batch, 16 MiB; it limits the memory for large catalogues."""


@dataclass(frozen=True)
class BatchUsers:
    """Users of batch lists in the order asked, and where the history of each comes from."""

    user_ids: Sequence[RawId]
    user_X: Ints
    """User rows; UNKNOWN for cold-start users."""
    unknown: Sequence[RawId] = ()
    """Ids without a stored or given history."""
    given: Histories | None = None
    given_X: Ints | None = None
    """Number of each user's given history; NONE_GIVEN where the stored one counts."""

    def histories(self, dataset: PreparedDataset, part: slice, request_time: int) -> Histories:
        """Histories of some of the users."""
        user_B = self.user_X[part]
        histories = dataset.complete_histories(user_B)
        if self.given is not None and self.given_X is not None:
            given_B = self.given_X[part]
            given = self.given.take(np.maximum(given_B, 0))
            if histories.user_features:
                features = dataset.user_feature_values(given.user_B)
                given = replace(given, user_features=features)
            either = _joined(histories, given)
            own_B = np.arange(len(user_B))
            histories = either.take(np.where(given_B == NONE_GIVEN, own_B, own_B + len(user_B)))
        return replace(histories, request_time_B=np.full(len(user_B), request_time))


def _joined(first: Histories, second: Histories) -> Histories:
    """Histories of some users, then those of others."""
    return Histories(
        user_B=np.concatenate([first.user_B, second.user_B]),
        start_B1=offsets(np.concatenate([first.length_B, second.length_B])),
        item_N=np.concatenate([first.item_N, second.item_N]),
        time_N=np.concatenate([first.time_N, second.time_N]),
        rating_N=np.concatenate([first.rating_N, second.rating_N]),
        request_time_B=np.concatenate([first.request_time_B, second.request_time_B]),
        user_features={
            name: np.concatenate([value_B, second.user_features[name]])
            for name, value_B in first.user_features.items()
        },
    )


def batch_users(
    dataset: PreparedDataset,
    user_ids: Any,
    unknown_users: UnknownUsers,
    new: NewHistories | None,
) -> BatchUsers:
    """Users of the ids in their order; None takes all users, or those of the new histories.

    Raises UnknownUser for an id without a stored or given history if `unknown_users` is `error`,
    and UsageError for arguments without meaning.
    """
    if unknown_users not in get_args(UnknownUsers):
        known = ", ".join(get_args(UnknownUsers))
        raise UsageError(f"unknown_users is {shown(unknown_users)}: there are {known}")
    if user_ids is not None:
        asked = plain_list("user_ids", user_ids, "user ids")
    else:
        asked = list(dataset.users.ids if new is None else new.user_ids)
    number_of: dict[Any, int] = {}
    if new is not None:
        number_of = {raw: number for number, raw in enumerate(new.user_ids)}
    has_events_X = [] if new is None else new.has_events_X.tolist()
    listed, rows, numbers, unknown = [], [], [], []
    for user_id in asked:
        row = row_of(dataset.users, user_id)
        number = (
            number_of.get(user_id, NONE_GIVEN) if isinstance(user_id, int | str) else NONE_GIVEN
        )
        if row is None and (number == NONE_GIVEN or not has_events_X[number]):
            unknown.append(user_id)
            if unknown_users == "error":
                raise UnknownUser(user_id)
            if unknown_users == "skip":
                continue
        listed.append(user_id)
        rows.append(UNKNOWN if row is None else row)
        numbers.append(number)
    user_X = np.array(rows, dtype=np.int64)
    if new is None:
        return BatchUsers(listed, user_X, unknown)
    given_X = np.array(numbers, dtype=np.int64)
    return BatchUsers(listed, user_X, unknown, new.histories, given_X)


def recommendation_tables(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    users: BatchUsers,
    k: int,
    filter_seen: bool,
    request_time: int,
    rules: ItemRules | None,
) -> Iterator[RecommendationTable]:
    """Top-k recommendations of many users, a table for each batch of them."""
    batch_size = max(1, min(USERS_AT_ONCE, SCORES_AT_ONCE // dataset.item_rows))
    for first in range(0, len(users.user_ids), batch_size):
        part = slice(first, first + batch_size)
        histories = users.histories(dataset, part, request_time)
        seen = histories if filter_seen else None
        ranking = recommend(scorer, histories, k, seen=seen, item_rules=rules)
        yield _table(dataset, users.user_ids[part], ranking)


def _table(
    dataset: PreparedDataset, user_ids: Sequence[RawId], ranking: Ranking
) -> RecommendationTable:
    """Rankings of a batch in columns of raw ids."""
    row, position = np.nonzero(ranking.score_BK > EXCLUDED)
    item_rows = ranking.item_BK[row, position].tolist()
    return RecommendationTable(
        user_id=id_array(user_ids)[row],
        item_id=id_array([dataset.items.raw(item) for item in item_rows]),
        score=ranking.score_BK[row, position],
        rank=position + 1,
    )
