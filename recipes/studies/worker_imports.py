"""Modules that workers of a study need and that take seconds to import; nothing is computed and no store opened."""

import matplotlib.backends.backend_agg  # noqa: F401
import matplotlib.figure  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.feature_extraction.text  # noqa: F401
import sklearn.linear_model  # noqa: F401
import sklearn.metrics  # noqa: F401
import sklearn.model_selection  # noqa: F401

import recipes.noisy_labels.learners.tfidf  # noqa: F401
import recipes.noisy_labels.run  # noqa: F401
import registry.study_runs  # noqa: F401
import registry.worker_imports  # noqa: F401
