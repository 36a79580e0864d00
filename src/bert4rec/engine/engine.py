"""`RecommendationEngine`: recommendations, explanations and profiles for raw ids.

The engine scores with the model's scorer and ranks with `retrieval`, as evaluation does: offline
metrics describe its answers.

Legend: V item rows, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.plain_values import plain, plain_switch
from bert4rec.engine.added_items import with_items
from bert4rec.engine.answers import (
    AttentionMaps,
    Explanation,
    Recommendation,
    Recommendations,
    RecommendationTables,
)
from bert4rec.engine.attention_maps import attention_maps
from bert4rec.engine.explanations import Method, check_method, explain_item
from bert4rec.engine.histories import request_history, without_forgotten
from bert4rec.engine.new_histories import NewHistories
from bert4rec.engine.profile import user_profile
from bert4rec.engine.ratings import expected_ratings
from bert4rec.engine.raw_values import item_row, row_of, title_of
from bert4rec.engine.recommend_many import UnknownUsers, batch_users, recommendation_tables
from bert4rec.engine.request import Request, RequestOptions, When, check_count, to_rules, to_seconds
from bert4rec.errors import UnknownUser, UsageError
from bert4rec.ids import RawId
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import Ranking, recommend
from bert4rec.retrieval.rules import Rules


class RecommendationEngine:
    """Recommendations, explanations and profiles for known users and cold-start users.

    | case | answer |
    |---|---|
    | known `user_id` | from the stored history and the stored user features |
    | `item_sequence` | from the sequence, for a cold-start user |
    | both | the sequence replaces the stored history; the user features stay |
    | unknown `user_id` with a sequence | as a cold-start user, with the passed `user_features` |
    | unknown `user_id` alone | UnknownUser, which says to pass a sequence |
    | empty `item_sequence` | from user features and request context |
    | `user_features` alone | as a cold-start user without any event |
    | unknown item in the sequence | UnknownItem with the ids; `ignore_unknown_items` drops them |
    | `k` above the number of candidates | the shorter list |
    | `filter_seen=False` | seen items may be recommended; PAD and MASK never are |
    | no `request_time` | unknown time of the request, which the model was trained for too |

    Ids have the type of the data: if they are integers, `"7"` and `7.0` are unknown ids.
    `recommend`, `explain` and `attention_maps` take the same arguments as one `Request`.

    >>> engine = RecommendationEngine.load("runs/small")
    >>> engine.get_recommendations(item_sequence=[104, 108], k=1).item_ids
    [112]
    """

    def __init__(self, model: Artefact) -> None:
        self.model = model
        self.dataset = model.dataset
        self.scorer = model.scorer()

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        model_path: str | Path | None = None,
        metadata_path: str | Path | None = None,
        data: PreparedDataset | None = None,
    ) -> RecommendationEngine:
        """Engine of a model folder, or of the pair `model_path` and `metadata_path`.

        `data` replaces the data in the folder: for a published model without data, or for newer
        events of the same users and items. Raises UsageError unless the model is named in one way,
        ArtefactError if it cannot be read.

        >>> engine = RecommendationEngine.load("runs/small")
        """
        is_pair = model_path is not None and metadata_path is not None
        is_partial_pair = (model_path is None) != (metadata_path is None)
        if is_partial_pair or is_pair == (folder is not None):
            raise UsageError("name a model folder, or model_path and metadata_path together")
        if folder is not None:
            return cls(artefact.load(folder, data))
        assert model_path is not None
        assert metadata_path is not None
        return cls(artefact.load_pair(model_path, metadata_path))

    def get_recommendations(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        *,
        rules: Rules | Mapping[str, Any] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Recommendations:
        """Top-k recommendations for one user, best first.

        Without an `item_sequence` the stored history counts. `options` may hold `timestamps`,
        `ratings`, `request_time`, `user_features`, `ignore_unknown_items` and `forget`, as
        `Request` describes them. Under `rules`, `moves` name those that changed
        an item's rank.

        Raises UsageError, UnknownUser and UnknownItem for the cases in the table of the class, and
        UsageError for a rule that is not understood or leaves no item.

        >>> found = engine.get_recommendations(user_id=2, k=3)
        >>> [item.rank for item in found]
        [1, 2, 3]
        >>> engine.get_recommendations(item_sequence=[104, 108], ratings=[5, 4], k=1).item_ids
        [112]
        >>> rules = {"where": "year >= 1992", "at_most": {"genres": 2}}
        >>> len(engine.get_recommendations(user_id=2, k=3, rules=rules))
        3
        """
        return self.recommend(
            Request(
                user_id,
                item_sequence,
                k=k,
                filter_seen=filter_seen,
                rules=to_rules(rules),
                **options,
            )
        )

    def recommend(self, request: Request) -> Recommendations:
        """Top-k recommendations for a request.

        >>> engine.recommend(Request(item_sequence=[104, 108], k=1)).item_ids
        [112]
        """
        seen, history = self._histories(request)
        rules = self._item_rules(request.rules)
        ranking = recommend(
            self.scorer,
            history,
            request.k,
            seen=seen if request.filter_seen else None,
            item_rules=rules,
        )
        _check_filters(ranking, rules)
        warnings = rules.warnings if rules else ()
        return Recommendations(request.user_id, self._recommendations(history, ranking), warnings)

    def _recommendations(self, history: Histories, ranking: Ranking) -> list[Recommendation]:
        """Items of one user's ranking with titles, expected ratings and moves."""
        items = ranking.items(0)
        scores = ranking.score_BK[0].tolist()
        ratings = expected_ratings(self.scorer, self.dataset, history, items)
        moves = ranking.moves(0) if ranking.stages else [None] * len(items)
        return [
            Recommendation(
                item_id=self.dataset.items.raw(item),
                rank=position + 1,
                score=scores[position],
                title=title_of(self.dataset, item),
                expected_rating=ratings[position][0],
                rating_interval=ratings[position][1],
                moves=moves[position],
            )
            for position, item in enumerate(items)
        ]

    def recommend_many(
        self,
        user_ids: Iterable[RawId] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        *,
        request_time: When | None = None,
        rules: Rules | Mapping[str, Any] | None = None,
        unknown_users: UnknownUsers = "error",
        histories: NewHistories | None = None,
    ) -> RecommendationTables:
        """Top-k recommendations of many users in columns, a table for about a hundred users each.

        `user_ids` None takes all users, or all of the new `histories`, which replace the stored
        ones. Users who have neither are `unknown_users`: an error, left out (`skip`), or answered
        as cold-start users (`cold_start`). The `rules` hold for every list; a user for whom they
        leave no item gets no rows. Raises UsageError and UnknownUser before the first table.

        >>> for table in engine.recommend_many([2, 3], k=3):
        ...     print(table.user_id.tolist(), table.rank.tolist())
        [2, 2, 2, 3, 3, 3] [1, 2, 3, 1, 2, 3]
        >>> engine.recommend_many([2, 9999], unknown_users="skip").unknown_users
        [9999]
        """
        k, filter_seen = check_count("k", k), plain_switch("filter_seen", filter_seen)
        item_rules, seconds = self._item_rules(to_rules(rules)), to_seconds(request_time)
        users = batch_users(self.dataset, user_ids, unknown_users, histories)
        tables = recommendation_tables(
            self.scorer, self.dataset, users, k, filter_seen, seconds, item_rules
        )
        warnings = list(item_rules.warnings) if item_rules else []
        if histories is not None and histories.events_of_unknown_items:
            warnings.append(
                f"histories: {histories.events_of_unknown_items:,} events left out, of "
                f"{histories.unknown_items:,} items that the model does not know"
            )
        return RecommendationTables(tables, len(users.user_ids), users.unknown, warnings)

    def explain_recommendation(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        recommended_item_id: RawId | None = None,
        *,
        method: Method = "leave-one-out",
        **options: Unpack[RequestOptions],
    ) -> Explanation:
        """Explanation of an item's score and rank for one user; the item may be seen or not.

        Effects are differences of logits: the score with everything minus the score without one
        event or feature. They do not add up to the score. The method `gradients` estimates the
        effects of events by integrated gradients, which is faster. `options` are those of
        `get_recommendations`.

        Raises UsageError, UnknownUser and UnknownItem for the cases in the table of the class, and
        UnknownItem for an unknown `recommended_item_id`.

        >>> explained = engine.explain_recommendation(user_id=2, recommended_item_id=112)
        >>> explained.title, len(explained.events)
        ('Item 11', 12)
        >>> sorted(explained.context_effects)
        ['age_group', 'gender', 'occupation_code', 'user_id']
        """
        request = Request(user_id, item_sequence, **options)
        return self.explain(request, recommended_item_id, method)

    def explain(
        self, request: Request, item_id: RawId | None, method: Method = "leave-one-out"
    ) -> Explanation:
        """Explanation of an item for a request.

        >>> engine.explain(Request(item_sequence=[104, 108]), 112).rank
        1
        """
        check_method(method)
        if item_id is None:
            raise UsageError("recommended_item_id is missing: name the item to explain")
        item = item_row(self.dataset, item_id)
        seen, history = self._histories(request)
        return explain_item(
            self.scorer, self.dataset, request.user_id, history, seen.item_N, item, method
        )

    def attention_maps(self, request: Request) -> AttentionMaps:
        """Attention weights over a request's history, by block and head.

        `plot_attention` draws them. They show where the network attends, not what that changes:
        `explain` measures effects.

        >>> engine.attention_maps(Request(item_sequence=[104, 108])).layers[0].shape
        (2, 3, 3)
        """
        _, history = self._histories(request)
        return attention_maps(self.scorer, self.dataset, history)

    def get_user_profile(self, user_id: RawId, *, forget: Sequence[RawId] = ()) -> dict[str, Any]:
        """Profile of a known user as plain values, ready for JSON.

        | key | value |
        |---|---|
        | each user feature | raw value, None if unknown: `gender`, `age_group`, … |
        | `occupation` … | label of a code, if the data has one |
        | `user_id` | the id |
        | `num_events`, `first_event`, `last_event`, `active_days` | activity |
        | `mean_rating`, `ratings` | mean and count of the ratings |
        | `favourite_<feature>` | most frequent values, their items, and a `condition` for rules |
        | `predicted_<feature>` | values that the preference head predicts for the next events |

        Events of the items to `forget` are ignored. Raises UnknownUser, UnknownItem and UsageError.

        >>> profile = engine.get_user_profile(2)
        >>> {name: profile[name] for name in ("gender", "age_group", "occupation_code")}
        {'gender': 'M', 'age_group': '18-24', 'occupation_code': 0}
        """
        if plain(user_id) is None:
            raise UnknownUser(None)
        request = Request(user_id, forget=forget)
        _, history = self._histories(request)
        return user_profile(self.scorer, self.dataset, request.user_id, history)

    def add_items(self, items: Sequence[Mapping[str, Any]]) -> RecommendationEngine:
        """Engine with more items, placed by their metadata without training.

        An item is a mapping of `item_id`, `title` if the data has titles, and item features: one
        value, or a list of several. Scores of the other items stay. Raises UsageError for items
        that cannot be added (see `with_items`).

        >>> larger = engine.add_items([{"item_id": 900, "title": "New", "genres": ["Star"]}])
        >>> larger.dataset.num_items - engine.dataset.num_items
        1
        """
        return RecommendationEngine(with_items(self.model, items))

    def _histories(self, request: Request) -> tuple[Histories, Histories]:
        """Seen history of a request, and the history without forgotten events."""
        seen = request_history(request, self.dataset)
        return seen, without_forgotten(seen, request.forget, self.dataset)

    def _item_rules(self, rules: Rules | None) -> ItemRules | None:
        if rules is None:
            return None
        items = self.dataset.items
        item_VD = self.scorer.item_VD.cpu()
        return ItemRules.resolve(rules, self.dataset, lambda raw: row_of(items, raw), item_VD)


def _check_filters(ranking: Ranking, rules: ItemRules | None) -> None:
    """Raises UsageError if the filters leave none of the user's candidates.

    Where all allowed items are unknown, the empty list and its warning say so.
    """
    if rules is None or ranking.items(0) or rules.allows_unknown_items_only:
        return
    had_candidates = bool((ranking.stages[0].score_BV > EXCLUDED).any())
    filters = rules.rules.filters
    if filters and had_candidates:
        raise UsageError(
            f"{filters}: of what the user has not seen no item is left; loosen the rules"
        )
