from __future__ import annotations

import torch

from bert4rec.training.seeding import seed_epoch


def test_random_numbers_depend_on_seed_epoch_and_device() -> None:
    def drawn(*which: int) -> float:
        seed_epoch(*which)
        return float(torch.rand(1))

    assert drawn(1, 2, 0) == drawn(1, 2, 0)
    assert len({drawn(1, 2, 0), drawn(1, 3, 0), drawn(2, 2, 0), drawn(1, 2, 1)}) == 4
