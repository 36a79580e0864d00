from __future__ import annotations

from bert4rec.data.dataset import PreparedDataset
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.training.model_card import model_card
from small_networks import settings
from small_worlds import constant, dataset_of, leave_one_out

FIGURES = {
    "epochs": 12,
    "best_epoch": 9,
    "seconds": 61.4,
    "seconds_to_best": 45.2,
    "parameters": 123_456,
    "device": "cpu",
    "events_per_second": 7_890.4,
    "peak_memory_mb": 512.3,
}


def card(**changes: object) -> str:
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], num_items=30)
    reports = {
        "test_request_time_off": evaluate(
            constant(dataset), dataset, leave_one_out(dataset)
        ).to_dict()
    }
    arguments = {
        "config": settings(),
        "data": dataset.manifest,
        "metrics": reports,
        "training": FIGURES,
        **changes,
    }
    return model_card("small", **arguments)  # type: ignore[arg-type]


def test_a_card_names_the_data_and_how_to_load_the_model() -> None:
    text = card()
    assert text.startswith("# small\n")
    assert "trained on by hand: 30 items, data checksum" in text
    assert "RecommendationEngine.load(folder)" in text


def test_a_card_shows_results_with_intervals_and_their_protocol() -> None:
    text = card()
    assert "| row | hit@10 | ndcg@10 | mrr |" in text  # no rating was predicted
    assert "| test request time off | 0.0000 [0.0000, 0.0000] |" in text
    assert "all 30 items" in text


def test_a_card_lists_the_settings_that_differ_from_the_defaults_and_no_others() -> None:
    text = card(config=settings(hidden_size=24, num_heads=4))
    assert "- hidden_size: 24" in text
    assert "num_heads" not in text  # 4 is the default
    assert "- split" not in text


def test_a_card_says_what_the_run_cost() -> None:
    assert (
        "123,456 parameters; 12 epochs in 61 s (best after epoch 9, 45 s) on cpu, "
        "7,890 events/s, peak memory 512 MB." in card()
    )


def test_a_card_of_a_model_without_results_and_figures_leaves_them_out(
    world: PreparedDataset,
) -> None:
    text = card(metrics={}, training={}, data=world.manifest)
    assert "## Results" not in text
    assert "## Cost" not in text
    assert "synthetic" in text
