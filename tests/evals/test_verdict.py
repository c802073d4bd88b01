"""Each verdict begins at its documented threshold, the worst one is named, and the reasons hold the figures."""

import math

import pytest

from evals.verdict import VERDICTS, Finding, Thresholds, Verdict
from evals.verdict import decide as decide_with

LIMITS = Thresholds()
FINE = {"loop_rate": 0.0, "copy_rate": 0.0, "stop_rate": 1.0, "length_ratio": 1.0, "misfit_rate": 0.0}
BASE = {"loss": 4.0, "train_loss": 4.0, "echo_rate": 0.9, **FINE}
GOOD = {"loss": 2.0, "train_loss": 1.8, "echo_rate": 0.0, **FINE}
BIT = 1e-6
#: Reached by comparisons of the answers alone.
COMPARED = ("unrelated", "garbled", "not_better", "not_shown")
#: verdict, scores just past its threshold, past_best, and what brings it back to healthy
EDGES = [
    ("looping", {"loop_rate": LIMITS.loop_rate + BIT}, 1.0, {"loop_rate": LIMITS.loop_rate}),
    ("echoing", {"echo_rate": LIMITS.echo_rate + BIT}, 1.0, {"echo_rate": LIMITS.echo_rate}),
    ("memorising", {"copy_rate": LIMITS.copy_rate + BIT}, 1.0, {"copy_rate": LIMITS.copy_rate}),
    ("memorising", {"train_loss": 2.0 - LIMITS.gap_nats - BIT}, 2.0, {"train_loss": 2.0 - LIMITS.gap_nats + BIT}),
    ("unfinished", {"stop_rate": LIMITS.stop_rate - BIT}, 1.0, {"stop_rate": LIMITS.stop_rate}),
    ("wrong_length", {"length_ratio": LIMITS.least_length - BIT}, 1.0, {"length_ratio": LIMITS.least_length}),
    ("wrong_length", {"length_ratio": LIMITS.most_length + BIT}, 1.0, {"length_ratio": LIMITS.most_length}),
    ("wrong_length", {"misfit_rate": LIMITS.misfit_rate + BIT}, 1.0, {"misfit_rate": LIMITS.misfit_rate}),
    ("not_learned", {"loss": 4 * (1 - LIMITS.least_gain) + BIT, "train_loss": 3.5}, 1.0, {"loss": 3.6 - BIT}),
]


def decide(base: dict[str, float], tuned: dict[str, float], past_best: float) -> Verdict:
    return decide_with(base, tuned, past_best, [])


@pytest.mark.parametrize(("name", "scores", "past_best", "mended"), EDGES)
def test_a_verdict_begins_just_past_its_threshold(name, scores, past_best, mended):
    assert decide(BASE, {**GOOD, **scores}, past_best).name == name
    assert decide(BASE, {**GOOD, **scores, **mended}, past_best).name == "healthy"


def test_a_loss_well_above_its_start_is_diverged_and_one_just_above_is_not_learned():
    limit = LIMITS.diverged_ratio * BASE["loss"]
    assert decide(BASE, {**GOOD, "loss": limit + BIT, "train_loss": limit}, 1.0).name == "diverged"
    assert decide(BASE, {**GOOD, "loss": limit - BIT, "train_loss": limit}, 1.0).name == "not_learned"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_diverged(loss):
    assert decide(BASE, {**GOOD, "loss": loss}, 1.0).name == "diverged"


def test_a_wide_gap_alone_is_no_memorising_while_the_held_out_loss_is_at_its_best():
    scores = {**GOOD, "train_loss": 2.0 - LIMITS.gap_nats - BIT}
    assert decide(BASE, scores, LIMITS.overfit_ratio).name == "healthy"
    assert decide(BASE, scores, LIMITS.overfit_ratio + BIT).name == "memorising"


def test_a_base_that_loops_itself_raises_the_limit_to_half_its_rate():
    looping = {**BASE, "loop_rate": 0.6}
    assert decide(looping, {**GOOD, "loop_rate": 0.3}, 1.0).name == "healthy"
    assert decide(looping, {**GOOD, "loop_rate": 0.3 + BIT}, 1.0).name == "looping"


