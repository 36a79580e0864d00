"""Flags and configuration files: accepted values, their order, and the errors for others."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from bert4rec.cli import scripts as documented
from bert4rec.cli.flags import make_parser, parse, run_config
from bert4rec.cli.main import COMMANDS, module_of
from bert4rec.config import RunConfig
from bert4rec.errors import UsageError
from bert4rec.presets import preset_names, read_preset
from command_line import ROOT, Done, environment, run

TRAIN = ("train", "--data", "d", "--output", "o")


class Found(Exception):
    """A parser, on its way out of a script."""


def parser_of(command: str) -> ArgumentParser:
    module = module_of(command)
    parser = make_parser(command, "")
    module.add_flags(parser)
    return parser


def script_parser(name: str, monkeypatch: pytest.MonkeyPatch) -> ArgumentParser:
    def caught(parser: ArgumentParser, words: object) -> None:
        raise Found(parser)

    monkeypatch.setattr(documented, "parse", caught)
    with pytest.raises(Found) as found:
        getattr(documented, name)([])
    return found.value.args[0]


def flags_of(parser: ArgumentParser) -> dict[str, str | None]:
    return {
        action.dest: action.help for action in parser._actions if action.help != argparse.SUPPRESS
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_a_command_says_what_it_does(command: str) -> None:
    flags = flags_of(parser_of(command))
    assert {"config", "debug"} < set(flags)
    assert [name for name, text in flags.items() if not (text or "").strip()] == []


@pytest.mark.parametrize("name", ["trainer", "inference"])
def test_every_flag_of_a_script_says_what_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = flags_of(script_parser(name, monkeypatch))
    assert "metadata_path" in flags
    assert [flag for flag, text in flags.items() if not (text or "").strip()] == []


def test_training_has_a_flag_for_every_setting() -> None:
    assert set(RunConfig().to_dict()) <= set(flags_of(parser_of("train")))


HELP = """
import sys
from bert4rec.cli.scripts import inference, trainer
from bert4rec.cli.main import COMMANDS, main
lines = [
    *([], ["--help"], ["trian"], ["train"]),
    *([name, "--help"] for name in COMMANDS),
    *(["train", "--hidden_size", "x"], ["recommend", "--k", "x"]),
    ["train", "--data", "d", "--output", "o", "--print_config"],
]
for words in lines:
    main(words)
for script in (trainer, inference):
    script(["--help"])
    script(["--nonsense"])
