"""Records of tensors that move as one."""

from __future__ import annotations

from torch import Tensor

from bert4rec.data.sequences import Sequences
from small_networks import batch_of
from small_worlds import one_user


def tensors(part: object) -> list[Tensor]:
    if isinstance(part, Tensor):
        return [part]
    return (
        [tensor for value in vars(part).values() for tensor in tensors(value)]
        if hasattr(part, "__dict__")
        else []
    )


def test_batch_moves_as_one() -> None:
    moved = batch_of(one_user()).to("meta")
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert isinstance(moved.causal.sequences, Sequences)  # type: ignore[union-attr]
    assert len(tensors(moved)) == len(tensors(batch_of(one_user())))
