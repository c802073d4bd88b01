"""The comparison of answers: what passes, and which cause is named for each fault in the answers of a consumer."""

import pytest

from data.errors import UserError
from recipes.export.answers import Answers, Reference
from recipes.export.proof import EIGHT_BITS, EXACT, HALF, compare
from recipes.export.rounding import FINER, rounding_cause
from tests.fixtures.consumers import lines_and_value

BOS, END = 1, 2
OWN = Answers([[BOS, 5, 6]], [[7, 8, END]], ["seven eight"], [[-0.1, -0.2, -0.3]])
REFERENCE = Reference([[{"role": "user", "content": "five"}]], OWN, frozenset({END}), [[-3.0, -4.0, -5.0]], 10)
SOUND = {"prompts": OWN.prompts, "tokens": OWN.tokens, "texts": OWN.texts, "log_probs": OWN.log_probs, "vocabulary": 10}


@pytest.mark.parametrize("tolerance", [EXACT, HALF, EIGHT_BITS])
def test_the_same_answers_have_no_cause(tolerance):
    proof = compare(REFERENCE, SOUND, tolerance, BOS)
    assert (proof.cause, proof.same_texts, proof.largest) == ("", 1, 0)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"prompts": [[BOS, BOS, 5, 6]]}, "BOS twice"),
        ({"prompts": [[BOS, 6, 5]]}, "template differs"),
        ({"tokens": [[7, 8, END, 9]], "texts": ["seven eight nine"]}, "end token not a stop"),
        ({"texts": ["four"], "tokens": [[4]], "log_probs": [[-3.0, -4.0, -5.0]]}, "adapter not merged"),
        ({"log_probs": [[float("nan")] * 3]}, "dtype overflow"),
        ({"vocabulary": 12, "texts": ["four"]}, "embedding resized"),
        ({"texts": ["nine"], "tokens": [[9]], "log_probs": [[-0.2, -0.2, -0.3]]}, "the weights differ"),
    ],
)
def test_each_fault_is_named(fault, cause):
    assert compare(REFERENCE, {**SOUND, **fault}, EXACT, BOS).cause == cause


def test_a_token_without_a_log_probability_is_counted_and_not_compared():
    proof = compare(REFERENCE, {**SOUND, "log_probs": [[-0.1, None, -0.3]]}, EXACT, BOS)
    assert (proof.cause, proof.unknown, proof.largest) == ("no log-probability known for 1 of 3 tokens", 1, 0)
    assert proof.metrics["export/unknown_tokens_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("tolerance", [EXACT, EIGHT_BITS])
def test_log_probabilities_that_are_judged_must_be_known(tolerance):
    proof = compare(REFERENCE, {**SOUND, "log_probs": [[None] * 3]}, tolerance, BOS)
    assert proof.cause == "no log-probability known for 3 of 3 tokens"
    assert compare(REFERENCE, {**SOUND, "log_probs": [[None] * 3]}, HALF, BOS).cause == ""


def test_a_text_that_parts_where_the_version_hardly_preferred_its_token_is_not_another_one():
    two = Answers(OWN.prompts * 2, OWN.tokens * 2, OWN.texts * 2, OWN.log_probs * 2)
    other = {**SOUND, "prompts": two.prompts, "tokens": [[7, 9, END]] * 2, "texts": ["seven nine"] * 2}
    other["log_probs"] = two.log_probs
    for margin, cause, ties in ((0.01, "", 2), (0.5, "the weights differ", 0)):
        reference = Reference(REFERENCE.messages * 2, two, frozenset({END}), [], 10, [[3.0, margin, 3.0]] * 2)
        proof = compare(reference, other, HALF, BOS)
        assert (proof.cause, proof.ties, proof.same_texts) == (cause, ties, 0)
        assert compare(reference, other, EXACT, BOS).cause == "the weights differ"


def test_one_text_may_differ_at_sixteen_bits_and_log_probabilities_on_average_at_eight():
    changed = {**SOUND, "texts": ["nine"], "tokens": [[9]], "log_probs": [[-0.2, -0.2, -0.3]]}
    assert compare(REFERENCE, changed, EIGHT_BITS, BOS).cause == "the weights differ"
    assert compare(REFERENCE, changed, HALF, BOS).cause == ""


def test_differences_of_both_signs_do_not_cancel():
    proof = compare(REFERENCE, {**SOUND, "log_probs": [[0.0, -0.2, -0.4]]}, EIGHT_BITS, BOS)
    assert (proof.cause, proof.mean) == ("the weights differ", pytest.approx(0.2 / 3))


@pytest.mark.parametrize(
    ("refused", "passes", "cause"),
    [
        ("f16", ["f32"], "quantisation (rounding to f16, 11 significant bits a weight; f32 passes: take to=merged)"),
        ("q8_0", ["f32"], "quantisation (rounding to q8_0, 8 bits a weight; f32 passes: take to=merged)"),
        ("bf16", [], "the weights differ"),
    ],
)
def test_a_type_that_passes_is_recommended_and_one_that_can_not_be_made_is_no_cause(refused, passes, cause):
    def compared(outtype):
        if outtype in passes:
            return compare(REFERENCE, SOUND, HALF, BOS)
        raise UserError("no room on the disk")

    lines, found = lines_and_value(rounding_cause(refused, compared))
    assert found == cause
    assert len(lines) == len(FINER[refused][1]) and all("no room" in line for line in lines[: -1 if passes else None])
