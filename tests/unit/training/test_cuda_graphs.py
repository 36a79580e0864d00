"""Batches of one shape and CUDA-graph capture. The capture needs a GPU, the captured step none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import RunConfig, TaskWeights
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.padding import pad_to_fixed_shape
from bert4rec.model.network import Bert4Rec
from bert4rec.training import cuda_graphs as captured
from bert4rec.training.cuda_graphs import GraphedStep, uses_cuda_graphs
from bert4rec.training.losses import Losses, multi_task_loss
from bert4rec.training.module import value_tables
from small_networks import ALL_TASKS, SMALL, batch_of, batches_of, network_of, settings

ROWS = 40
BLOCKS: dict[str, dict[str, Any]] = {
    "transformer": {"block": "transformer"},
    "gated": {
        "block": "gated",
        "relative_position": True,
        "relative_time": True,
        "position": "learned",
    },
}


def compute_losses(
    network: Bert4Rec, batch: Batch, dataset: PreparedDataset, tasks: TaskWeights = ALL_TASKS
) -> Losses:
    tables = value_tables(dataset)
    return multi_task_loss(
        network(batch), batch, tasks, tables, exclude_seen=True, rating_factor_l2=0.1
    )


def gradients(loss: Tensor, network: Bert4Rec) -> dict[str, Tensor]:
    named = dict(network.named_parameters())
    found = torch.autograd.grad(
        loss, [p for p in named.values() if p.requires_grad], allow_unused=True
    )
    return {name: grad for name, grad in zip(named, found, strict=False) if grad is not None}


@pytest.mark.parametrize("block", BLOCKS)
def test_padding_to_a_rectangle_changes_no_loss_and_no_gradient(
    block: str, world: PreparedDataset
) -> None:
    batch, network = batch_of(world, batch_size=16), network_of(world, **BLOCKS[block])
    padded = pad_to_fixed_shape(batch, ROWS, SMALL.seq_length)
    one, other = compute_losses(network, batch, world), compute_losses(network, padded, world)
    assert set(one.parts) == {
        "item_prediction",
        "next_item",
        "rating_prediction",
        "user_preference",
    }
    for task, loss in one.parts.items():
        torch.testing.assert_close(other.parts[task], loss, msg=task)
    mine, others = gradients(one.total, network), gradients(other.total, network)
    assert mine.keys() == others.keys()
    for name, grad in mine.items():
        torch.testing.assert_close(others[name], grad, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "tasks", [TaskWeights(item_prediction=0), TaskWeights(next_item=0)], ids=["causal", "masked"]
)
def test_one_reading_alone_can_be_a_rectangle(tasks: TaskWeights, world: PreparedDataset) -> None:
    run = settings(batch_size=16, task_weights=tasks)
    batch, network = batches_of(world, run)[0], network_of(world, tasks)
    one, other = (
        compute_losses(network, batch, world, tasks),
        compute_losses(network, pad_to_fixed_shape(batch, ROWS, SMALL.seq_length), world, tasks),
    )
    torch.testing.assert_close(one.total, other.total)


def test_every_batch_of_an_epoch_has_one_shape(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(batch_size=7))
    packed = {
        tuple(tensor.shape for tensor in batches[number].tensors())
        for number in range(len(batches))
    }
    batches.fixed_shape = True
    shapes = {
        tuple(tensor.shape for tensor in batches[number].tensors())
        for number in range(len(batches))
    }
    assert len(packed) > 1
    assert len(shapes) == 1


def test_events_without_ratings_are_asked_for_none_in_a_rectangle_either(
    world: PreparedDataset,
) -> None:
    unrated = replace(world, rating_N=np.zeros_like(world.rating_N))
    batch, network = batch_of(unrated, batch_size=16), network_of(world)
    for read in (batch, pad_to_fixed_shape(batch, ROWS, SMALL.seq_length)):
        assert compute_losses(network, read, world).parts["rating_prediction"].item() == 0


def test_a_recorded_step_gives_the_losses_of_each_batch(
    world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def record(step: Any, tensors: tuple[Tensor, ...], allow_unused_input: bool) -> Any:
        asked.append(len(tensors))
        step(*tensors)
        return step

    monkeypatch.setattr(captured.torch.cuda, "make_graphed_callables", record)
    network, batches = network_of(world), batches_of(world, settings(batch_size=7))
    batches.fixed_shape = True
    step = GraphedStep(network, lambda batch: compute_losses(network, batch, world), batches[0])
    for number in (0, 1, 2):
        found, true = step(batches[number]), compute_losses(network, batches[number], world)
        assert found.total.requires_grad
        assert found.total.item() == true.total.item()
        assert {task: loss.item() for task, loss in found.parts.items()} == {
            task: loss.item() for task, loss in true.parts.items()
        }
    assert asked == [len(batches[0].tensors())]


GPU = torch.device("cuda")


def test_only_plain_steps_of_one_gpu_are_recorded() -> None:
    run = settings()
    assert uses_cuda_graphs(run, GPU)
    assert uses_cuda_graphs(
        RunConfig.from_dict({**run.to_dict(), "teacher": ["runs/teacher"]}), GPU
    )
    assert not uses_cuda_graphs(run, torch.device("cpu"))
    for changes in (
        {"cuda_graphs": False},
        {"devices": 2},
        {"precision": "bf16-mixed"},
        {"gradient_checkpointing": True},
        {"cold_start_windows": 2},
    ):
        assert not uses_cuda_graphs(RunConfig.from_dict({**run.to_dict(), **changes}), GPU), changes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_replays_what_it_computes(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(batch_size=7))
    batches.fixed_shape = True
    network = network_of(world, **BLOCKS["gated"]).to(GPU).train()
    tables = {name: table.to(GPU) for name, table in value_tables(world).items()}

    def losses(batch: Batch) -> Losses:
        return multi_task_loss(
            network(batch), batch, ALL_TASKS, tables, exclude_seen=True, rating_factor_l2=0.1
        )

    step = GraphedStep(network, losses, batches[0].to(GPU))
    for number in (1, 2, 3):
        batch = batches[number].to(GPU)
        network.zero_grad()
        step(batch).total.backward()
        replayed = {
            name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None
        }
        true = losses(batch)
        torch.testing.assert_close(step(batch).total, true.total)
        for name, grad in gradients(true.total, network).items():
            torch.testing.assert_close(replayed[name], grad, atol=1e-5, rtol=1e-3, msg=name)
