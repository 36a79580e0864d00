from __future__ import annotations

import pytest
import torch

from bert4rec.model.dropout import Dropout


def dropped(share: float, *shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return Dropout(share).train()(torch.ones(*shape))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_share_of_entries_is_zero_and_the_mean_stays(share: float) -> None:
    x = dropped(share, 1000, 99)
    assert (x == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert x.mean().item() == pytest.approx(1, abs=0.02)
    assert x[x != 0].unique().tolist() == pytest.approx([1 / (1 - share)], rel=1e-3)


def test_entries_are_dropped_independently() -> None:
    gone = (dropped(0.5, 40_000) == 0).float().view(-1, 4)  # four of them share a draw
    assert torch.corrcoef(gone.T).triu(1).abs().max() < 0.05


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 7), (0, 4)])
def test_dropout_keeps_any_shape(shape: tuple[int, ...]) -> None:
    assert dropped(0.3, *shape).shape == shape


def test_nothing_is_dropped_outside_training_or_at_share_0() -> None:
    x = torch.randn(20)
    assert torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)


def test_dropped_entries_get_no_gradient() -> None:
    x = torch.ones(200, requires_grad=True)
    y = Dropout(0.5).train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_seed_decides_what_is_dropped() -> None:
    assert torch.equal(dropped(0.5, 100), dropped(0.5, 100))
    torch.manual_seed(1)
    assert not torch.equal(Dropout(0.5).train()(torch.ones(100)), dropped(0.5, 100))
