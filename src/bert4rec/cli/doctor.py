"""Shows installed versions and the device; checks a prepared folder or a model folder.

The exit code is 1 where a checked folder is incomplete or damaged.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json
from bert4rec.cli.output import show_json, show_table
from bert4rec.errors import Bert4RecError, DataError
from bert4rec.result_tables import Table

PACKAGES = (
    *("bert4rec", "torch", "lightning", "torchmetrics", "numpy", "scipy", "polars"),
    *("safetensors", "filelock", "jsonargparse", "rich", "matplotlib"),
)
EXTRAS = ("tensorboard", "wandb", "mlflow-skinny", "optuna", "captum")


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `doctor`."""
    parser.add_argument("--data", type=Path, help="A prepared folder to check.")
    parser.add_argument("--model", type=Path, help="A model folder to check.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Report versions, device and folders. Raises DataError where a folder is incomplete."""
    found = {**_versions(), **_device()}
    problems = []
    for name, check in (("data", _check_data), ("model", _check_model)):
        folder = getattr(args, name)
        if folder is None:
            continue
        try:
            found[name] = f"complete: {check(folder)}"
        except Bert4RecError as problem:
            found[name] = f"incomplete or damaged: {problem}"
            problems.append(str(problem))
    if args.json:
        show_json(found)
    else:
        show_table(Table("", ["", ""], list(found.items())))
    if problems:
        raise DataError("; ".join(problems))


def _versions() -> dict[str, str]:
    """Python and each package, with the version that is installed."""
    packages = {name: _version(name) or "not installed" for name in PACKAGES}
    extras = {name: _version(name) or "not installed (optional)" for name in EXTRAS}
    return {"python": platform.python_version(), **packages, **extras}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device() -> dict[str, str]:
    """Device that `--accelerator auto` takes, threads and memory."""
    import torch

    return {
        "device": _accelerator(),
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "memory": _memory(),
    }


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return f"gpu: {torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _memory() -> str:
    try:
        pages = os.sysconf("SC_PHYS_PAGES")
        return f"{os.sysconf('SC_PAGE_SIZE') * pages / 2**30:.0f} GiB"
    # Windows has no sysconf, and other systems may not know these names.
    except (AttributeError, ValueError):
        return "unknown"


def _check_data(folder: Path) -> str:
    """Counts and checksum of a prepared folder whose files all match its manifest."""
    from bert4rec.data.dataset import PreparedDataset

    dataset = PreparedDataset.open(folder, verify=True)
    events = len(dataset.item_N)
    counts = f"{dataset.num_users:,} users, {dataset.num_items:,} items, {events:,} events"
    return f"{counts}, {dataset.checksum}, features {dataset.features_checksum}"


def _check_model(folder: Path) -> str:
    """Training data of a model folder whose files all belong together."""
    from bert4rec.artefact import is_published, load, verified_training_data

    if is_published(folder):
        data = verified_training_data(folder)
        return f"published without its data, trained on {data['name']} ({data['checksum']})"
    dataset = load(folder).dataset
    return f"trained on {dataset.name} ({dataset.checksum})"
