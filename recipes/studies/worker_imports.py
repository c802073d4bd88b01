"""Modules that workers of a study need and that take seconds to import; nothing is computed and no store opened."""

from data.processes import collect_rarely

collect_rarely()

import matplotlib.backends.backend_agg  # noqa: E402, F401
import matplotlib.figure  # noqa: E402, F401
import scipy.stats  # noqa: E402, F401
import sklearn.feature_extraction.text  # noqa: E402, F401
import sklearn.linear_model  # noqa: E402, F401
import sklearn.metrics  # noqa: E402, F401
import sklearn.model_selection  # noqa: E402, F401

import recipes.noisy_labels.learners.tfidf  # noqa: E402, F401
import recipes.noisy_labels.run  # noqa: E402, F401
import registry.study_runs  # noqa: E402, F401
import registry.worker_imports  # noqa: E402, F401
