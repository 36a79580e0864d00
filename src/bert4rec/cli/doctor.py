"""What is installed, which device is used, and whether a prepared folder or a model folder is whole."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json
from bert4rec.cli.output import show_json, show_table
from bert4rec.errors import Bert4RecError, DataError

PACKAGES = (
    *("bert4rec", "torch", "lightning", "torchmetrics", "numpy", "polars"),
    *("safetensors", "filelock", "jsonargparse", "rich", "matplotlib"),
)
EXTRAS = ("tensorboard", "wandb", "mlflow-skinny", "optuna", "captum")


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `doctor`."""
    parser.add_argument("--data", type=Path, help="A prepared folder to check.")
    parser.add_argument("--model", type=Path, help="A model folder to check.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Looks, reports, and fails if a folder that was named is not whole."""
    found = {**_installed(), **_machine()}
    broken = []
    for name, check in (("data", _check_data), ("model", _check_model)):
        folder = getattr(args, name)
        if folder is not None:
            try:
                found[name] = check(folder)
            except Bert4RecError as problem:
                found[name] = f"not whole: {problem}"
                broken.append(str(problem))
    if args.json:
        show_json(found)
    else:
        show_table("", ["", ""], list(found.items()))
    if broken:
        raise DataError("; ".join(broken))


def _installed() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *EXTRAS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed (optional)" if name in EXTRAS else "not installed"
    return found


def _machine() -> dict[str, str]:
    import torch

    device = "cpu"
    if torch.cuda.is_available():
        device = f"gpu: {torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    elif torch.backends.mps.is_available():
        device = "mps"
    return {
        "device": device,
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "memory": _memory(),
    }


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (
        AttributeError,
        ValueError,
    ):  # Windows cannot be asked, and others may not know these names
        return "unknown"


def _check_data(folder: Path) -> str:
    from bert4rec.data.dataset import PreparedDataset

    dataset = PreparedDataset.open(folder, verify=True)
    counts = (
        f"{dataset.num_users:,} users, {dataset.num_items:,} items, {len(dataset.item_N):,} events"
    )
    return f"whole: {counts}, {dataset.checksum}"


def _check_model(folder: Path) -> str:
    from bert4rec.artefact import is_published, load, verified_training_data

    if is_published(folder):
        data = verified_training_data(folder)
        return f"whole, published without its data: trained on {data['name']} ({data['checksum']})"
    model = load(folder)
    return f"whole: trained on {model.dataset.name} ({model.dataset.checksum})"
