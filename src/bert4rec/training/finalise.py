"""Steps between the last epoch and the finished model folder.

They fit what is not learned by gradient steps (cold-start rows, cold-item penalty, cold-start
bias), evaluate the model and write its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from bert4rec import artefact
from bert4rec.data.splits import Subset
from bert4rec.evaluation.comparison import compare
from bert4rec.evaluation.evaluate import evaluate_by_request_time
from bert4rec.evaluation.report import Reports, stored_metrics
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.cold_item_penalty import cold_item_penalty
from bert4rec.training.cold_start_bias import fit_cold_start_bias
from bert4rec.training.initial_network import reset_untrained_rows
from bert4rec.training.model_card import model_card
from bert4rec.training.progress import summary_line
from bert4rec.training.run_directory import drop_checkpoints, write_json
from bert4rec.training.training_run import TrainingRun
from bert4rec.training.warm_start import describe_comparison


def finalise(
    run: TrainingRun, network: Bert4Rec, figures: dict[str, Any], subsets: Sequence[Subset]
) -> None:
    """Make the model folder of a trained network, evaluated on the subsets."""
    run.log(summary_line(figures))
    network = network.cpu()
    # Reset again: the unknown user's row has changed in training.
    reset_untrained_rows(network, run.dataset, run.split)
    _set_cold_item_penalty(run, network)
    scorer = _scorer(run, network)
    fit_cold_start_bias(scorer, run.dataset, run.split)
    reports: Reports = {
        subset: evaluate_by_request_time(scorer, run.dataset, run.split, subset)
        for subset in subsets
    }
    comparison = _compare_with_warm_start(run, reports)
    _plot_losses(run, figures)
    _save(run, network, reports, figures, comparison)
    drop_checkpoints(run.directory)
    run.log(f"model folder: {run.directory.output}")


def _scorer(run: TrainingRun, network: Bert4Rec) -> NetworkScorer:
    return NetworkScorer(network, run.config, run.directory.output.name)


def _set_cold_item_penalty(run: TrainingRun, network: Bert4Rec) -> None:
    """Lower the scores of cold-start items until warm items lose at most `cold_item_cost`."""
    cost = run.config.training.cold_item_cost
    penalty = cold_item_penalty(_scorer(run, network), run.dataset, run.split, cost)
    network.get_buffer(COLD_ITEM_PENALTY).fill_(penalty)
    if penalty:
        run.log(
            f"scores of cold-start items are lowered by {penalty:.2f} (cold_item_cost {cost:g})"
        )


def _compare_with_warm_start(run: TrainingRun, reports: Reports) -> str:
    """Sentence on the difference to the warm-start model, on the last subset; "" without either."""
    folder = run.config.training.warm_start_from
    if not folder or not reports:
        return ""
    subset, rows = list(reports.items())[-1]
    if not rows:
        return ""
    model = artefact.load(run.directory.warm_start, run.dataset)
    model_scorer = NetworkScorer(model.network, model.config, name=folder)
    model_rows = evaluate_by_request_time(model_scorer, run.dataset, run.split, subset)
    comparisons = {
        row: compare(report, model_rows[row]) for row, report in rows.items() if row in model_rows
    }
    content = {row: comparison.to_dict() for row, comparison in comparisons.items()}
    write_json(run.directory.comparison, content)
    sentence = describe_comparison(next(iter(comparisons.values())))
    run.log(sentence)
    return sentence


def _plot_losses(run: TrainingRun, figures: dict[str, Any]) -> None:
    """Draw the loss curves, where matplotlib is installed; training does without it."""
    path = run.directory.output / "losses.png"
    if find_spec("matplotlib") is None:
        run.log(f"{path}: not drawn, for matplotlib is not installed")
        return
    from bert4rec.training.loss_plots import plot_losses

    plot_losses(figures["history"], path)


def _save(
    run: TrainingRun,
    network: Bert4Rec,
    reports: Reports,
    figures: dict[str, Any],
    comparison: str,
) -> None:
    """Write the model folder: weights, data, settings, metrics and model card."""
    output, dataset = run.directory.output, run.dataset
    metrics = stored_metrics(reports)
    card = model_card(
        output.name, run.config, dataset.manifest, metrics, figures, compared=comparison
    )
    artefact.save(
        output,
        network,
        run.config,
        dataset,
        run.split,
        metrics=metrics,
        training=figures,
        card=card,
    )
