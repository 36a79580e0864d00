"""Inference script.

    python inference.py --model_path checkpoints/best_model.pt --metadata_path metadata.json \\
        --user_id 123 --k 10
"""

import sys

from bert4rec.cli.scripts import inference

if __name__ == "__main__":
    sys.exit(inference())
