"""Network of a run before its first optimiser step: random weights, or those of a warm start."""

from __future__ import annotations

from pathlib import Path

import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, training_counts
from bert4rec.model.cold_start_rows import reset_cold_start_rows
from bert4rec.model.initialisation import init_item_bias
from bert4rec.model.network import Bert4Rec
from bert4rec.training.seeding import seed_epoch
from bert4rec.training.warm_start import load_warm_start


def initial_network(
    config: RunConfig, dataset: PreparedDataset, split: Split, warm_start_model: Artefact | None
) -> tuple[Bert4Rec, list[str]]:
    """Network and the lines that describe its warm start, if any."""
    seed_epoch(config.training.seed, epoch=0)
    network = Bert4Rec.for_dataset(config.model, dataset, config.training.task_weights)
    init_item_bias(network, torch.from_numpy(training_counts(dataset, split)).float())
    lines = []
    if warm_start_model is not None:
        lines.append(load_warm_start(network, warm_start_model, dataset))
    reset_untrained_rows(network, dataset, split)
    return network, lines


def reset_untrained_rows(network: Bert4Rec, dataset: PreparedDataset, split: Split) -> None:
    """Make users and items without a training event cold-start users and items of the network."""
    reset_cold_start_rows(
        network,
        torch.from_numpy(split.cold_start_user_rows(dataset)),
        torch.from_numpy(split.cold_start_item_rows(dataset)),
    )


def save_warm_start(
    folder: Path, warm_start_model: Artefact, dataset: PreparedDataset, split: Split
) -> None:
    """Save the warm-start model on this data, without training, for the comparison with the run.

    It keeps its own settings. Users and items that are new to it are cold-start users and items.
    """
    config = warm_start_model.config
    network = Bert4Rec.for_dataset(config.model, dataset, config.training.task_weights)
    load_warm_start(network, warm_start_model, dataset)
    reset_untrained_rows(network, dataset, split)
    artefact.save(folder, network, config, dataset, split, with_data=False)
