"""A run that starts from a trained model: a warm restart (Loshchilov and Hutter 2017), or growth with newer data.

What both networks learn under the same name is taken over. Rows of users, items and feature values are matched by their
raw ids: a new user begins as the unknown one, a new item by its metadata alone, a new value as it was drawn.

Legend: R rows of a weight, X events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.histories import Ints
from bert4rec.data.prepared import Feature, Kind, PreparedDataset
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.errors import ConfigError
from bert4rec.evaluation.report import Comparison
from bert4rec.ids import FIRST_ITEM, UNKNOWN, Vocabulary
from bert4rec.model.metadata import FeatureEncoder
from bert4rec.model.network import Bert4Rec

Features = Mapping[str, tuple[Feature, Any]]

NEW = -1
"""In the place of a row that the model has not."""
OF_ITEMS = ("item.weight", "item_head.bias_V", "rating_head.factors.item.weight")
OF_USERS = ("user.user.weight", "rating_head.factors.user.weight")
"""Weights that have a row for each item, and for each user."""
JUDGED = "ndcg@10"
"""What decides whether a run is better than what it started from."""


def starting_point(run: RunConfig, dataset: PreparedDataset, split: Split) -> Artefact | None:
    """The model that the settings name; None where they name none.

    Raises ArtefactError where it cannot be loaded, ConfigError where its weights mean something else or may have seen
    what this run is asked.
    """
    folder = run.training.start_from
    if not folder:
        return None
    model = artefact.load_for(folder, dataset)
    same = model.data["checksum"] == dataset.checksum
    for obstacle in artefact.why_not(model, dataset, split) if same else _why_not_grown(model, dataset, split):
        raise ConfigError(f"start_from {folder}: {obstacle}")
    return model


def take_over(network: Bert4Rec, model: Artefact, dataset: PreparedDataset) -> str:
    """Gives the network, which is of the dataset, what the model has learned; a line that says what is new or left.

    Raises ConfigError where the sizes differ.
    """
    own, known = _learned(network), _learned(model.network)
    shared = own.keys() & known.keys()
    rows = dict(_rows(network, model.dataset, dataset))
    grown = {}
    for name in sorted(shared):
        grown[name] = _at_rows(known[name], rows[name], _unlearned(network, name)) if name in rows else known[name]
        if own[name].shape != grown[name].shape:
            raise ConfigError(
                f"start_from {model.source}: its {name} is {_shape(known[name])}, this run's is {_shape(own[name])}; "
                "take the same sizes in the settings"
            )
    grown |= _in_other_units(network, model.dataset, dataset, grown)
    network.load_state_dict({**network.state_dict(), **grown})
    parts = {"new are": own.keys() - shared, "left are": known.keys() - shared}
    return "; ".join(
        [
            f"starts from {model.source}",
            *(f"{which} {', '.join(sorted(names))}" for which, names in parts.items() if names),
            *_growth(model.dataset, dataset),
        ]
    )


def verdict(comparison: Comparison) -> str:
    """Whether the first of two reports, that of a run, is better than the second, of what it started from."""
    difference, (low, high) = comparison.difference[JUDGED], comparison.intervals[JUDGED]
    said = {
        low > 0: f"better than {comparison.second}",
        high < 0: f"worse than {comparison.second}: keep that one",
    }.get(True, f"not better than {comparison.second}, as far as these users tell")
    return f"{said}: NDCG@10 {difference:+.4f} [{low:+.4f}, {high:+.4f}] on {comparison.protocol['users']:,} users"


# What stands in the way of other data


def _why_not_grown(model: Artefact, dataset: PreparedDataset, split: Split) -> Iterator[str]:
    """Why a run on other data cannot go on from the model."""
    before = model.dataset
    if model.data["checksum"] != before.checksum:
        yield "was published without its data, so nobody can tell what it was trained on; take the model that holds it"
    for kind, known, now in (("user", before.users, dataset.users), ("item", before.items, dataset.items)):
        if not any(raw in known for raw in now.ids):
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
    known_answers = _answers_that_trained(model, dataset, split)
    if known_answers:
        yield (
            f"was trained on {known_answers:,} of the events that this run is asked for; "
            f"take data that adds later events to {before.name}, and the same split"
        )


def _kinds(features: Features) -> list[tuple[str, Kind]]:
    return [(name, feature.kind) for name, (feature, _) in features.items()]


def _answers_that_trained(model: Artefact, dataset: PreparedDataset, split: Split) -> int:
    """How many validation and test events are among those that the model was trained on."""
    before = model.dataset
    trained_X = training_events(before, make_split(before, model.run.split))
    asked_X = np.concatenate([split.validation.target_C, split.test.target_C])
    asked_user_X = np.concatenate([split.validation.user_C, split.test.user_C])
    user_X, item_X = _user_of_events(before)[trained_X], before.item_N[trained_X]
    user_row_U = _matched(dataset.users, before.users, reserved=[UNKNOWN])
    item_row_V = _matched(dataset.items, before.items, reserved=range(FIRST_ITEM))
    # A pair of rows as one number, in the rows of the dataset; NEW users and items are no pair of it.
    pair_X = user_row_U[user_X] * dataset.item_rows + item_row_V[item_X]
    is_known_X = (user_row_U[user_X] != NEW) & (item_row_V[item_X] != NEW)
    asked_pair_X = asked_user_X.astype(np.int64) * dataset.item_rows + dataset.item_N[asked_X]
    met_X = np.flatnonzero(is_known_X & np.isin(pair_X, asked_pair_X))
    timed = before.has_times and dataset.has_times  # else the pair alone must do
    met = set(zip(pair_X[met_X].tolist(), (before.time_N[trained_X][met_X] * timed).tolist(), strict=True))
    asked = zip(asked_pair_X.tolist(), (dataset.time_N[asked_X] * timed).tolist(), strict=True)
    return sum(pair in met for pair in asked)


def _user_of_events(dataset: PreparedDataset) -> Ints:
    return np.repeat(np.arange(len(dataset.start_U1) - 1), np.diff(dataset.start_U1))


# Rows by raw ids


def _rows(network: Bert4Rec, before: PreparedDataset, now: PreparedDataset) -> Iterator[tuple[str, Ints]]:
    """By the name of a weight, which row of the model's each row of the network's continues, or NEW."""
    item_R = _matched(before.items, now.items, reserved=range(FIRST_ITEM))
    user_R = _matched(before.users, now.users, reserved=[UNKNOWN])
    yield from ((name, item_R) for name in OF_ITEMS)
    yield from ((name, np.where(user_R == NEW, UNKNOWN, user_R)) for name in OF_USERS)
    for prefix, encoder in _encoders(network):
        name = encoder.spec.name
        if encoder.spec.kind is not Kind.NUMERIC:
            yield f"{prefix}.values.weight", _values(_side(prefix, before)[name], _side(prefix, now)[name])
    for number, name in enumerate(network.preference_head.names if network.preference_head is not None else ()):
        value_R = _values(before.item_features[name], now.item_features[name])[1:]  # what is unknown is not predicted
        value_R = np.where(value_R == NEW, NEW, value_R - 1)
        yield from ((f"preference_head.values.{number}.{part}", value_R) for part in ("weight", "bias"))


def _side(prefix: str, dataset: PreparedDataset) -> Features:
    """The features that encoders of this name read."""
    return dataset.item_features if prefix.startswith("metadata") else dataset.user_features


def _encoders(network: Bert4Rec) -> Iterator[tuple[str, FeatureEncoder]]:
    """The feature encoders, each with the beginning of its weights' names."""
    for name, module in network.named_modules():
        if isinstance(module, FeatureEncoder):
            yield name, module


