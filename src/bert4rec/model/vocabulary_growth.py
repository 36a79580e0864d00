"""Vocabulary growth: weights of a trained network, carried over to newer data with more rows.

Rows are matched by raw ids. A new user begins as the unknown user and a new item by its metadata
alone. A new feature value begins as the mean of the known ones, without a cold-start bias. Numeric
features are read as before, by whatever mean and scale each dataset standardises them.

Legend: O rows of a weight, D its columns, I items that have a cold-start bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.ids import PAD, UNKNOWN, Vocabulary
from bert4rec.model.cold_start_bias import ColdStartBias
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY, ITEM_ROW_WEIGHTS, USER_ROW_WEIGHTS
from bert4rec.model.metadata import FeatureEncoder
from bert4rec.model.network import Bert4Rec

BIAS_ITEMS = "cold_start_bias.item_I"
BIAS_VALUES = "cold_start_bias.bias_FI"
FITTED_BUFFERS = (COLD_ITEM_PENALTY, BIAS_ITEMS, BIAS_VALUES)
"""Buffers that are fitted after training."""
NEW_ROW = -1
"""Row number in place of one that the older network does not have."""


def grown_weights(
    network: Bert4Rec, older: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> dict[str, Tensor]:
    """Weights by name that the network of the data `now` takes from the older one, of `before`.

    They are those that both networks learn. Both datasets have the same features. A weight whose
    columns differ comes as it is, for the caller to refuse.
    """
    own, known = learned_weights(network), learned_weights(older)
    rows = dict(_matching_rows_of_weights(network, older, before, now))
    grown = {}
    for name in sorted(own.keys() & known.keys()):
        weight = known[name]
        if name in rows:
            weight = _take_rows(weight, rows[name], _new_rows(network, name, own[name], weight))
        grown[name] = weight
    item_O = matching_rows(before.items, now.items)
    grown.update(_rescaled_projections(network, before, now, grown))
    grown[BIAS_ITEMS] = _current_rows(known[BIAS_ITEMS], item_O)
    return grown


def learned_weights(network: Bert4Rec) -> dict[str, Tensor]:
    """Weights and buffers that training changes, by name."""
    weights = {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    return weights | {name: network.get_buffer(name) for name in FITTED_BUFFERS}


def matching_rows(known: Vocabulary, wanted: Vocabulary) -> Ints:
    """Row among the known ids of each wanted one, NEW_ROW where there is none.

    Reserved rows mean the same in both. Ids are compared as text: a column may have been read as
    numbers before and as text now.
    """
    row_of = {str(raw): row for row, raw in enumerate(known.ids, known.first)}
    reserved = range(wanted.first)
    return np.array(
        [*reserved, *(row_of.get(str(raw), NEW_ROW) for raw in wanted.ids)], dtype=np.int64
    )


def _matching_rows_of_weights(
    network: Bert4Rec, older: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> Iterator[tuple[str, Ints]]:
    """Name of each weight that has rows, and the older weight's row of each new one."""
    item_O = matching_rows(before.items, now.items)
    user_O = matching_rows(before.users, now.users)
    # The unknown user's row is trained by user dropout: a new user is no worse off than that.
    user_or_unknown_O = np.where(user_O == NEW_ROW, UNKNOWN, user_O)
    for name in ITEM_ROW_WEIGHTS:
        yield name, item_O
    for name in USER_ROW_WEIGHTS:
        yield name, user_or_unknown_O
    yield BIAS_VALUES, _matching_bias_columns(network, older, before, now)
    for prefix, encoder in _encoders(network):
        if encoder.feature.kind is not Kind.NUMERIC:
            known, wanted = _feature_of(encoder, prefix, before), _feature_of(encoder, prefix, now)
            yield f"{prefix}.values.weight", _matching_values(known, wanted)
    yield from _matching_predicted_values(network, before, now)


