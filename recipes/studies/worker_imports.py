"""What the workers of a study need and take seconds to import, imported; nothing is computed and no store opened."""

from importlib import import_module

for _name in (
    "registry.worker_imports",
    "registry.study_runs",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "recipes.noisy_labels.run",
    "recipes.noisy_labels.learners.tfidf",
):
    import_module(_name)
