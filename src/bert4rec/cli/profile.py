"""What is known and predicted of a user: demographics, activity, favourite and expected genres."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, settings_of
from bert4rec.cli.model_flags import ModelFlags, item_ids
from bert4rec.cli.output import show_json, show_table
from bert4rec.errors import UsageError


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `profile`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="Whose profile.")
    parser.add_argument(
        "--forget", type=str, help="Items of the history to leave out, separated by commas."
    )
    add_json(parser)


def run(args: Namespace) -> None:
    """Shows the profile."""
    if args.user_id is None:
        raise UsageError("missing --user_id: whose profile?")
    engine = settings_of(ModelFlags, args).engine()
    known = engine.get_user_profile(
        engine.dataset.users.parse(args.user_id), forget=item_ids(args.forget, engine)
    )
    if args.json:
        show_json(known)
        return
    show_table(
        f"user {args.user_id}",
        ["what", ""],
        [[name, _text(value)] for name, value in known.items()],
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_entry(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {number}" for name, number in value.items())
    return f"{value:.2f}" if isinstance(value, float) else "–" if value is None else str(value)


def _entry(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    share = entry.get("share", entry.get("probability"))
    return f"{entry['value']} {share:.0%}"
