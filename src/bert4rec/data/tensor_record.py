"""`TensorRecord`: frozen dataclasses of tensors that move between devices as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Self

import torch
from torch import Tensor

Change = Callable[[Tensor], Tensor]


class TensorRecord:
    """Base of a frozen dataclass of tensors, mappings of tensors, records and plain values."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Copy of the record on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Copy of the record in page-locked memory."""
        return self.map(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """All tensors of the record, in the order in which `map` visits them."""
        return list(_tensors(self))

    def map(self, change: Change) -> Self:
        """Copy of the record with `change` applied to every tensor."""
        changed = {name: _changed(value, change) for name, value in _values(self)}
        return replace(self, **changed)  # type: ignore[type-var]


def _values(record: TensorRecord) -> Iterator[tuple[str, Any]]:
    for entry in fields(record):  # type: ignore[arg-type]
        yield entry.name, getattr(record, entry.name)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, TensorRecord):
        for _, inner in _values(value):
            yield from _tensors(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, TensorRecord):
        return value.map(change)
    if isinstance(value, Mapping):
        return {key: _changed(inner, change) for key, inner in value.items()}
    return value
