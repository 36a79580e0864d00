"""A run that starts from a trained model: a warm restart (Loshchilov and Hutter 2017), or growth with newer data.

What both networks learn under the same name is taken over, row by row (`model.growth`).

Legend: X events, U user rows, V item rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.prepared import Kind, PreparedDataset
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.errors import ConfigError
from bert4rec.evaluation.counts import training_pairs
from bert4rec.evaluation.report import Comparison
from bert4rec.model.growth import NEW, Features, grown_weights, learned, matched
from bert4rec.model.network import Bert4Rec

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
    own, known = learned(network), learned(model.network)
    grown = grown_weights(network, model.network, model.dataset, dataset)
    for name, weight in grown.items():
        if own[name].shape != weight.shape:
            raise ConfigError(
                f"start_from {model.source}: its {name} is {_shape(known[name])}, this run's is {_shape(own[name])}; "
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
    trained = make_split(before, model.run.split)
    user_X, item_X = training_pairs(before, trained)
    time_X = before.time_N[training_events(before, trained)]
    asked_X = np.concatenate([split.validation.target_C, split.test.target_C])
    asked_user_X = np.concatenate([split.validation.user_C, split.test.user_C])
    user_row_U = matched(dataset.users, before.users)
    item_row_V = matched(dataset.items, before.items)
    # A pair of rows as one number, in the rows of the dataset; NEW users and items are no pair of it.
    pair_X = user_row_U[user_X] * dataset.item_rows + item_row_V[item_X]
    is_known_X = (user_row_U[user_X] != NEW) & (item_row_V[item_X] != NEW)
    asked_pair_X = asked_user_X.astype(np.int64) * dataset.item_rows + dataset.item_N[asked_X]
    met_X = np.flatnonzero(is_known_X & np.isin(pair_X, asked_pair_X))
    timed = before.has_times and dataset.has_times  # else the pair alone must do
    met = set(zip(pair_X[met_X].tolist(), (time_X[met_X] * timed).tolist(), strict=True))
    asked = zip(asked_pair_X.tolist(), (dataset.time_N[asked_X] * timed).tolist(), strict=True)
    return sum(pair in met for pair in asked)


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


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
