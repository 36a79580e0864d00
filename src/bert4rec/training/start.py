"""A run that starts from the weights of a trained model: a warm restart (Loshchilov and Hutter 2017).

What both networks learn, under the same name and in the same shape, is taken over; what only the new one has stays as
it was made.
"""

from __future__ import annotations

from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import ConfigError
from bert4rec.model.network import Bert4Rec


def starting_point(run: RunConfig, dataset: PreparedDataset, split: Split) -> Artefact | None:
    """The model that the settings name; None where they name none.

    Raises ArtefactError where it cannot be loaded, ConfigError where its weights mean something else or may have seen
    what this run is asked.
    """
    folder = run.training.start_from
    if not folder:
        return None
    model = artefact.load_for(folder, dataset)
    for obstacle in artefact.why_not(model, dataset, split):
        raise ConfigError(f"start_from {folder}: {obstacle}")
    return model


def take_over(network: Bert4Rec, model: Artefact) -> str:
    """Gives the network what the model has learned; a line that says what is new and what was left.

    Raises ConfigError where the sizes differ.
    """
    own, known = _learned(network), _learned(model.network)
    shared = own.keys() & known.keys()
    for name in sorted(shared):
        if own[name].shape != known[name].shape:
            raise ConfigError(
                f"start_from {model.source}: its {name} is {_shape(known[name])}, this run's is {_shape(own[name])}; "
                "take the same sizes in the settings"
            )
    network.load_state_dict({**network.state_dict(), **{name: known[name] for name in shared}})
    parts = {"new are": own.keys() - shared, "left are": known.keys() - shared}
    return "; ".join(
        [
            f"starts from {model.source}",
            *(f"{which} {', '.join(sorted(names))}" for which, names in parts.items() if names),
        ]
    )


def _learned(network: Bert4Rec) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)
