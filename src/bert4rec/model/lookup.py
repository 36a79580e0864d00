"""Rows of a table, on any device. Legend: V rows of the table, D width."""

from __future__ import annotations

from torch import Tensor


def embed(table_VD: Tensor, index: Tensor) -> Tensor:
    """The rows of any shape of indices, `[*index, D]`.

    The gradients of a selection add up at once; those of an embedding or of brackets are sorted first, which takes
    twice the time on a CPU (2026-11) and many small kernels on a GPU.
    """
    return table_VD.index_select(0, index.flatten()).unflatten(0, index.shape)
