"""Training script: `python trainer.py --batch_size 128 --learning_rate 5e-4 --max_epochs 50`."""

import sys

from bert4rec.cli.scripts import trainer

if __name__ == "__main__":
    sys.exit(trainer())
