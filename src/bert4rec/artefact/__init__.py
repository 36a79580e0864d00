"""Trained models on disk: model folders, the documented pair of files, and their compatibility.

    config.json          settings, table sizes, checksums of data, split and files; written last
    model.safetensors    weights
    metadata.json        raw ids, titles, values of features
    data.safetensors     histories and feature tables by row number
    metrics.json         reports of the training run
    training.json        cost and course of the training run
    README.md            model card

A published folder holds neither `metadata.json` nor `data.safetensors` and no feature table: the
data is named when it is loaded. No file runs code when it is read. A folder, or a pair, whose files
do not belong together is refused.
"""

from bert4rec.artefact.compatibility import incompatibilities, refuse_duplicates, scorer_of
from bert4rec.artefact.file_pair import load_pair, save_pair
from bert4rec.artefact.model_folder import (
    CONFIG_FILE,
    DATA_FILE,
    METADATA_FILE,
    METRICS_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    is_model_folder,
    is_published,
    load,
    load_for_dataset,
    save,
    stored_run_config,
    training_data_of,
    verified_training_data,
)
from bert4rec.artefact.stored_model import FORMAT_VERSION, Artefact
from bert4rec.artefact.weights import round_to_half_precision

__all__ = [
    "CONFIG_FILE",
    "DATA_FILE",
    "FORMAT_VERSION",
    "METADATA_FILE",
    "METRICS_FILE",
    "TRAINING_FILE",
    "WEIGHTS_FILE",
    "Artefact",
    "incompatibilities",
    "is_model_folder",
    "is_published",
    "load",
    "load_for_dataset",
    "load_pair",
    "refuse_duplicates",
    "round_to_half_precision",
    "save",
    "save_pair",
    "scorer_of",
    "stored_run_config",
    "training_data_of",
    "verified_training_data",
]
