"""What is concluded from the answers of models at an API."""

import pytest

from evals.generation import Answer
from recipes import claims
from recipes.dpo import claims as own_claims
from recipes.dpo import remote
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import load


@pytest.mark.parametrize(
    ("answers", "count", "verdicts"),
    [
        (lambda row: row.response, 45, {"healthy"}),
        (lambda _: "In room twelve.", 45, {"unrelated", "not_shown"}),
        (lambda row: row.response, 7, {"not_shown"}),
    ],
)
def test_one_answer_to_everything_and_too_few_answers_are_not_healthy(answers, count, verdicts):
    config = DpoConfig(provider="openai")
    rows = load(config)
    claimed = claims.read("", own_claims.DEFAULTS, remote._measured(rows))
    base = [Answer("Of course, I am happy to help you with that.", True) for _ in rows.test]
    tuned = [Answer(answers(row), True) if i < count else None for i, row in enumerate(rows.test)]
    assert remote._outcome(config, rows, base, tuned, claimed).verdict.name in verdicts
