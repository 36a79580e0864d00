"""A run that starts from the weights of a trained model: a warm restart (Loshchilov and Hutter 2017).

What both networks have in the same shape is taken over; what only the new one has stays as it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import ConfigError
from bert4rec.model.network import Bert4Rec


def start_from(
    network: Bert4Rec, run: RunConfig, dataset: PreparedDataset, split: Split, report: Callable[[str], None]
) -> None:
    """Gives the network the weights of the model that the settings name, if they name one.

    Raises ArtefactError where it cannot be loaded, ConfigError where its weights mean something else, are of other
    sizes, or may have seen what this run is asked.
    """
    folder = run.training.start_from
    if not folder:
        return
    model = artefact.load_for(folder, dataset)
    for obstacle in _obstacles(model, dataset, split):
        raise ConfigError(f"start_from {folder}: {obstacle}")
    own, known = network.state_dict(), model.network.state_dict()
    for name in known.keys() & own.keys():
        if known[name].shape != own[name].shape:
            raise ConfigError(
                f"start_from {folder}: its {name} is {_shape(known[name])}, this run's is {_shape(own[name])}; "
                "take the same sizes in the settings"
            )
    network.load_state_dict({**own, **{name: known[name] for name in known.keys() & own.keys()}})
    new = sorted(own.keys() - known.keys())
    report(f"starts from {folder}" + (f"; new are {', '.join(new)}" if new else ""))


def _obstacles(model: Artefact, dataset: PreparedDataset, split: Split) -> Iterator[str]:
    if model.data["checksum"] != dataset.checksum:
        yield (
            f"was trained on {model.data['name']} (data checksum {model.data['checksum']}), this run is on "
            f"{dataset.name} ({dataset.checksum}); take a model of the same prepared folder"
        )
    if model.split["checksum"] != split.checksum:
        yield (
            f"was trained on split {model.split['name']} (checksum {model.split['checksum']}), this run is on "
            f"{split.name} ({split.checksum}), whose answers it may have seen; take a model of the same split"
        )


def _shape(tensor: torch.Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
