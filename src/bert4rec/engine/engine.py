"""`RecommendationEngine`: raw ids in, answers out. What a product team touches.

All scores come from the model's scorer and all lists from `ranking`, as in evaluation: offline numbers describe
what is answered here.

Legend: B users, K list length, V item rows, R rating levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.engine import profile
from bert4rec.engine.added_items import with_items
from bert4rec.engine.answers import (
    AttentionMaps,
    EventEffect,
    Explanation,
    Recommendation,
    Recommendations,
    RecommendationTable,
    SimilarItem,
)
from bert4rec.engine.explain import (
    sentence_of,
    similar_items,
    with_all_features,
    without_side_information,
)
from bert4rec.engine.request import (
    When,
    feature_rows,
    forgotten,
    given_history,
    known_row,
    plain_id,
    seconds,
    stored_history,
)
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.evaluation.calibration import rating_intervals
from bert4rec.explanation.attribution import attribute, measured
from bert4rec.explanation.integrated_gradients import integrated_gradients
from bert4rec.ids import FIRST_ITEM, FIRST_USER, RawId
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import Move, recommend
from bert4rec.retrieval.rules import Rules

USERS_AT_ONCE = 128
SCORES_AT_ONCE = 2**22
"""Of all users of a piece together: what bounds the memory of large catalogues."""


class RecommendationEngine:
    """Recommends, explains and profiles, for known and new users.

    All methods take raw ids of the type the data has: where ids are integers, `"7"` and `7.0` are unknown.

    | case | answer |
    |---|---|
    | `item_sequence` given | it is the history, oldest first; no event is read from storage. The id and the demographics of a known `user_id` still count |
    | `item_sequence` None | the stored history of the user; UnknownUser where none is stored |
    | unknown user with a sequence | answered as a new user, with whatever `user_features` say |
    | empty sequence | answered from the user and the moment alone |
    | `user_features` and neither of both | somebody new, of whom no event is known |
    | unknown item in the sequence | UnknownItem naming the ids; left out with `ignore_unknown_items` |
    | `k` over what is left | the shorter list |
    | `filter_seen` False | seen items may appear |
    | `request_time` absent | the time of the request is unknown, which the model was trained for too |

    `timestamps` and `ratings` go with `item_sequence`, one for each item, None where unknown. `request_time` is when
    the list is asked for: seconds, datetime or "now". `user_features` are raw values (`{"gender": "F"}`) in place of
    the stored ones, None for unknown. What cannot be meant (a feature or value that is not known, a rating off the
    scale, timestamps that fall) raises UsageError with what is known.
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
        """The engine of a model folder, or of the pair `model_path` and `metadata_path`.

        `data` stands in for what the folder holds: for a published one that holds none, or for newer events of the
        same users and items.
        """
        if (folder is None) == (model_path is None) or (model_path is None) != (
            metadata_path is None
        ):
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
        timestamps: Sequence[When | None] | None = None,
        ratings: Sequence[float | None] | None = None,
        request_time: When | None = None,
        user_features: Mapping[str, Any] | None = None,
        ignore_unknown_items: bool = False,
        rules: Rules | Mapping[str, Any] | None = None,
        forget: Sequence[RawId] = (),
    ) -> Recommendations:
        """The `k` best items, best first; fewer only if fewer are left. PAD and MASK are never listed.

        With `filter_seen` nothing from the history is listed. `rules` say what else may be listed, what is preferred
        and how alike the list may be; each item then tells which of them moved it. The list is made as if the events of
        the items to `forget` had never been; they stay seen. Raises UsageError, UnknownUser, UnknownItem as the table
        of the class says, and for rules that are not understood or leave nothing.
        """
        k = _count("k", k)
        history = self._history(
            user_id,
            item_sequence,
            timestamps,
            ratings,
            request_time,
            user_features,
            ignore_unknown_items,
        )
        seen = history if filter_seen else None
        history = forgotten(self.dataset, history, forget)
        listed = self._list(history, k, seen, None if rules is None else _as_rules(rules))
        ratings_K = self._ratings(history, [item for item, *_ in listed])
        return Recommendations(
            plain_id(user_id),
            [
                Recommendation(
                    self.dataset.items.raw(item),
                    rank,
                    score,
                    self._title(item),
                    rating,
                    interval,
                    moves,
                )
                for rank, ((item, score, moves), (rating, interval)) in enumerate(
                    zip(listed, ratings_K, strict=True), 1
                )
            ],
        )

    def add_items(self, items: Sequence[Mapping[str, Any]]) -> RecommendationEngine:
        """Another engine, whose catalogue holds these items too, placed by their metadata; nothing is trained.

        Each is a mapping of `item_id`, `title` where the data has titles, and item features by name: one value, or a
        list where an item may have several. What was known is scored as before. Raises UsageError (see `with_items`).
        """
        return RecommendationEngine(with_items(self.model, items))

    def recommend_many(
        self,
        user_ids: Iterable[RawId] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        *,
        request_time: When | None = None,
        rules: Rules | Mapping[str, Any] | None = None,
    ) -> Iterator[RecommendationTable]:
        """The `k` best items of each user from their stored histories, a hundred users at a time: memory is bounded.

        Without `user_ids` of all users. `rules` are those of every list; whose filters leave nothing has none. Raises
        UsageError, UnknownUser and UnknownItem, before the first list.
        """
        k, moment = _count("k", k), seconds(request_time)
        placing = None if rules is None else self._rules(_as_rules(rules))
        known = range(FIRST_USER, self.dataset.users.rows)
        user_X = np.array(
            known if user_ids is None else [self._row_of_user(user_id) for user_id in user_ids],
            dtype=int,
        )
        return self._many(user_X, k, filter_seen, moment, placing)

    def _many(
        self, user_X: Ints, k: int, filter_seen: bool, moment: int, rules: ItemRules | None
    ) -> Iterator[RecommendationTable]:
        users, items = np.asarray(self.dataset.users.ids), np.asarray(self.dataset.items.ids)
        stop_U = np.asarray(self.dataset.start_U1)[1:]
        at_once = max(1, min(USERS_AT_ONCE, SCORES_AT_ONCE // self.dataset.item_rows))
        for first in range(0, len(user_X), at_once):
            user_B = user_X[first : first + at_once]
            histories = self.dataset.histories(user_B, stop_U[user_B], np.full(len(user_B), moment))
            seen = histories if filter_seen else None
            ranking = recommend(self.scorer, histories, k, seen=seen, rules=rules)
            item_BK, score_BK = ranking.item_BK, ranking.score_BK
            row_L, place_L = np.nonzero(score_BK > EXCLUDED)
            yield RecommendationTable(
                user_id=users[user_B[row_L] - FIRST_USER],
                item_id=items[item_BK[row_L, place_L] - FIRST_ITEM],
                score=score_BK[row_L, place_L],
                rank=place_L + 1,
            )

    def _row_of_user(self, user_id: RawId) -> int:
        row = known_row(self.dataset.users, user_id)
        if row is None:
            raise UnknownUser(plain_id(user_id))
        return row

    def explain_recommendation(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        recommended_item_id: RawId | None = None,
        *,
        timestamps: Sequence[When | None] | None = None,
        ratings: Sequence[float | None] | None = None,
        request_time: When | None = None,
        user_features: Mapping[str, Any] | None = None,
        ignore_unknown_items: bool = False,
        method: Literal["measured", "gradients"] = "measured",
        forget: Sequence[RawId] = (),
    ) -> Explanation:
        """Why an item stands where it stands; any known item may be asked about, also one that was seen.

        Every effect is measured: the item's score with everything minus its score without that one event or piece of
        information, the rest unchanged. Scores are logits; effects do not add up to the score. With the method
        `gradients` those of the events are estimated instead (integrated gradients, by Captum), which is faster.
        Items to `forget` are as in `get_recommendations`. Raises UsageError, UnknownUser, UnknownItem as the table of
        the class says, UnknownItem for the item itself too.
        """
        if method not in ("measured", "gradients"):
            raise UsageError(f"method is {method!r}: there are measured and gradients")
        if recommended_item_id is None:
            raise UsageError("recommended_item_id is missing: name the item to explain")
        item = known_row(self.dataset.items, recommended_item_id)
        if item is None:
            raise UnknownItem([plain_id(recommended_item_id)])
        history = self._history(
            user_id,
            item_sequence,
            timestamps,
            ratings,
            request_time,
            user_features,
            ignore_unknown_items,
        )
        seen_N, history = history.item_N, forgotten(self.dataset, history, forget)
        spelled_out = with_all_features(history, self.dataset)
        hidden = without_side_information(spelled_out)
        found = measured(self.scorer.score, [spelled_out, *hidden.values()], seen_N, item)
        ((expected_rating, rating_interval),) = self._ratings(history, [item])
        explained = Explanation(
            user_id=plain_id(user_id),
            item_id=self.dataset.items.raw(item),
            title=self._title(item),
            score=float(found.score_X[0]),
            rank=int(found.rank_X[0]),
            seen=item in seen_N,
            events=self._events(spelled_out, item, method),
            side_information=dict(
                zip(hidden, (found.score_X[0] - found.score_X[1:]).tolist(), strict=True)
            ),
            item_information=self.scorer.item_feature_effects(history, item),
            similar=self._similar(history, item),
            expected_rating=expected_rating,
            rating_interval=rating_interval,
        )
        return replace(explained, sentence=sentence_of(explained))

    def attention_maps(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        *,
        timestamps: Sequence[When | None] | None = None,
        ratings: Sequence[float | None] | None = None,
        request_time: When | None = None,
        user_features: Mapping[str, Any] | None = None,
        ignore_unknown_items: bool = False,
        forget: Sequence[RawId] = (),
    ) -> AttentionMaps:
        """The attention weights of one reading, by block and head; `plot_attention` draws them.

        Weights say where the network looked, not what that did: effects are measured by `explain_recommendation`.
        Raises UsageError, UnknownUser, UnknownItem as the table of the class says.
        """
        history = self._history(
            user_id,
            item_sequence,
            timestamps,
            ratings,
            request_time,
            user_features,
            ignore_unknown_items,
        )
        history = forgotten(self.dataset, history, forget)
        found = self.scorer.attention_weights(history)
        layers = [weight_1HLL[0].cpu().numpy() for weight_1HLL in found["layers"]]
        user_HS = (
            found["user"][0][-1].T.cpu().numpy()
            if "user" in found
            else np.empty((0, 0), dtype=np.float32)
        )
        tokens = ["user id", *self.dataset.user_features, "request"] if "user" in found else []
        return AttentionMaps(self._places(history, layers[0].shape[-1]), layers, tokens, user_HS)

    def _places(self, history: Histories, count: int) -> list[str]:
        """What stands at the places of a reading."""
        causal = self.scorer.passes[0] == "causal"
        events = [
            self._name(int(item)) for item in history.item_N[len(history.item_N) - (count - 1) :]
        ]
        return ["start", *events] if causal else [*events, "request"]

    def get_user_profile(self, user_id: RawId, *, forget: Sequence[RawId] = ()) -> dict[str, Any]:
        """What is known and predicted of a stored user, as if the events of the items to `forget` had never been.

        Demographics come first, under the data's own names (`{'gender': 'M', 'age_group': '25-34', 'occupation_code':
        7, …}`; None where unknown), then what a code means (`occupation`), `user_id`, the activity (`num_events`,
        `first_event`, `last_event`, `active_days`, `mean_rating`, `ratings`), `favourite_<feature>` of each
        multi-valued item feature in the history and of the decades of each year, with the items that show it and the
        `condition` by which `rules` boost it, and `predicted_<feature>`, the values that the preference head expects in
        the coming events. Plain values, ready for JSON. Raises UnknownUser, UnknownItem and UsageError.
        """
        history = forgotten(self.dataset, stored_history(self.dataset, user_id), forget)
        likely = {
            name: likely_BW[0].cpu().numpy()
            for name, likely_BW in self.scorer.feature_preferences(history).items()
        }
        return {
            **profile.demographics(self.dataset, int(history.user_B[0])),
            "user_id": plain_id(user_id),
            **profile.activity(self.dataset, history),
            **profile.favourites(self.dataset, history),
            **profile.predicted(self.dataset, likely),
        }

    def _history(
        self,
        user_id: RawId | None,
        item_sequence: Sequence[RawId] | None,
        timestamps: Sequence[When | None] | None,
        ratings: Sequence[float | None] | None,
        request_time: When | None,
        user_features: Mapping[str, Any] | None,
        ignore_unknown_items: bool,
    ) -> Histories:
        if item_sequence is None and user_id is None and user_features:
            item_sequence = []
        if item_sequence is None:
            if user_id is None:
                raise UsageError(
                    "pass a user_id, an item_sequence, or both; of somebody new user_features are enough"
                )
            if timestamps is not None or ratings is not None:
                raise UsageError("timestamps and ratings go with an item_sequence")
            history = stored_history(self.dataset, user_id)
        else:
            history = given_history(
                self.dataset, user_id, item_sequence, timestamps, ratings, ignore_unknown_items
            )
        return replace(
            history,
            request_time_B=np.array([seconds(request_time)]),
            user_features=feature_rows(
                self.dataset.user_features, {} if user_features is None else user_features
            ),
        )

    def _list(
        self, history: Histories, k: int, seen: Histories | None, rules: Rules | None
    ) -> list[tuple[int, float, Sequence[Move] | None]]:
        """The best item rows, their scores, and what rules did to them."""
        ready = None if rules is None else self._rules(rules)
        ranking = recommend(self.scorer, history, k, seen=seen, rules=ready)
        items, scores = ranking.items(0), ranking.score_BK[0].tolist()
        if rules is None:
            return [(item, score, None) for item, score in zip(items, scores, strict=False)]
        if rules.filters and not items and (ranking.stages[0].score_BV > EXCLUDED).any():
            raise UsageError(
                f"{rules.filters}: of what the user has not seen no item is left; loosen the rules"
            )
        return list(zip(items, scores, ranking.moves(0), strict=False))

    def _rules(self, rules: Rules) -> ItemRules:
        return ItemRules.resolve(
            rules,
            self.dataset,
            lambda raw: known_row(self.dataset.items, raw),
            self.scorer.item_VD.cpu(),
        )

    def _events(self, history: Histories, item: int, method: str) -> list[EventEffect]:
        """What each event that is read does, the most important first."""
        if method == "gradients":
            effect_E = integrated_gradients(self.scorer, history, item)
            first = len(history.item_N) - len(effect_E)
            order_E = np.argsort(-effect_E, kind="stable")
            return [
                EventEffect(effect=effect_E[e].item(), **self._event(history, first + e))
                for e in order_E.tolist()
            ]
        found = attribute(self.scorer, history, item)
        return [
            EventEffect(
                effect=found.effect_E[event].item(),
                alone=found.alone_E[event].item(),
                rank_without=found.rank_without_E[event].item(),
                **self._event(history, found.event_E[event].item()),
            )
            for event in found.order_E
        ]

    def _event(self, history: Histories, place: int) -> dict[str, Any]:
        """What an event is called."""
        item = int(history.item_N[place])
        return {
            "item_id": self.dataset.items.raw(item),
            "position": place,
            "title": self._title(item),
        }

    def _similar(self, history: Histories, item: int) -> list[SimilarItem]:
        """What is most like the item in the history."""
        return [
            SimilarItem(similarity=cosine, **self._event(history, place))
            for place, cosine in similar_items(self.scorer.item_VD, history.item_N, item)
        ]

    def _ratings(
        self, history: Histories, items: Sequence[int]
    ) -> list[tuple[float, tuple[float, float]] | tuple[None, None]]:
        """What each item's rating is expected to be, and its interval."""
        if not self.scorer.predicts_ratings or not items:
            return [(None, None)] * len(items)
        likely_BR = self.scorer.rating_distribution(history, torch.tensor(items)).cpu().numpy()
        level_R = self.dataset.rating_levels
        first_B, last_B, _ = rating_intervals(likely_BR)
        edges_B = zip(level_R[first_B].tolist(), level_R[last_B].tolist(), strict=True)
        return list(zip((likely_BR @ level_R).tolist(), edges_B, strict=True))

    def _name(self, item: int) -> str:
        return self._title(item) or str(self.dataset.items.raw(item))

    def _title(self, item: int) -> str | None:
        return self.dataset.titles[item - FIRST_ITEM] or None if self.dataset.titles else None


def _as_rules(rules: Rules | Mapping[str, Any]) -> Rules:
    return rules if isinstance(rules, Rules) else Rules.from_dict(rules)


def _count(name: str, value: Any) -> int:
    """A whole number from 1 on. Raises UsageError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise UsageError(f"{name} is {value!r}: it must be a whole number, 1 or more")
    return int(value)
