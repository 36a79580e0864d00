from __future__ import annotations

from copy import deepcopy

import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact


def test_rounding_leaves_nothing_that_16_bits_would_lose_and_keeps_the_data(
    model: Artefact,
) -> None:
    network = deepcopy(model.network)
    state = network.state_dict()
    numbers = {
        name
        for name, tensor in state.items()
        if name.endswith("table_O") and tensor.is_floating_point()
    }
    assert numbers
    for name in numbers:
        state[name].fill_(0.1)
    before = {name: tensor.clone() for name, tensor in state.items()}
    artefact.round_to_half_precision(network)
    for name, tensor in network.state_dict().items():
        rounded = tensor.is_floating_point() and name not in numbers
        assert torch.equal(tensor, before[name].half().float() if rounded else before[name])
