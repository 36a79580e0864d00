"""`RecommendationEngine`: raw ids in, answers out. What a product team touches.

All scores come from the model's scorer and all lists from `ranking`, as in evaluation: offline numbers describe
what is answered here.

Legend: B users, K list length, V item rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.histories import Histories
from bert4rec.engine import profile
from bert4rec.engine.answers import EventEffect, Explanation, Recommendation, Recommendations
from bert4rec.engine.asking import When, feature_rows, given_history, plain_id, seconds, stored_history
from bert4rec.engine.explain import measured_effects, sentence_of, without_event, without_side_information
from bert4rec.errors import UnknownItem, UsageError
from bert4rec.ids import FIRST_ITEM, NO_TIME, RawId
from bert4rec.ranking import NEVER, exclude, top_k


class RecommendationEngine:
    """Recommends, explains and profiles, for known and new users.

    All methods take raw ids of the type the data has. The history is the stored one of `user_id`, or the
    `item_sequence` that is passed:

    - `item_sequence` given: it is the history, oldest first, and no event is read from storage; the id and demographics
      of a known `user_id` still count.
    - `item_sequence` None: the stored history; a user without one raises UnknownUser.
    - an unknown user with a sequence is answered as a new user, with whatever `user_features` say; no error.
    - an empty sequence is answered from the user and the moment alone; no error.
    - an unknown item in the sequence raises UnknownItem, unless `ignore_unknown_items`.

    `timestamps` and `ratings` go with `item_sequence`, one for each item. `request_time` is when the list is asked for
    (seconds, datetime or "now"); unknown by default, and the model was trained for both. `user_features` are raw values
    (`{"gender": "F", "age_group": "25-34"}`) in place of the stored ones; None means unknown.
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
    ) -> RecommendationEngine:
        """The engine of a model folder, or of the pair `model_path` and `metadata_path`."""
        if (folder is None) == (model_path is None) or (model_path is None) != (metadata_path is None):
            raise UsageError("name a model folder, or model_path and metadata_path together")
        if folder is not None:
            return cls(artefact.load(folder))
        assert model_path is not None
        assert metadata_path is not None
        return cls(artefact.load_files(model_path, metadata_path))

    def get_recommendations(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        *,
        timestamps: Sequence[When] | None = None,
        ratings: Sequence[float | None] | None = None,
        request_time: When | None = None,
        user_features: Mapping[str, Any] | None = None,
        ignore_unknown_items: bool = False,
    ) -> Recommendations:
        """The `k` best items, best first; fewer only if fewer are left.

        With `filter_seen` nothing from the history is listed.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise UsageError(f"k is {k!r}: it must be a whole number, 1 or more")
        history = self._history(
            user_id, item_sequence, timestamps, ratings, request_time, user_features, ignore_unknown_items
        )
        score_BV = self.scorer.score(history).cpu()
        seen = torch.from_numpy(history.item_N.astype(np.int64)) if filter_seen else torch.empty(0, dtype=torch.long)
        exclude(score_BV, torch.zeros_like(seen), seen)
        item_BK, best_BK = top_k(score_BV, int(k))
        listed = [
            (item, score) for item, score in zip(item_BK[0].tolist(), best_BK[0].tolist(), strict=True) if score > NEVER
        ]
        ratings_K = self._expected_ratings(history, [item for item, _ in listed])
        return Recommendations(
            user_id,
            [
                Recommendation(self.dataset.items.raw(item), rank, score, self._title(item), rating)
                for rank, ((item, score), rating) in enumerate(zip(listed, ratings_K, strict=True), 1)
            ],
        )

    def explain_recommendation(
        self,
        user_id: RawId | None = None,
        item_sequence: Sequence[RawId] | None = None,
        recommended_item_id: RawId | None = None,
        *,
        timestamps: Sequence[When] | None = None,
        ratings: Sequence[float | None] | None = None,
        request_time: When | None = None,
        user_features: Mapping[str, Any] | None = None,
        ignore_unknown_items: bool = False,
    ) -> Explanation:
        """Why an item stands where it stands; any known item may be asked about, also one that was seen.

        Every effect is measured: the item's score with everything minus its score without that one event or piece of
        information, the rest unchanged (leave-one-out attribution, Li et al. 2016). Effects do not add up to the score.
        """
        if recommended_item_id is None:
            raise UsageError("recommended_item_id is missing: name the item to explain")
        item = self.dataset.items.row(plain_id(recommended_item_id))
        if item is None:
            raise UnknownItem([recommended_item_id])
        history = self._history(
            user_id, item_sequence, timestamps, ratings, request_time, user_features, ignore_unknown_items
        )
        history = self._with_all_features(history)
        count = len(history.item_N)
        read = range(max(0, count - self.model.run.model.seq_length), count)
        hidden = without_side_information(history, self.dataset, history.request_time_B[0] != NO_TIME)
        variants = [history, *(without_event(history, event) for event in read), *hidden.values()]
        score_B, place_B = measured_effects(self.scorer, variants, history, item)
        effect_B = (score_B[0] - score_B).tolist()
        events = [
            EventEffect(
                self.dataset.items.raw(int(history.item_N[event])),
                effect_B[number],
                int(place_B[number]),
                event,
                self._title(int(history.item_N[event])),
            )
            for number, event in enumerate(read, 1)
        ]
        events.sort(key=lambda event: -abs(event.effect))
        title, score, rank = self._title(item), float(score_B[0]), int(place_B[0])
        return Explanation(
            user_id=user_id,
            item_id=self.dataset.items.raw(item),
            title=title,
            score=score,
            rank=rank,
            events=events,
            side_information=dict(zip(hidden, effect_B[1 + len(read) :], strict=True)),
            expected_rating=self._expected_ratings(history, [item])[0],
            sentence=sentence_of(self.dataset.items.raw(item), title, rank, score, events),
        )

    def get_user_profile(self, user_id: RawId) -> dict[str, Any]:
        """What is known and predicted of a stored user.

        Demographics come first, under the data's own names (`{'gender': 'M', 'age_group': '25-34', 'occupation_code':
        7, …}`; None where unknown), then what a code means, the activity, the favourite values of each multi-valued
        item feature in the history, and the values that the preference head expects in the coming events.
        """
        history = stored_history(self.dataset, user_id)
        likely = {name: likely_BW[0].cpu().numpy() for name, likely_BW in self.scorer.preference(history).items()}
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
        timestamps: Sequence[When] | None,
        ratings: Sequence[float | None] | None,
        request_time: When | None,
        user_features: Mapping[str, Any] | None,
        ignore_unknown_items: bool,
    ) -> Histories:
        if item_sequence is None:
            if user_id is None:
                raise UsageError("pass a user_id, an item_sequence, or both")
            if timestamps is not None or ratings is not None:
                raise UsageError("timestamps and ratings go with an item_sequence")
            history = stored_history(self.dataset, user_id)
        else:
            history = given_history(self.dataset, user_id, item_sequence, timestamps, ratings, ignore_unknown_items)
        return replace(
            history,
            request_time_B=np.array([seconds(request_time)]),
            user_features=feature_rows(self.dataset, user_features or {}),
        )

    def _with_all_features(self, history: Histories) -> Histories:
        """The same with the stored demographics spelled out, so that each can be hidden alone."""
        stored = {name: np.asarray(table)[history.user_B] for name, (_, table) in self.dataset.user_features.items()}
        return replace(history, user_features={**stored, **history.user_features})

    def _expected_ratings(self, history: Histories, items: Sequence[int]) -> list[float | None]:
        if not self.scorer.rates or not items:
            return [None] * len(items)
        repeated = history.take(np.zeros(len(items), dtype=np.int64))
        likely_BR = self.scorer.rating_distribution(repeated, torch.tensor(items)).cpu().numpy()
        return (likely_BR @ self.dataset.rating_levels).tolist()

    def _title(self, item: int) -> str | None:
        return self.dataset.titles[item - FIRST_ITEM] or None if self.dataset.titles else None
