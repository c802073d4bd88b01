"""The checkpoint that keeps the behaviour at the least spread is marked, and the picture says what it shows."""

import csv

from evals.claims_file import parse
from evals.paired import Difference
from evals.side_effects_by_step import ByStep, Checkpoint, spread_metric, write_picture

KEEPS = parse("keeps:\n  - facts/accuracy: {not_below: -0.05}\n", "c.yaml", {"facts/accuracy": (0.0, 1.0)}).lines


def difference(before, after):
    return Difference(60, before, after, after - before, after - before - 0.05, after - before + 0.05, "")


def by_step(*points, kept=None, metric="chrf", base=10.0):
    """``points``: (step, behaviour, spread, whether a keep is broken)."""
    checkpoints = tuple(
        Checkpoint(
            step,
            {metric: difference(base, value), "spread/lexicon_rate": difference(0.0, spread),
             "facts/accuracy": difference(0.6, 0.6 - spread)},
            ("keep facts/accuracy: refuted",) if broken else (),
        )
        for step, value, spread, broken in points
    )  # fmt: skip
    steps = frozenset(kept or [point[0] for point in points])
    return ByStep(checkpoints, KEEPS, metric, "spread/lexicon_rate", "15 validation rows", points[0][0], steps)


def test_the_marked_checkpoint_has_95_percent_of_the_gain_and_the_least_spread():
    assert by_step((8, 50, 0.1, 0), (16, 87, 0.4, 0), (24, 90, 0.6, 0), (32, 88, 0.3, 0)).least_spread == 32
    assert by_step((8, 85, 0.1, 0), (16, 90, 0.4, 0)).least_spread == 16  # 85 is 94 % of 90, but of the gain 75 of 80
    assert by_step((8, 90, 0.4, 0), (16, 90, 0.4, 0)).least_spread == 8
    assert by_step((8, 5.0, 0.4, 0), (16, 2.0, 0.5, 0), metric="perplexity", base=50.0).least_spread == 16


def test_a_broken_checkpoint_and_one_without_weights_are_not_marked_and_set_no_standard():
    assert by_step((8, 50, 0.1, 0), (16, 90, 0.0, 1)).least_spread == 8
    assert by_step((8, 50, 0.1, 0), (16, 90, 0.5, 0), kept=[8]).least_spread == 8


def test_nothing_is_marked_where_nothing_was_gained():
    found = by_step((8, 9, 0.1, 0), (16, 10, 0.2, 0))
    assert (
        found.least_spread is None and "none that may be taken has a better chrF than the base" in found.sentences[-1]
    )


def test_the_spread_is_that_of_the_style_where_one_is_known():
    assert spread_metric({"spread/copy_rate": 0, "spread/lexicon_rate": 0}) == "spread/lexicon_rate"
    assert spread_metric({"spread/copy_rate": 0}) == "spread/copy_rate" and spread_metric({}) == ""


def test_the_picture_has_its_figures_and_its_words_beside_it(tmp_path):
    path = tmp_path / "by_step.png"
    write_picture(by_step((8, 50, 0.1, 0), (16, 90, 0.4, 1)), "A $title", path)
    rows = list(csv.DictReader(path.with_suffix(".csv").open()))
    assert [(row["step"], row["keeps_broken"]) for row in rows if row["metric"] == "chrf"] == [("8", "0"), ("16", "1")]
    words = path.with_suffix(".txt").read_text()
    assert "training ended at step 16: keep facts/accuracy: refuted" in words
    assert "chrF, 15 validation rows, by step (0: 10.0, 8: 50.0, 16: 90.0)" in words
    assert path.read_bytes().startswith(b"\x89PNG")
