"""Graders through the real SDK: those that are rules are run, and the others refused."""

import openai
import pytest

from tests.serve.served import refused

RULE = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "{{ item.label }}"}


def graded(client, sample, item=None, **changes):
    grader = {**RULE, "operation": "eq", **changes}
    return client.fine_tuning.alpha.graders.run(grader=grader, model_sample=sample, item=item or {"label": "positive"})


@pytest.mark.parametrize(
    "operation, sample, reward",
    [("eq", "positive", 1), ("eq", "Positive", 0), ("ne", "negative", 1), ("like", "so positive!", 1),
     ("like", "so Positive!", 0), ("ilike", "so POSITIVE!", 1)],
)  # fmt: skip
def test_a_string_check_is_one_or_nothing(client, operation, sample, reward):
    found = graded(client, sample, operation=operation)
    assert found.reward == reward and not found.metadata.errors.invalid_variable_error
    assert (found.metadata.name, found.metadata.type) == ("same", "string_check")


def test_variables_reach_into_rows_and_answers_that_are_json(client):
    found = graded(client, '{"is": ["good"]}', {"a": {"b": "the good"}}, input="the {{ sample.output_json.is }}",
                   reference='{{item.a.b}}', operation="ne")  # fmt: skip
    assert found.reward == 1


def test_a_variable_that_is_not_there_is_an_error_and_no_reward(client):
    found = graded(client, "positive", {"other": "positive"}, operation="ne")
    assert found.reward == 0 and found.metadata.errors.invalid_variable_error


def test_similar_texts_score_between_nothing_and_one(client):
    def bleu(sample):
        settings = {"type": "text_similarity", "evaluation_metric": "bleu", "operation": None}
        return graded(client, sample, {"label": "the boat lies in the old harbour"}, **settings).reward

    same, near, far = map(bleu, ("the boat lies in the old harbour", "the boat lies in a harbour", "no"))
    assert same == pytest.approx(1) and same > near > far >= 0


def test_a_grader_comes_back_as_it_was_understood(client):
    grader = {**RULE, "operation": "ilike"}
    assert client.fine_tuning.alpha.graders.validate(grader=grader).grader.to_dict() == grader


def test_a_grader_that_runs_code_or_is_none_is_refused(client):
    with refused(openai.BadRequestError, "python", "string_check", param="grader"):
        client.fine_tuning.alpha.graders.validate(grader={"type": "python", "name": "x", "source": "1"})
    with refused(openai.BadRequestError, "eq", param="grader.string_check.operation"):
        client.fine_tuning.alpha.graders.validate(grader={**RULE, "operation": "same"})