print("loaded:", *{name.split(".")[0] for name in sys.modules})
"""


def test_help_and_errors_in_flags_load_no_heavy_library() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", HELP],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        cwd=ROOT,
    ).stdout
    last = printed.splitlines()[-1]
    assert printed.count("usage:") == 2 + len(COMMANDS) + 2
    assert "jsonargparse" in last
    assert not {"torch", "lightning", "numpy", "polars", "matplotlib"} & set(last.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_answered_with_code_0(command: str) -> None:
    assert run(command, "--help").succeeded().startswith(f"usage: bert4rec {command}")


def config_file(folder: Path, text: str | bytes) -> Path:
    file = folder / "run.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_file_counts_more_than_a_default_and_a_flag_more_than_a_file(tmp_path: Path) -> None:
    file = config_file(tmp_path, "hidden_size: 32\nnum_layers: 1\n")
    words = ["--data", "d", "--output", "o", "--config", str(file), "--num_layers", "3"]
    config = run_config(parse(parser_of("train"), words))
    default = RunConfig().model
    assert (default.hidden_size, default.num_layers, default.num_heads) == (256, 4, 4)
    assert (config.model.hidden_size, config.model.num_layers, config.model.num_heads) == (32, 3, 4)


def test_task_weights_are_a_mapping_in_a_file_and_flags_with_a_dot(tmp_path: Path) -> None:
    file = config_file(tmp_path, "task_weights:\n  item_prediction: 0.25\n  next_item: 0.75\n")
    words = [
        "--data",
        "d",
        "--output",
        "o",
        "--config",
        str(file),
        "--task_weights.item_prediction",
        "0.5",
    ]
    weights = run_config(parse(parser_of("train"), words)).training.task_weights
    assert (weights.item_prediction, weights.next_item, weights.rating_prediction) == (
        0.5,
        0.75,
        0.3,
    )


@pytest.mark.parametrize("text", ["teacher: a", "teacher: [a]"])
def test_one_folder_is_a_list_of_one_in_a_file_and_several_are_words_after_a_flag(
    tmp_path: Path, text: str
) -> None:
    given = ["--data", "d", "--output", "o"]
    file = config_file(tmp_path, text)
    assert run_config(
        parse(parser_of("train"), [*given, "--config", str(file)])
    ).training.teacher == ("a",)
    several = parse(parser_of("train"), ["--teacher", "a", "b", *given])
    assert run_config(several).training.teacher == ("a", "b")
    config_file(tmp_path, "model: a")
    assert parse(parser_of("evaluate"), ["--config", str(file)]).model == [Path("a")]
    assert parse(parser_of("evaluate"), ["--model", "a", "b"]).model == [Path("a"), Path("b")]


PRINTED = {
    "schema": ["e", "--user", "u"],
    "prepare": ["--dataset", "ml-1m", "--min_user_events", "5"],
    "train": [
        "--data",
        "d",
        "--output",
        "o",
        "--hidden_size",
        "64",
        "--task_weights.next_item",
        "0.5",
    ],
    "distill": ["--teachers", "t", "--data", "d", "--output", "o", "--hidden_size", "64"],
    "tune": ["--data", "d", "--space", "s", "--output", "o", "--trials", "3"],
    "evaluate": ["--model", "m", "--baselines", "--subset", "validation"],
    "recommend": ["--model", "m", "--user_id", "7", "--k", "3"],
    "explain": ["--model", "m", "--item_sequence", "1,2", "--shown", "3"],
    "profile": ["--model", "m", "--user_id", "7"],
    "compare": ["a", "b", "--request_time", "false"],
    "doctor": ["--data", "d"],
    "bench": ["--model", "m", "--k", "3"],
    "add-items": ["--model", "m", "--table", "i.csv", "--output", "o"],
    "update-items": ["--model", "m", "--table", "i.csv", "--output", "o"],
    "publish": ["--model", "m", "--output", "o"],
}


def test_every_command_with_settings_is_printed_below() -> None:
    assert set(PRINTED) == set(COMMANDS) - {"presets"}


@pytest.mark.parametrize("command", PRINTED)
def test_what_print_config_prints_is_accepted_as_config(command: str, tmp_path: Path) -> None:
    printed = run(command, *PRINTED[command], "--print_config").succeeded()
    flag, value = PRINTED[command][-2].lstrip("-"), PRINTED[command][-1]
    group, _, part = flag.partition(".")
    found = yaml.safe_load(printed)[group]
    assert str(found[part] if part else found).lower() == value
    file = config_file(tmp_path, printed)
    count = {"compare": 2, "schema": 1}.get(command, 0)
    positional = PRINTED[command][:count]
    assert run(command, *positional, "--config", file, "--print_config").succeeded() == printed


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([], False),
        (["--overwrite"], True),
        (["--overwrite", "true"], True),
        (["--overwrite=false"], False),
    ],
)
def test_a_switch_needs_no_value_and_takes_one(words: list[str], value: bool) -> None:
    assert parse(parser_of("prepare"), words).overwrite is value


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("command", ["train", "tune", "distill"])
def test_a_preset_sets_what_it_says(command: str, name: str) -> None:
    changed = read_preset(name)
    args = parse(parser_of(command), [*NEEDED[command], "--preset", name])
    args.teacher = []  # no flag of distill
    settings = run_config(args).to_dict()
    assert {setting: settings[setting] for setting in changed} == changed


NEEDED = {
    "train": ["--data", "d", "--output", "o"],
    "tune": ["--data", "d", "--output", "o", "--space", "s"],
    "distill": ["--data", "d", "--output", "o", "--teachers", "t"],
}


def test_precedence_is_defaults_preset_file_flags(tmp_path: Path) -> None:
    file = config_file(tmp_path, "num_layers: 3\nnum_heads: 8\ntask_weights: {next_item: 0.5}\n")
    words = ["--preset", "small", "--config", str(file), "--num_heads", "1"]
    config = run_config(parse(parser_of("train"), ["--data", "d", "--output", "o", *words]))
    small, model = read_preset("small"), config.model
    assert (model.hidden_size, model.num_layers, model.num_heads) == (small["hidden_size"], 3, 1)
    weights = config.training.task_weights
    assert (weights.next_item, weights.item_prediction) == (0.5, 0.0)
    assert config.training.seed == RunConfig().training.seed


def test_a_file_may_name_its_preset_and_a_flag_another(tmp_path: Path) -> None:
    file = config_file(tmp_path, "preset: small\nnum_layers: 3\n")
    given = ["--data", "d", "--output", "o", "--config", str(file)]
    model = run_config(parse(parser_of("train"), given)).model
    assert (model.block, model.num_layers) == ("gated", 3)
    other = run_config(parse(parser_of("train"), [*given, "--preset=sasrec"])).model
    assert (other.block, other.num_layers) == ("transformer", 3)


def test_an_unknown_preset_is_refused_with_the_nearest_one() -> None:
    assert run(*TRAIN, "--preset", "smal").refused(2) == (
        "unknown preset 'smal'; did you mean 'small'?"
    )
    assert "the presets are bert4rec, deep" in run("presets", "9").refused(2)


BAD_FILES = {
    "an unknown key": (
        "hiden_size: 64",
        ["run.yaml", "'hiden_size'", "did you mean 'hidden_size'?"],
    ),
    "a word for a number": ("hidden_size: wide", ["run.yaml", "hidden_size is 'wide'", "int"]),
    "a fraction for a count": ("hidden_size: 2.5", ["run.yaml", "hidden_size is '2.5'", "int"]),
    "no such choice": ("block: lstm", ["run.yaml", "block is 'lstm'", "'transformer', 'gated'"]),
    "an unknown task": (
        "task_weights: {item_predictoin: 1}",
        ["run.yaml", "did you mean 'task_weights.item_prediction'"],
    ),
    "a word for a weight": (
        "task_weights: {next_item: x}",
        ["run.yaml", "task_weights.next_item is 'x'", "float"],
    ),
    "one number for all weights": ("task_weights: 3", ["task_weights is 3", "mapping"]),
    "brackets left open": ("seed: 1\npatience: [1\n", ["run.yaml, row 3", "not YAML"]),
    "a tab": ("seed: 1\n\tpatience: 2\n", ["run.yaml, row 2", "not YAML"]),
    "words": ("hidden size", ["run.yaml", "holds no settings"]),
    "a list": ("- 1\n- 2\n", ["run.yaml", "holds no settings"]),
    "nothing": ("", ["run.yaml", "holds no settings"]),
    "a binary file": (b"\xff\xfe\x00\x01", ["run.yaml", "not a text file in UTF-8"]),
    "a value out of range": ("dropout: 1.5", ["dropout is 1.5", "below 1"]),
}


@pytest.mark.parametrize(("text", "parts"), BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_a_bad_configuration_file_is_one_line(
    tmp_path: Path, text: str | bytes, parts: list[str], joined: bool
) -> None:
    file = config_file(tmp_path, text)
    message = run(*TRAIN, *([f"--config={file}"] if joined else ["--config", file])).refused(2)
    assert all(part in message for part in parts), message


def test_a_configuration_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert (
        run(*TRAIN, "--config", tmp_path / "gone.yaml")
        .refused(2)
        .endswith("gone.yaml: no such configuration file")
    )
    assert "Is a directory" in run(*TRAIN, "--config", tmp_path).refused(2)


BAD_FLAGS = {
    "--hiden_size 3": "unknown flag '--hiden_size'; did you mean '--hidden_size'?",
    "--hiden_size=3": "unknown flag '--hiden_size=3'; did you mean '--hidden_size'?",
    "--task_weights.nextitem 1": "did you mean '--task_weights.next_item'?",
    "--json": "unknown flag '--json'; 'bert4rec train --help' lists",
    "--hidden 8": "unknown flag '--hidden'",
    "more": "unknown flag 'more'; flags begin with --",
    "--hidden_size wide": "hidden_size is 'wide': expected int",
    "--hidden_size": "--hidden_size: expected one argument",
    "--block lstm": "block is 'lstm': expected one of ['transformer', 'gated']",
    "--accelerator tpuu": "accelerator is 'tpuu': expected one of ['auto', 'cpu', 'gpu', 'mps']",
    "--relative_time maybe": "relative_time is 'maybe': expected bool",
    "--task_weights x": "task_weights is 'x': set its parts",
    "--task_weights.next_item -1": "next_item is -1.0: it must be 0 or more",
    "--task_weights.next_item 0 --task_weights.item_prediction 0": "nothing learns to recommend",
    "--hidden_size 250 --num_heads 4": (
        "hidden_size 250 is not a multiple of num_heads 4: take hidden_size 248"
    ),
    "--max_epochs 0": "max_epochs is 0: it must be 1 or more",
    "--mask_probability 1": "mask_probability is 1.0: it must be between 0 and 1",
    "--config": "--config: expected one argument",
}


@pytest.mark.parametrize(("words", "message"), BAD_FLAGS.items(), ids=BAD_FLAGS)
def test_a_bad_flag_is_one_line(words: str, message: str) -> None:
    assert message in run(*TRAIN, *words.split()).refused(2)


def test_a_value_that_a_flag_got_wrong_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    file = config_file(tmp_path, "num_layers: 1")
    assert (
        run(*TRAIN, "--config", file, "--hidden_size", "wide")
        .refused(2)
        .startswith("hidden_size is 'wide'")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "missing --data, --output"),
        (["train", "--data", "d"], "missing --output"),
        (["evaluate"], "missing --model"),
        (["distill"], "missing --teachers, --data, --output"),
        (
            ["distill", "--teachers", "t", "--data", "d", "--output", "o", "--teacher", "t"],
            "did you mean '--teachers'?",
        ),
        (["tune", "--data", "d"], "missing --space, --output"),
        (
            ["tune", "--data", "d", "--space", "s", "--output", "o", "--trials", "0"],
            "trials is 0: it must be 1 or more",
        ),
        (["compare", "a"], "missing second"),
        (["recommend", "--user_id", "1"], "name a model: --model FOLDER"),
        (["recommend", "--model_path", "m.pt"], "model_path and metadata_path together"),
        (["profile", "--model", "m"], "missing --user_id"),
        (["prepare"], "--dataset for a MovieLens release, or --schema"),
        (
            ["prepare", "--dataset", "ml-1m", "--schema", "s.yaml"],
            "--dataset for a MovieLens release, or --schema",
        ),
        (["prepare", "--dataset", "ml-2m"], "unknown dataset 'ml-2m'; known are ml-100k, ml-1m"),
        (["prepare", "--dataset", "ml-1m", "--min_user_events", "0"], "min_user_events is 0"),
        (
            ["evaluate", "--model", "m", "--batch_size", "0"],
            "batch_size is 0: it must be 1 or more",
        ),
        (
            ["evaluate", "--model", "m", "--subset", "all"],
            "subset is 'all': expected one of ['test', 'validation']",
        ),
        (["explain", "--model", "m", "--shown", "-1"], "shown is -1: it must be 1 or more"),
        (["recommend", "--model", "m", "--k", "2.5"], "k is '2.5': expected int"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_missing_or_cannot_be_meant_is_one_line(words: list[str], message: str) -> None:
    assert message in run(*words).refused(2)


def test_a_script_refuses_flags_in_the_same_way() -> None:
    assert "did you mean '--batch_size'?" in refusal(documented.trainer, "--bach_size", "3")
    assert "did you mean '--metadata_path'?" in refusal(documented.inference, "--meta_path", "x")
    assert "give one" in refusal(documented.inference, "--profile", "--explain")
    assert "missing --user_id" in refusal(documented.inference, "--profile", "--model", "m")


def refusal(script: object, *words: str) -> str:
    done: Done = run(*words, entry=script)  # type: ignore[arg-type]
    return done.refused(2)


def test_an_error_in_flags_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown flag"):
        parse(parser_of("doctor"), ["--nonsense"])
