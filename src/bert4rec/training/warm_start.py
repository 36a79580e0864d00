"""A run that starts from a trained model: a warm restart (Loshchilov and Hutter 2017), or growth with newer data.

What both networks learn under the same name is taken over, row by row (`model.growth`).

Legend: N events, M events that trained the model, X held-out events, C cases, U user rows, V item rows.
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
from bert4rec.data.features import Kind
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.errors import ConfigError
from bert4rec.evaluation.comparison import Comparison
from bert4rec.evaluation.interactions import training_pairs
from bert4rec.model.network import Bert4Rec
from bert4rec.model.vocabulary_growth import (
    NEW_ROW,
    Features,
    grown_weights,
    learned_weights,
    matching_rows,
)

JUDGED = "ndcg@10"
"""What decides whether a run is better than what it started from."""


def warm_start_of(
    run: RunConfig, dataset: PreparedDataset, split: Split
) -> tuple[Artefact | None, Split]:
    """The model that the settings name, None where they name none, and the split without what it cannot be asked.

    Whose validation event trained the model is not asked for it: somebody with too few events to be asked trained on
    all of them. Raises ArtefactError where the model cannot be loaded, ConfigError where its weights mean something
    else or have seen more than that.
    """
    folder = run.training.warm_start_from
    if not folder:
        return None, split
    model = artefact.load_for_dataset(folder, dataset)
    if model.training_data["checksum"] == dataset.checksum:
        _refuse(model, artefact.incompatibilities(model, dataset, split))
        return model, split
    _refuse(model, _why_not_grown(model, dataset))
    known_X = _known_of_held_out(model, dataset, split)
    asked = without_validation_of(
        split, split.validation.user_C[np.isin(split.validation.target_C, known_X)]
    )
    _refuse(model, _why_not_asked(model, len(known_X), split, asked))
    return model, asked


def without_validation_of(split: Split, users: Sequence[int] | Ints) -> Split:
    """The same split, in which nobody of these rows validates."""
    kept_C = ~np.isin(split.validation.user_C, np.asarray(users, dtype=np.int64))
    return replace(split, validation=split.validation[kept_C])


def load_warm_start(network: Bert4Rec, model: Artefact, dataset: PreparedDataset) -> str:
    """Gives the network, which is of the dataset, what the model has learned; a line that says what is new or left.

    Raises ConfigError where the sizes differ.
    """
    own, known = learned_weights(network), learned_weights(model.network)
    grown = grown_weights(network, model.network, model.dataset, dataset)
    for name, weight in grown.items():
        if own[name].shape != weight.shape:
            raise ConfigError(
                f"warm_start_from {model.source}: its {name} is {_shape(known[name])}, this run's is {_shape(own[name])}; "
                "take the same sizes in the settings"
            )
    network.load_state_dict({**network.state_dict(), **grown})
    parts = {"new are": own.keys() - grown.keys(), "left are": known.keys() - grown.keys()}
    return "; ".join(
        [
            f"starts from {model.source}",
            *(f"{which} {', '.join(sorted(names))}" for which, names in parts.items() if names),
            *_growth(model.dataset, dataset),
        ]
    )


def verdict(comparison: Comparison) -> str:
    """Whether the first of two reports, that of a run, is better than the second, of what it started from."""
    difference = comparison.difference[JUDGED]
    said = {
        difference.low > 0: f"better than {comparison.second}",
        difference.high < 0: f"worse than {comparison.second}: keep that one",
    }.get(True, f"not better than {comparison.second}, as far as these users tell")
    return f"{said}: NDCG@10 {difference:+.4f} on {comparison.protocol['users']:,} users"


# What stands in the way of other data


def _refuse(model: Artefact, obstacles: Iterator[str]) -> None:
    for obstacle in obstacles:
        raise ConfigError(f"warm_start_from {model.source}: {obstacle}")


def _why_not_grown(model: Artefact, dataset: PreparedDataset) -> Iterator[str]:
    """Why a run on other data cannot go on from the model."""
    before = model.dataset
    if model.training_data["checksum"] != before.checksum:
        yield "was published without its data, so nobody can tell what it was trained on; take the model that holds it"
    for kind, known, now in (
        ("user", before.users, dataset.users),
        ("item", before.items, dataset.items),
    ):
        if (matching_rows(known, now)[now.first :] == NEW_ROW).all():
            yield f"knows none of the {kind}s of {dataset.name}; there is nothing to go on from"
    for kind, of, wanted in (
        ("item", before.item_features, dataset.item_features),
        ("user", before.user_features, dataset.user_features),
    ):
        if _kinds(of) != _kinds(wanted):
            yield (
                f"knows the {kind} features {', '.join(of) or 'none'}, {dataset.name} has "
                f"{', '.join(wanted) or 'none'}; prepare the newer data with the same columns"
            )
    if before.rating_levels.tolist() != dataset.rating_levels.tolist():
        yield f"knows ratings on another scale than {dataset.name} has; prepare the newer data on the same one"
    if make_split(before, model.run.split).checksum != model.split["checksum"]:
        yield "was split in another way by the version that trained it, so nobody can tell what it was trained on"


def _why_not_asked(model: Artefact, known: int, split: Split, asked: Split) -> Iterator[str]:
    """Why a model that was trained on so many held-out events cannot be asked, not even without those of validation."""
    others = known - (len(split.validation) - len(asked.validation))
    then = f"take data that adds later events to {model.dataset.name}, and the same split"
    if others:
        yield f"was trained on {others:,} of the events that this run holds out; {then}"
    if len(split.validation) and not len(asked.validation):
        yield f"was trained on every validation event of this run; {then}"


def _kinds(features: Features) -> list[tuple[str, Kind]]:
    return [(name, feature.kind) for name, (feature, _) in features.items()]


def _known_of_held_out(model: Artefact, dataset: PreparedDataset, split: Split) -> Ints:
    """The indices of the events that do not train here but trained the model: that user with that item at that time.

    Where either side has no times, the pair alone must do.
    """
    before = model.dataset
    trained = make_split(before, model.run.split)
    user_M, item_M = training_pairs(before, trained)
    user_M, item_M = (
        matching_rows(dataset.users, before.users)[user_M],
        matching_rows(dataset.items, before.items)[item_M],
    )
    time_M = before.time_N[training_events(before, trained)]
    held_out_X = np.setdiff1d(
        np.arange(len(dataset.item_N)), training_events(dataset, split), assume_unique=True
    )
    user_X = np.searchsorted(np.asarray(dataset.start_U1), held_out_X, side="right") - 1
    # A pair of rows as one number; what the dataset does not know is no pair of it.
    pair_X = user_X * dataset.item_rows + dataset.item_N[held_out_X]
    pair_M = np.where(
        (user_M == NEW_ROW) | (item_M == NEW_ROW), NEW_ROW, user_M * dataset.item_rows + item_M
    )
    met_M = np.isin(pair_M, pair_X)
    timed = before.has_times and dataset.has_times
    known = set(zip(pair_M[met_M].tolist(), (time_M[met_M] * timed).tolist(), strict=True))
    asked = zip(pair_X.tolist(), (dataset.time_N[held_out_X] * timed).tolist(), strict=True)
    return held_out_X[[pair in known for pair in asked]]


def _growth(before: PreparedDataset, now: PreparedDataset) -> list[str]:
    """What the newer data adds, in words."""
    if before.checksum == now.checksum:
        return []
    users, items = (
        int((matching_rows(known, wanted) == NEW_ROW).sum())
        for known, wanted in ((before.users, now.users), (before.items, now.items))
    )
    events = len(now.item_N) - len(before.item_N)
    return [f"grows by {users:,} users, {items:,} items and {events:,} events to {now.name}"]


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
