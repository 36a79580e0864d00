"""Training of a small model on a synthetic world, in seconds.

    python examples/train_small.py runs/small

The other examples load this model folder. For real data: `bert4rec prepare`, `bert4rec train`.
"""

import sys
from pathlib import Path

from bert4rec import ModelConfig, RunConfig, TrainingConfig, train
from bert4rec.data.synthetic import synthetic_dataset


def main(output: Path) -> None:
    """Make the data and train the model."""
    # Items 101, 102, …: after item i usually comes item i + 4 of the same genre. Users 1, 2, …
    dataset = synthetic_dataset(
        num_users=80, num_items=24, events_per_user=20, folder=output.with_name("small-world")
    )
    run = RunConfig(
        ModelConfig(hidden_size=32, num_heads=2, num_layers=1, seq_length=12, dropout=0.1),
        TrainingConfig(
            batch_size=16, learning_rate=3e-3, max_epochs=40, windows="random", accelerator="cpu"
        ),
    )
    train(dataset, run, output)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/small"))
