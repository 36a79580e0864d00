"""A network over other rows: what one has learned of users, items and values, in another that has more of them.

Rows are matched by raw ids: a new user begins as the unknown one, a new item by its metadata alone, a new value as
the mean of those known and without a bias for cold_start_bias. Numbers are read as before, whatever each dataset
standardises them by.

Legend: R rows of a weight, W width of a value's vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.ids import PAD, UNKNOWN, Vocabulary
from bert4rec.model.cold_start_bias import ColdStartBias
from bert4rec.model.metadata import FeatureEncoder
from bert4rec.model.network import COLD_ITEM_PENALTY, ITEM_ROW_WEIGHTS, USER_ROW_WEIGHTS, Bert4Rec

Features = Mapping[str, tuple[Feature, Any]]

COLD_START_BIAS_ITEMS, COLD_START_BIAS_VALUES = "cold_start_bias.item_I", "cold_start_bias.bias_FI"
NEW_ROW = -1
"""In the place of a row that the known network has not."""


def grown_weights(
    network: Bert4Rec, known: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> dict[str, Tensor]:
    """What the network, which is of `now`, takes over of the known one, which is of `before`: by name, of all that both
    learn. Both have the same features; a weight that differs in more than its rows comes as it is known.
    """
    own, learned_before, rows = (
        learned_weights(network),
        learned_weights(known),
        dict(_rows(network, known, before, now)),
    )
    grown = {
        name: _at_rows(
            learned_before[name], rows[name], _unlearned(network, name, learned_before[name])
        )
        if name in rows
        else learned_before[name]
        for name in sorted(own.keys() & learned_before.keys())
    }
    chosen_X = _rows_now(
        learned_before[COLD_START_BIAS_ITEMS], matching_rows(before.items, now.items)
    )
    return {
        **grown,
        **dict(_in_other_units(network, before, now, grown)),
        COLD_START_BIAS_ITEMS: chosen_X,
    }


def learned_weights(network: Bert4Rec) -> dict[str, Tensor]:
    """All that training changes, by name."""
    trained = {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    found = {
        name: network.get_buffer(name)
        for name in (COLD_ITEM_PENALTY, COLD_START_BIAS_ITEMS, COLD_START_BIAS_VALUES)
    }
    return {**trained, **found}


def _rows(
    network: Bert4Rec, known: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> Iterator[tuple[str, Ints]]:
    """By the name of a weight, which row of the model's each row of the network's continues, or NEW_ROW."""
    item_R = matching_rows(before.items, now.items)
    user_R = matching_rows(before.users, now.users)
    yield from ((name, item_R) for name in ITEM_ROW_WEIGHTS)
    yield from ((name, np.where(user_R == NEW_ROW, UNKNOWN, user_R)) for name in USER_ROW_WEIGHTS)
    yield (
        COLD_START_BIAS_VALUES,
        _columns(network.cold_start_bias, known.cold_start_bias, before, now),
    )
    for prefix, encoder in _encoders(network):
        name = encoder.feature.name
        if encoder.feature.kind is not Kind.NUMERIC:
            yield (
                f"{prefix}.values.weight",
                _values(_side(prefix, before)[name], _side(prefix, now)[name]),
            )
    for number, name in enumerate(
        network.preference_head.names if network.preference_head is not None else ()
    ):
        value_R = _values(before.item_features[name], now.item_features[name])[
            1:
        ]  # what is unknown is not predicted
        value_R = np.where(value_R == NEW_ROW, NEW_ROW, value_R - 1)
        yield from (
            (f"preference_head.values.{number}.{part}", value_R) for part in ("weight", "bias")
        )


def _columns(
    own: ColdStartBias, known: ColdStartBias, before: PreparedDataset, now: PreparedDataset
) -> Ints:
    """Likewise of the columns of the cold_start_bias' biases."""
    found, first = [np.zeros(1, dtype=np.int64)], known.first_column_of_features()
    for name in (of.name for of in own.features):
        value_R = _values(before.user_features[name], now.user_features[name])
        found.append(
            np.where(
                (value_R == NEW_ROW) | (name not in first), NEW_ROW, value_R + first.get(name, 0)
            )
        )
    return np.concatenate(found)


