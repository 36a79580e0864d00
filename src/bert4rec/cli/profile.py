"""Profile of a user: demographics, activity, favourite and predicted genres."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, settings_of
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import show_json, show_table
from bert4rec.cli.request_flags import item_ids
from bert4rec.errors import UsageError
from bert4rec.result_tables import Table


def add_flags(parser: ArgumentParser) -> None:
    """Flags of `profile`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    parser.add_argument(
        "--forget", type=str, help="Items of the history to leave out, separated by commas."
    )
    add_json(parser)


def run(args: Namespace) -> None:
    """Show the profile of one user."""
    if args.user_id is None:
        raise UsageError("missing --user_id: whose profile?")
    engine = settings_of(ModelFlags, args).engine()
    user_id = engine.dataset.users.parse(args.user_id)
    forget = item_ids(args.forget or "", engine.dataset)
    profile = engine.get_user_profile(user_id, forget=forget)
    if args.json:
        show_json(profile)
        return
    rows = [[name, _text(value)] for name, value in profile.items()]
    show_table(Table(f"user {args.user_id}", ["feature", "value"], rows))


def _text(value: Any) -> str:
    """Value of the profile in one cell."""
    match value:
        case None:
            return "–"
        case list():
            return ", ".join(_entry(entry) for entry in value)
        case dict():
            return ", ".join(f"{name}: {number}" for name, number in value.items())
        case float():
            return f"{value:.2f}"
    return str(value)


def _entry(entry: Any) -> str:
    """Entry of a list: `Drama 35%`, or a plain value."""
    if not isinstance(entry, dict):
        return str(entry)
    share = entry.get("share", entry.get("probability"))
    return f"{entry['value']} {share:.0%}"