def _matched(known: Vocabulary, wanted: Vocabulary, reserved: Sequence[int]) -> Ints:
    """The row among the known ids of each wanted one, after the reserved rows, which mean the same in both."""
    rows = (known.row(raw) for raw in wanted.ids)
    return np.array([*reserved, *(NEW if row is None else row for row in rows)], dtype=np.int64)


def _values(known: tuple[Feature, Any], wanted: tuple[Feature, Any]) -> Ints:
    """Likewise of a feature's values; row 0 is the unknown one."""
    before, now = (Vocabulary(feature.values, UNKNOWN + 1) for feature, _ in (known, wanted))
    return _matched(before, now, reserved=[UNKNOWN])


def _at_rows(known: Tensor, row_R: Ints, unlearned: Tensor) -> Tensor:
    """The known rows in another order, and as they are unlearned where they are new."""
    row = torch.from_numpy(row_R)
    if unlearned.shape[1:] != known.shape[1:]:
        return known  # of another size, which is refused
    return torch.where((row != NEW).view(-1, *[1] * (known.dim() - 1)), known[row.clamp(min=0)], unlearned)


def _unlearned(network: Bert4Rec, name: str) -> Tensor:
    """A weight before it learns anything; that of new items is zero where metadata speaks for them."""
    drawn = _learned(network)[name]
    return torch.zeros_like(drawn) if name in OF_ITEMS and network.places_new_items else drawn


def _in_other_units(
    network: Bert4Rec, before: PreparedDataset, now: PreparedDataset, grown: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Projections of numbers, which each dataset standardises by its own mean and scale, for those of the newer one."""
    for prefix, encoder in _encoders(network):
        if encoder.spec.kind is Kind.NUMERIC and f"{prefix}.project.weight" in grown:
            known, wanted = (_side(prefix, dataset)[encoder.spec.name][0] for dataset in (before, now))
            factor, shift = wanted.scale / known.scale, (wanted.mean - known.mean) / known.scale
            weight_W2, bias_W = grown[f"{prefix}.project.weight"], grown[f"{prefix}.project.bias"]
            value_W, missing_W = weight_W2.unbind(1)
            yield f"{prefix}.project.weight", torch.stack([value_W * factor, missing_W - value_W * shift], dim=1)
            yield f"{prefix}.project.bias", bias_W + value_W * shift


def _growth(before: PreparedDataset, now: PreparedDataset) -> list[str]:
    """What the newer data adds, in words."""
    if before.checksum == now.checksum:
        return []
    users, items = (
        sum(raw not in known for raw in wanted.ids)
        for known, wanted in ((before.users, now.users), (before.items, now.items))
    )
    events = len(now.item_N) - len(before.item_N)
    return [f"grows by {users:,} users, {items:,} items and {events:,} events to {now.name}"]


def _learned(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