def _matching_bias_columns(
    network: Bert4Rec, older: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> Ints:
    """Older column of each column of the cold-start bias."""
    own: ColdStartBias = network.cold_start_bias
    first_column = older.cold_start_bias.first_column_of_features()
    columns = [np.zeros(1, dtype=np.int64)]
    for name in own.first_column_of_features():
        known, wanted = before.user_features[name][0], now.user_features[name][0]
        value_O = _matching_values(known, wanted)
        is_new_O = (value_O == NEW_ROW) | (name not in first_column)
        columns.append(np.where(is_new_O, NEW_ROW, value_O + first_column.get(name, 0)))
    return np.concatenate(columns)


def _matching_predicted_values(
    network: Bert4Rec, before: PreparedDataset, now: PreparedDataset
) -> Iterator[tuple[str, Ints]]:
    """Rows of the preference head's layers; the unknown value is not predicted and has no row."""
    if network.preference_head is None:
        return
    for number, name in enumerate(network.preference_head.names):
        known, wanted = before.item_features[name][0], now.item_features[name][0]
        value_O = _matching_values(known, wanted)[1:]
        predicted_O = np.where(value_O == NEW_ROW, NEW_ROW, value_O - 1)
        for part in ("weight", "bias"):
            yield f"preference_head.values.{number}.{part}", predicted_O


def _matching_values(known: Feature, wanted: Feature) -> Ints:
    """Known row of each value of a feature; row 0 is the unknown value."""
    first = UNKNOWN + 1
    return matching_rows(Vocabulary(known.values, first), Vocabulary(wanted.values, first))


def _encoders(network: Bert4Rec) -> Iterator[tuple[str, FeatureEncoder]]:
    """Feature encoders, each with the prefix of its weights' names."""
    for name, module in network.named_modules():
        if isinstance(module, FeatureEncoder):
            yield name, module


def _feature_of(encoder: FeatureEncoder, prefix: str, dataset: PreparedDataset) -> Feature:
    """Feature of a dataset that an encoder reads."""
    of_items = prefix.startswith("metadata")
    features = dataset.item_features if of_items else dataset.user_features
    return features[encoder.feature.name][0]


def _take_rows(known: Tensor, row_O: Ints, new_OD: Tensor) -> Tensor:
    """Known rows in another order, and those of `new_OD` where the row is new."""
    if new_OD.shape[1:] != known.shape[1:]:
        return known
    row = torch.from_numpy(row_O)
    is_known = (row != NEW_ROW).view(-1, *[1] * (known.dim() - 1))
    return torch.where(is_known, known[row.clamp(min=0)], new_OD)


def _new_rows(network: Bert4Rec, name: str, own: Tensor, known: Tensor) -> Tensor:
    """A weight as it begins in new rows.

    Items that their metadata places begin at zero, feature values as the mean of the known ones,
    and other rows as they were drawn.
    """
    if name in ITEM_ROW_WEIGHTS and network.places_cold_start_items:
        return torch.zeros_like(own)
    if name.endswith(".values.weight") and len(known) > UNKNOWN + 1:
        return known[UNKNOWN + 1 :].mean(0).expand_as(own)
    return own


def _current_rows(item_I: Tensor, known_O: Ints) -> Tensor:
    """Present rows of items given by their older rows; PAD where an item is gone."""
    current = np.full(max(int(item_I.max()), int(known_O.max())) + 1, PAD)
    is_known_O = known_O != NEW_ROW
    current[known_O[is_known_O]] = np.flatnonzero(is_known_O)
    return torch.from_numpy(current[item_I.numpy()])


def _rescaled_projections(
    network: Bert4Rec, before: PreparedDataset, now: PreparedDataset, grown: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Projections of numeric features, converted to the mean and scale of the newer data."""
    for prefix, encoder in _encoders(network):
        weight_name, bias_name = f"{prefix}.project.weight", f"{prefix}.project.bias"
        if encoder.feature.kind is not Kind.NUMERIC or weight_name not in grown:
            continue
        known, wanted = _feature_of(encoder, prefix, before), _feature_of(encoder, prefix, now)
        factor = wanted.scale / known.scale
        shift = (wanted.mean - known.mean) / known.scale
        of_value, of_missing = grown[weight_name].unbind(1)
        yield weight_name, torch.stack([of_value * factor, of_missing - of_value * shift], dim=1)
        yield bias_name, grown[bias_name] + of_value * shift
