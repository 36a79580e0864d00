"""Table and forest plot of a record of `ablations.py`.

A difference is the changed preset minus the complete one. Below zero (for errors: above zero) the
element was worth having. The module reads records only, since docs/generate.py uses it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.protocol import protocol_line
from bert4rec.files import write_figure
from bert4rec.result_tables import ABSENT, Estimate

Record = Mapping[str, Any]
Column = tuple[str, str, str, str]
"""Title, row (request time on or off), part of the users, and metric."""

_CLEAR, _UNCLEAR, _INK, _PALE = "#2b6cb0", "#9aa5b1", "#333333", "#666666"


def columns_of(record: Record) -> list[Column]:
    """Columns by the preset's first row, and one by the row without request time."""
    first, *others = record["preset"]["figures"]
    columns = [
        ("NDCG@10", first, "all users", "ndcg@10"),
        ("Hit@10", first, "all users", "hit@10"),
        ("NDCG@10, short histories", first, "short histories", "ndcg@10"),
        ("NDCG@10, rare items", first, "rare items", "ndcg@10"),
        ("rating RMSE", first, "all users", "rating_rmse"),
        *(("NDCG@10, time unknown", row, "all users", "ndcg@10") for row in others),
    ]
    figures = record["preset"]["figures"]
    return [column for column in columns if column[3] in figures[column[1]].get(column[2], {})]


def in_order(record: Record) -> list[Record]:
    """Elements by the loss without them, the largest first."""
    first = columns_of(record)[0]

    def change(element: Record) -> float:
        found = difference(element, first)
        assert found is not None  # every model ranks
        return found.value

    return sorted(record["elements"], key=change)


def difference(element: Record, column: Column) -> Estimate | None:
    """Paired difference of one element in one column; None without ratings to compare."""
    _, row, part, metric = column
    cell = element["rows"][row][part].get(metric)
    return None if cell is None else Estimate.from_dict(cell)


def differences(element: Record, columns: Sequence[Column]) -> list[Estimate | None]:
    """Paired differences of one element in all columns."""
    return [difference(element, column) for column in columns]


def cells(record: Record) -> tuple[list[str], list[list[str]]]:
    """Titles and rows for a terminal, each difference with the half of its 95 % interval."""
    columns = columns_of(record)
    rows = [["the preset", *_preset_cells(record, columns)]]
    rows += [_terminal_row(element, columns) for element in in_order(record)]
    return ["", *(column[0].replace(", ", "\n") for column in columns)], rows


def _terminal_row(element: Record, columns: Sequence[Column]) -> list[str]:
    return [element["row"], *map(_short, differences(element, columns))]


def to_markdown(record: Record) -> str:
    """Table with complete intervals, bold where they exclude zero, and a note on the protocol."""
    columns, several = columns_of(record), len(record["seeds"]) > 1
    titles = [column[0] for column in columns]
    preset = _preset_cells(record, columns)
    if several:
        titles.append("NDCG@10, seed by seed")
        preset.append("")
    lines = [_line("", titles), "|---" * (len(titles) + 1) + "|", _line("**the preset**", preset)]
    for element in in_order(record):
        row = [_long(cell) for cell in differences(element, columns)]
        if several:
            row.append(_by_seed(record, element, columns[0]))
        lines.append(_line(element["row"], row))
    return "\n".join([*lines, "", made_by(record)])


def _preset_cells(record: Record, columns: Sequence[Column]) -> list[str]:
    return [f"{_of_preset(record, column):.4f}" for column in columns]


def _line(name: str, values: Sequence[str]) -> str:
    return " | ".join([f"| {name}".rstrip(), *values]) + " |"


def _by_seed(record: Record, element: Record, column: Column) -> str:
    """Smallest and largest difference of two runs of one seed, which shows the noise of seeds."""
    _, row, part, metric = column
    found = []
    for seed, run in element["seeds"].items():
        changed = run["figures"].get(row, run["figures"]["request_time_off"])
        complete = record["preset"]["seeds"][seed]["figures"][row]
        found.append(changed[part][metric] - complete[part][metric])
    return f"{min(found):+.4f} … {max(found):+.4f}"


