from __future__ import annotations

import numpy as np
import torch

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.ids import NO_TIME, UNKNOWN
from bert4rec.training.data_module import TrainingDataModule, ValidationBatches
from small_networks import settings


def test_validation_batches_hold_every_validation_user_once(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    for devices in (1, 3):
        batches = ValidationBatches(world, split, devices)
        assert len(batches) == devices
        loaded = [batches[number] for number in range(len(batches))]
        users = np.concatenate([histories.user_B for histories, _, _ in loaded])
        assert users.tolist() == split.validation.user_C.tolist()
        target_C = torch.cat([target_B for _, target_B, _ in loaded])
        assert target_C.tolist() == world.item_N[split.validation.target_C].tolist()


def test_held_out_users_are_validated_as_cold_start_users_with_their_demographics(
    world: PreparedDataset,
) -> None:
    split = make_split(world, SplitConfig("cold-start-users"))
    ((histories, _, _),) = TrainingDataModule(world, split, settings()).val_dataloader()
    assert (histories.user_B == UNKNOWN).all()
    _, gender_U = world.user_features["gender"]
    assert histories.user_features["gender"].tolist() == gender_U[split.validation.user_C].tolist()


def test_validation_knows_the_request_time(world: PreparedDataset) -> None:
    ((histories, _, _),) = TrainingDataModule(
        world, make_split(world, SplitConfig()), settings()
    ).val_dataloader()
    assert (histories.request_time_B != NO_TIME).all()
