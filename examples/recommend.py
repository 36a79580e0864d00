"""RecommendationTable for a known user, for a bare sequence, and for somebody new: `python examples/recommend.py runs/small`."""

import sys

from bert4rec import RecommendationEngine, UnknownUser


def main(folder: str) -> None:
    """Prints four lists."""
    engine = RecommendationEngine.load(folder)
    user_id = engine.dataset.users.ids[0]
    sequence = list(engine.dataset.items.ids[:3])

    print(f"user {user_id}, from the stored history:")
    for item in engine.get_recommendations(user_id, k=5):
        print(f"  {item.rank}. {item.title or item.item_id}  score {item.score:.2f}")

    print(
        f"anyone who saw {sequence}:",
        engine.get_recommendations(item_sequence=sequence, k=5).item_ids,
    )

    # Take any known value of each feature; None would leave it unknown.
    known = {
        name: feature.values[0]
        for name, (feature, _) in engine.dataset.user_features.items()
        if feature.values
    }
    new = engine.get_recommendations(item_sequence=[], user_features=known, request_time="now", k=5)
    print(f"somebody new with {known}:", new.item_ids)

    try:
        engine.get_recommendations("nobody")
    except UnknownUser as problem:
        print("an unknown user without a history:", problem)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