def made_by(record: Record) -> str:
    """Preset, seeds, users and protocol; elements left out, with the reason."""
    figures = record["preset"]["figures"][columns_of(record)[0][1]]
    users = ", ".join(f"{part} {found['users']:,}" for part, found in figures.items())
    flags = f" with {' '.join(record['flags'])}" if record["flags"] else ""
    seeds = f"{_counted(len(record['seeds']), 'seed')} ({', '.join(map(str, record['seeds']))})"
    left_out = [f"{element['name']} ({element['missing']})" for element in record["skipped"]]
    sentences = [
        f"`{record['config']}`{flags}, {seeds}; "
        "the first row has its own figures, the others paired differences to it",
        "Each user's metric is averaged over seeds first; "
        "intervals are over users and know nothing of other seeds",
        f"Users: {users}",
        protocol_line({**record["protocol"], "request_time": "as the columns say"}),
        *([f"Left out: {', '.join(left_out)}"] if left_out else []),
    ]
    return ". ".join(sentences) + "."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _of_preset(record: Record, column: Column) -> float:
    _, row, part, metric = column
    return float(record["preset"]["figures"][row][part][metric])


def _short(cell: Estimate | None) -> str:
    if cell is None:
        return ABSENT
    # Without leading zeros a row fits into a line of a log.
    return cell.with_margin("+.4f").replace("0.", ".")


def _long(cell: Estimate | None) -> str:
    if cell is None:
        return ABSENT
    value, interval = f"{cell:+.4f}".split(" ", 1)
    return f"**{value}** {interval}" if cell.excludes_zero else f"{value} {interval}"


def draw(record: Record, path: Path) -> None:
    """Write a forest plot: a panel a column, a line an element, worse to the left."""
    columns, elements = columns_of(record), in_order(record)
    figure = Figure(
        figsize=(2.2 + 2.1 * len(columns), 1.7 + 0.3 * len(elements)), layout="constrained"
    )
    panels: Sequence[Axes] = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axis, column in zip(panels, columns, strict=True):
        _panel(axis, record, elements, column)
    panels[0].set_yticks(range(len(elements)), [element["row"] for element in elements])
    panels[0].set_ylim(len(elements) - 0.4, -0.6)
    figure.supxlabel(_caption(record), fontsize=8, color=_PALE)
    write_figure(path, figure, dpi=130)


def _panel(axis: Axes, record: Record, elements: Sequence[Record], column: Column) -> None:
    title, _, _, metric = column
    axis.axvline(0, color=_INK, linewidth=0.9, zorder=1)
    for height, element in enumerate(elements):
        cell = difference(element, column)
        if cell is None:
            continue
        color = _CLEAR if cell.excludes_zero else _UNCLEAR
        axis.plot(
            [cell.low, cell.high],
            [height, height],
            color=color,
            linewidth=1.8,
            solid_capstyle="round",
            zorder=2,
        )
        axis.plot([cell.value], [height], "o", color=color, markersize=5, zorder=3)
    name, _, part = title.partition(", ")
    axis.set_title(f"{name}\n{part or 'all users'}", fontsize=9.5, loc="left")
    axis.set_xlabel(
        f"preset {_of_preset(record, column):.4f}\n← worse     better →", fontsize=8, color=_PALE
    )
    axis.margins(x=0.08)
    if metric == "rating_rmse":
        axis.invert_xaxis()
    axis.locator_params(axis="x", nbins=4)
    axis.tick_params(axis="x", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.grid(axis="y", color="#eeeeee")
    axis.set_axisbelow(True)


def _caption(record: Record) -> str:
    protocol, seeds = record["protocol"], _counted(len(record["seeds"]), "seed")
    return (
        f"{record['config']} changed, minus {record['config']}: "
        f"{protocol['dataset']}, {protocol['split']}, "
        f"{protocol['subset']}, {protocol['users']:,} users, {seeds}; "
        "lines: 95 % paired bootstrap over users, blue where they exclude zero"
    )