def test_the_worst_verdict_is_named_and_every_reason_given():
    bad = {"loss": 9.0, "train_loss": 9.0, "loop_rate": 0.5, "echo_rate": 0.5, "copy_rate": 0.5, "stop_rate": 0.1}
    bad |= {"length_ratio": 1.0, "misfit_rate": 0.5}
    order = ["diverged", "looping", "echoing", "memorising", "unfinished", "wrong_length", "not_learned"]
    repairs = [{"loss": 3.9, "train_loss": 3.9}, {"loop_rate": 0.0}, {"echo_rate": 0.0}]
    repairs += [{"copy_rate": 0.0}, {"stop_rate": 1.0}, {"misfit_rate": 0.0}, GOOD]
    for left, (name, repair) in enumerate(zip(order, repairs, strict=True)):
        verdict = decide(BASE, bad, 1.0)
        assert (verdict.name, len(verdict.reasons)) == (name, 7 - left)
        bad = {**bad, **repair}
    assert decide(BASE, bad, 1.0).name == "healthy"


@pytest.mark.parametrize(
    ("scores", "past_best", "figures"),
    [
        ({}, 1.0, ("4.00", "2.00")),
        ({"loss": 7.25, "train_loss": 7.0}, 1.0, ("4.00", "7.25")),
        ({"loss": 3.95, "train_loss": 3.9}, 1.0, ("4.00", "3.95", "10%")),
        ({"loop_rate": 0.42}, 1.0, ("42%",)),
        ({"echo_rate": 0.37}, 1.0, ("37%",)),
        ({"copy_rate": 0.31}, 1.0, ("31%",)),
        ({"length_ratio": 2.5}, 1.0, ("2.50",)),
        ({"misfit_rate": 0.44}, 1.0, ("44%",)),
        ({"stop_rate": 0.03}, 1.0, ("3%", "100%", "max_length", "max_new_tokens")),
        ({"train_loss": 0.12}, 1.7, ("2.00", "0.12", "1.7")),
    ],
)
def test_the_reasons_hold_the_figures(scores, past_best, figures):
    reasons = " ".join(decide(BASE, {**GOOD, **scores}, past_best).reasons)
    assert all(figure in reasons for figure in figures), reasons


def test_what_comparisons_found_is_ranked_among_the_rest_and_makes_a_good_model_unhealthy():
    compared = [Finding("not_shown", "few rows"), Finding("garbled", "any order")]
    assert decide_with(BASE, GOOD, 1.0, compared) == Verdict("garbled", ("any order", "few rows"))
    assert decide_with(BASE, {**GOOD, "loop_rate": 0.5}, 1.0, compared).name == "looping"


def test_every_documented_verdict_can_be_reached():
    reached = {decide(BASE, {**GOOD, **scores}, past).name for _, scores, past, _ in EDGES}
    reached |= {decide(BASE, GOOD, 1.0).name, decide(BASE, {**GOOD, "loss": 9.0}, 1.0).name}
    reached |= {decide_with(BASE, GOOD, 1.0, [Finding(each, "")]).name for each in COMPARED}
    of_preferences = {"likelihood_collapse", "preference_not_learned", "length_gaming"}  # test_preference_verdict.py
    assert reached | {"side_effects"} | of_preferences == set(VERDICTS)  # tests/evals/test_side_effects.py


@pytest.mark.parametrize("scores", [{}, {"loop_rate": 0.9}, {"stop_rate": 0.1}])
def test_four_rows_are_too_few_to_judge_whatever_their_answers_are(scores):
    found = decide_with(BASE, {**GOOD, **scores}, 1.0, [Finding("garbled", "any order")], rows=4)
    assert found.name == "not_shown" and found.reasons == (
        "4 held-out rows are too few rows to judge: give 8 or more (test_dataset)",
    )
    assert decide_with(BASE, {**GOOD, "loss": math.inf}, 1.0, [], rows=4).name == "diverged"
