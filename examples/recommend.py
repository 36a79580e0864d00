"""Recommendations for a known user, for a sequence and for a cold-start user.

python examples/recommend.py runs/small
"""

import sys

from bert4rec import RecommendationEngine, UnknownUser


def main(folder: str) -> None:
    """Print three lists, and the error for an unknown user."""
    engine = RecommendationEngine.load(folder)
    user_id = engine.dataset.users.ids[0]
    sequence = list(engine.dataset.items.ids[:3])

    print(f"user {user_id}, from the stored history:")
    for item in engine.get_recommendations(user_id, k=5):
        print(f"  {item.rank}. {item.title or item.item_id}  score {item.score:.2f}")

    found = engine.get_recommendations(item_sequence=sequence, k=5)
    print(f"any user with the history {sequence}: {found.item_ids}")

    # The first known value of each user feature; None would leave a feature unknown.
    features = {
        name: feature.values[0]
        for name, (feature, _) in engine.dataset.user_features.items()
        if feature.values
    }
    found = engine.get_recommendations(user_features=features, request_time="now", k=5)
    print(f"cold-start user with {features}: {found.item_ids}")

    try:
        engine.get_recommendations("nobody")
    except UnknownUser as problem:
        print("an unknown user without a history:", problem)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
