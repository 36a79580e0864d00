"""Raw ids in, recommendations, explanations and profiles out."""
