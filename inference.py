"""The documented way to ask: `python inference.py --model_path … --metadata_path … --user_id 123 --k 10`."""

import sys

from bert4rec.cli.scripts import inference

if __name__ == "__main__":
    sys.exit(inference())
