"""Looks at your tables and proposes a commented schema for `bert4rec prepare --schema`.

The schema goes to stdout or to a file, a summary to stderr. What cannot be told is a QUESTION.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bert4rec.errors import UsageError


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `schema`."""
    parser.add_argument("events", type=Path, help="Table of events.")
    parser.add_argument("item_table", type=Path, nargs="?", help="Table of items.")
    parser.add_argument("user_table", type=Path, nargs="?", help="Table of users.")
    for role in ("user", "item", "time", "rating"):
        parser.add_argument(f"--{role}", type=str, help=f"Column of events that holds the {role}.")
    parser.add_argument("--output", type=Path, help="File to write; default: stdout.")


def run(args: Namespace) -> None:
    """Propose a schema. Raises UsageError where the output exists."""
    from bert4rec.ingest.schema_proposal import propose_schema

    if args.output and args.output.exists():
        raise UsageError(f"{args.output} exists; remove it, or name another file")
    told = {role: getattr(args, role) for role in ("user", "item", "time", "rating")}
    folder = args.output.parent if args.output else Path()
    proposal = propose_schema(args.events, args.item_table, args.user_table, told, folder)
    if args.output:
        with args.output.open("x", encoding="utf-8") as file:
            file.write(proposal.text)
    else:
        sys.stdout.write(proposal.text)
    width = max((len(column) for column, _, _ in proposal.uses), default=0)
    for column, use, why in proposal.uses:
        line = f"{column:<{width}}  {use:<12}  {why}"
        print("".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
    if proposal.questions:
        print(f"{proposal.questions} open: search for QUESTION", file=sys.stderr)
