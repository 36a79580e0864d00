"""Explanation of the first recommendation, and the user's profile.

python examples/explain.py runs/small
"""

import sys

from bert4rec import RecommendationEngine


def main(folder: str) -> None:
    """Print an explanation with a bar for each event, and the profile."""
    engine = RecommendationEngine.load(folder)
    user_id = engine.dataset.users.ids[0]
    first = engine.get_recommendations(user_id, k=1)[0]
    explained = engine.explain_recommendation(user_id, recommended_item_id=first.item_id)

    print(explained.sentence)
    for event in explained.events[:8]:
        bar = ("+" if event.effect > 0 else "-") * round(10 * abs(event.effect))
        print(f"  {event.title or event.item_id!s:<30.30} {event.effect:+6.2f} {bar[:40]}")
    for name, effect in explained.context_effects.items():
        print(f"  {name:<30.30} {effect:+6.2f}")

    for name, value in engine.get_user_profile(user_id).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
