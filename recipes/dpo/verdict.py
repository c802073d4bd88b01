"""The verdict on training on preferences, on this machine or at an API."""

from collections.abc import Mapping, Sequence

import numpy as np

from data.conversation import Row
from evals import preference_verdict
from evals.controls import findings, own_references
from evals.generation import Scores
from evals.paired import Difference
from evals.verdict import Finding, Verdict, decide_preferences
from recipes.dpo.data import PreferenceRows, longer_share


def decide(
    changes: Mapping[str, Difference], before: Scores, after: Scores, rows: PreferenceRows, test: Sequence[Row],
    seed: int, of_suites: Sequence[Finding] = (),
) -> Verdict:  # fmt: skip
    """The verdict by the changes, the answers of start and tuned model, and the side effects.

    Args:
        test: the held-out rows that both have answered.
        seed: of resampled intervals.
    """
    assert after.data is not None
    chosen_words = float(np.mean([len(row.response.split()) for row in test]))
    words = before.values["answer_words"], after.values["answer_words"], chosen_words
    found = preference_verdict.findings(changes, *words, longer_share(rows.preferences[0]))
    faults = [*found, *findings([own_references(after.data, seed)]), *of_suites]
    return decide_preferences(before.values, after.values, faults, rows=len(test))
