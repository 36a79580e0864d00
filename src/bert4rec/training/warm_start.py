"""Warm start: training from the weights of a model (Loshchilov and Hutter 2017).

The data are those of the model, or newer. Newer data may hold more users and items (vocabulary
growth). Weights that both networks have under the same name are copied row by row, by
`model.vocabulary_growth`.

Legend: M events that trained the model, X held-out events, U user rows, C evaluation cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import FeatureTables, Kind
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.errors import ConfigError
from bert4rec.evaluation.comparison import Comparison
from bert4rec.evaluation.interactions import training_pairs
from bert4rec.model.network import Bert4Rec
from bert4rec.model.vocabulary_growth import (
    NEW_ROW,
    grown_weights,
    learned_weights,
    matching_rows,
)

VERDICT_METRIC = "ndcg@10"
"""Metric that says if a run is better than its warm-start model."""


def open_warm_start(
    config: RunConfig, dataset: PreparedDataset, split: Split
) -> tuple[Artefact | None, Split]:
    """Warm-start model named by the settings, or None, and the split that it may be validated on.

    Users whose validation event trained the model are left out of validation: with too few events
    for a validation event at the time, they trained on all of them. Raises ArtefactError if the
    model cannot be loaded, ConfigError if its weights do not fit or if it was trained on other
    held-out events.
    """
    folder = config.training.warm_start_from
    if not folder:
        return None, split
    model = artefact.load_for_dataset(folder, dataset)
    if model.training_data["checksum"] == dataset.checksum:
        _refuse(model, artefact.incompatibilities(model, dataset, split))
        return model, split
    _refuse(model, _growth_obstacles(model, dataset))
    leaked_X = _leaked_events(model, dataset, split)
    is_leaked_C = np.isin(split.validation.target_C, leaked_X)
    fit_split = without_validation_users(split, split.validation.user_C[is_leaked_C])
    _refuse(model, _leakage_obstacles(model, len(leaked_X), split, fit_split))
    return model, fit_split


def without_validation_users(split: Split, users: Sequence[int] | Ints) -> Split:
    """Split without the validation cases of these user rows."""
    kept_C = ~np.isin(split.validation.user_C, np.asarray(users, dtype=np.int64))
    return replace(split, validation=split.validation[kept_C])


def load_warm_start(network: Bert4Rec, model: Artefact, dataset: PreparedDataset) -> str:
    """Copy the model's weights into a network for the dataset.

    Returns a line that names the weights without a counterpart, and the growth. Raises ConfigError
    if sizes differ.
    """
    own, known = learned_weights(network), learned_weights(model.network)
    grown = grown_weights(network, model.network, model.dataset, dataset)
    for name, weight in grown.items():
        if own[name].shape != weight.shape:
            raise ConfigError(
                f"warm_start_from {model.source}: its {name} is {_shape(known[name])}, "
                f"this run's is {_shape(own[name])}; take the same sizes in the settings"
            )
    network.load_state_dict({**network.state_dict(), **grown})
    parts = [f"starts from {model.source}"]
    if new := own.keys() - grown.keys():
        parts.append(f"new are {', '.join(sorted(new))}")
    if unused := known.keys() - grown.keys():
        parts.append(f"left are {', '.join(sorted(unused))}")
    if model.dataset.checksum != dataset.checksum:
        parts.append(_growth(model.dataset, dataset))
    elif model.dataset.features_checksum != dataset.features_checksum:
        parts.append("the events are the same, the features differ")
    return "; ".join(parts)


def describe_comparison(comparison: Comparison) -> str:
    """Verdict on a run and its warm-start model: difference in NDCG@10 and its significance."""
    model = comparison.second
    difference = comparison.difference[VERDICT_METRIC]
    if difference.low > 0:
        result = f"better than {model}"
    elif difference.high < 0:
        result = f"worse than {model}: keep that one"
    else:
        result = f"no significant difference from {model} (the 95 % interval includes 0)"
    users = comparison.protocol["users"]
    return f"{result}: NDCG@10 {difference:+.4f} on {users:,} users"


def _refuse(model: Artefact, obstacles: Iterator[str]) -> None:
    """Raise ConfigError with the first obstacle, if any."""
    for obstacle in obstacles:
        raise ConfigError(f"warm_start_from {model.source}: {obstacle}")


def _growth_obstacles(model: Artefact, dataset: PreparedDataset) -> Iterator[str]:
    """Reasons why the model cannot be trained further on newer data."""
    before = model.dataset
    if model.training_data["checksum"] != before.checksum:
        yield (
            "was published without its data, so nobody can tell what it was trained on; "
            "take the model that holds it"
        )
    ids = (("user", before.users, dataset.users), ("item", before.items, dataset.items))
    for kind, known, now in ids:
        if (matching_rows(known, now)[now.first :] == NEW_ROW).all():
            yield f"knows none of the {kind}s of {dataset.name}; there is nothing to go on from"
    features = (
        ("item", before.item_features, dataset.item_features),
        ("user", before.user_features, dataset.user_features),
    )
    for kind, model_features, data_features in features:
        if _kinds(model_features) != _kinds(data_features):
            yield (
                f"knows the {kind} features {', '.join(model_features) or 'none'}, "
                f"{dataset.name} has {', '.join(data_features) or 'none'}; "
                "prepare the newer data with the same columns"
            )
    if before.rating_levels.tolist() != dataset.rating_levels.tolist():
        yield (
            f"knows ratings on another scale than {dataset.name} has; "
            "prepare the newer data on the same one"
        )
    if make_split(before, model.config.split).checksum != model.split["checksum"]:
        yield (
            "was split in another way by the version that trained it, "
            "so nobody can tell what it was trained on"
        )


def _leakage_obstacles(
    model: Artefact, leaked: int, split: Split, fit_split: Split
) -> Iterator[str]:
    """Reasons why the model cannot be evaluated: leaked test events, or no validation user left."""
    left_out = len(split.validation) - len(fit_split.validation)
    advice = f"take data that adds later events to {model.dataset.name}, and the same split"
    if leaked > left_out:
        others = leaked - left_out
        yield f"was trained on {others:,} of the events that this run holds out; {advice}"
    if len(split.validation) and not len(fit_split.validation):
        yield f"was trained on every validation event of this run; {advice}"


def _kinds(features: FeatureTables) -> list[tuple[str, Kind]]:
    return [(name, feature.kind) for name, (feature, _) in features.items()]


def _leaked_events(model: Artefact, dataset: PreparedDataset, split: Split) -> Ints:
    """Indices of held-out events on which the model was trained, `[X]`.

    Events are equal in user, item and time; where either dataset has no times, in user and item.
    """
    before = model.dataset
    trained = make_split(before, model.config.split)
    user_M, item_M = training_pairs(before, trained)
    user_M = matching_rows(dataset.users, before.users)[user_M]
    item_M = matching_rows(dataset.items, before.items)[item_M]
    time_M = before.time_N[training_events(before, trained)]
    all_events = np.arange(len(dataset.item_N))
    held_out_X = np.setdiff1d(all_events, training_events(dataset, split), assume_unique=True)
    user_X = np.searchsorted(np.asarray(dataset.start_U1), held_out_X, side="right") - 1
    # A pair of rows as one number; events of users or items that are gone match nothing.
    pair_X = user_X * dataset.item_rows + dataset.item_N[held_out_X]
    is_gone_M = (user_M == NEW_ROW) | (item_M == NEW_ROW)
    pair_M = np.where(is_gone_M, NEW_ROW, user_M * dataset.item_rows + item_M)
    # Only pairs that occur on both sides become Python objects.
    shared_M = np.isin(pair_M, pair_X)
    timed = before.has_times and dataset.has_times
    times = (time_M[shared_M] * timed).tolist()
    known = set(zip(pair_M[shared_M].tolist(), times, strict=True))
    held_out = zip(pair_X.tolist(), (dataset.time_N[held_out_X] * timed).tolist(), strict=True)
    return held_out_X[[event in known for event in held_out]]


def _growth(before: PreparedDataset, now: PreparedDataset) -> str:
    """Numbers of added users, items and events, as a phrase."""
    users = int((matching_rows(before.users, now.users) == NEW_ROW).sum())
    items = int((matching_rows(before.items, now.items) == NEW_ROW).sum())
    events = len(now.item_N) - len(before.item_N)
    return f"grows by {users:,} users, {items:,} items and {events:,} events to {now.name}"


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