def _rows_now(item_X: Tensor, known_R: Ints) -> Tensor:
    """The rows now of items that had these rows before, by which row each one continues; PAD where it is gone."""
    now_of = np.full(max(int(item_X.max()), int(known_R.max())) + 1, PAD)
    there_R = known_R != NEW_ROW
    now_of[known_R[there_R]] = np.flatnonzero(there_R)
    return torch.from_numpy(now_of[item_X.numpy()])


def _side(prefix: str, dataset: PreparedDataset) -> Features:
    """The features that encoders of this name read."""
    return dataset.item_features if prefix.startswith("metadata") else dataset.user_features


def _encoders(network: Bert4Rec) -> Iterator[tuple[str, FeatureEncoder]]:
    """The feature encoders, each with the beginning of its weights' names."""
    for name, module in network.named_modules():
        if isinstance(module, FeatureEncoder):
            yield name, module


def matching_rows(known: Vocabulary, wanted: Vocabulary) -> Ints:
    """The row among the known ids of each wanted one, after the reserved rows, which mean the same in both.

    A column that was read as numbers and now as text, or the other way round, holds the same ids.
    """
    row_of = {str(raw): row for row, raw in enumerate(known.ids, known.first)}
    return np.array(
        [*range(wanted.first), *(row_of.get(str(raw), NEW_ROW) for raw in wanted.ids)],
        dtype=np.int64,
    )


def _values(known: tuple[Feature, Any], wanted: tuple[Feature, Any]) -> Ints:
    """Likewise of a feature's values; row 0 is the unknown one."""
    before, now = (Vocabulary(feature.values, UNKNOWN + 1) for feature, _ in (known, wanted))
    return matching_rows(before, now)


def _at_rows(known: Tensor, row_R: Ints, unlearned: Tensor) -> Tensor:
    """The known rows in another order, and as they are unlearned where they are new."""
    row = torch.from_numpy(row_R)
    if unlearned.shape[1:] != known.shape[1:]:
        return known  # of another size, which is refused
    return torch.where(
        (row != NEW_ROW).view(-1, *[1] * (known.dim() - 1)), known[row.clamp(min=0)], unlearned
    )


def _unlearned(network: Bert4Rec, name: str, known: Tensor) -> Tensor:
    """A weight before it learns anything of what is new.

    That of items is zero where metadata speaks for them, that of a feature's values their known rows' mean.
    """
    drawn = learned_weights(network)[name]
    if name in ITEM_ROW_WEIGHTS and network.places_cold_start_items:
        return torch.zeros_like(drawn)
    if name.endswith(".values.weight") and len(known) > UNKNOWN + 1:
        return known[UNKNOWN + 1 :].mean(0).expand_as(drawn)
    return drawn


def _in_other_units(
    network: Bert4Rec, before: PreparedDataset, now: PreparedDataset, grown: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Projections of numbers, which each dataset standardises by its own mean and scale, for those of the newer one."""
    for prefix, encoder in _encoders(network):
        if encoder.feature.kind is Kind.NUMERIC and f"{prefix}.project.weight" in grown:
            known, wanted = (
                _side(prefix, dataset)[encoder.feature.name][0] for dataset in (before, now)
            )
            factor, shift = wanted.scale / known.scale, (wanted.mean - known.mean) / known.scale
            weight_W2, bias_W = grown[f"{prefix}.project.weight"], grown[f"{prefix}.project.bias"]
            value_W, missing_W = weight_W2.unbind(1)
            yield (
                f"{prefix}.project.weight",
                torch.stack([value_W * factor, missing_W - value_W * shift], dim=1),
            )
            yield f"{prefix}.project.bias", bias_W + value_W * shift
