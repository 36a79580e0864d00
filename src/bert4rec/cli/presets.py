"""Lists the named configurations, or prints the settings of one as YAML."""

from __future__ import annotations

import json

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json
from bert4rec.presets import preset_names, preset_summary, preset_text, read_preset


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `presets`."""
    parser.add_argument(
        "name", type=str, nargs="?", help="A preset whose settings are printed; default: a list."
    )
    add_json(parser)


def run(args: Namespace) -> None:
    """Prints."""
    names = preset_names() if args.name is None else [args.name]
    if args.json:
        print(json.dumps([_record(name) for name in names], indent=1, ensure_ascii=False))
    elif args.name is not None:
        print(preset_text(args.name), end="")
    else:
        width = max(map(len, names))
        for name in names:
            print(f"{name:<{width}}  {preset_summary(name)}")


def _record(name: str) -> dict[str, object]:
    return {"name": name, "summary": preset_summary(name), "settings": read_preset(name)}
