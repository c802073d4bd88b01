"""The curves of a study: one line a series, means with intervals, undefined values left out."""

import csv

import numpy as np
import pytest

from evals.significance import mean_over_seeds
from recipes.studies.curves import COLOURS
from recipes.studies.noise_plots import rate_curves


def cells(kinds=("symmetric", "one_sided"), seeds=(0, 1, 2), **more):
    return [
        {"kind": kind, "rate": rate, "seed": seed, "accuracy": 0.9 - rate * (0.8 - 0.4 * k) + 0.01 * seed,
         "memorised_share": rate + 0.1 if rate else None, **more}
        for k, kind in enumerate(kinds) for rate in (0, 0.2, 0.5) for seed in seeds
    ]  # fmt: skip


def near(path, colour):
    from matplotlib.image import imread

    picture = (imread(path)[:, :, :3] * 255).round().astype(int)
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - rgb).max(axis=2) <= 12).sum())


def table(path):
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_series_is_drawn_in_its_colour(tmp_path):
    rate_curves(cells(), "a study for $5", tmp_path / "a.png")
    for colour in COLOURS[:2]:
        assert near(tmp_path / "a.png", colour) > 500
    assert near(tmp_path / "a.png", COLOURS[2]) == 0


def test_the_table_holds_means_and_intervals_and_nothing_undefined(tmp_path):
    rate_curves(cells(), "a study", tmp_path / "a.png")
    rows = table(tmp_path / "a.png")
    assert {row["metric"] for row in rows} == {"accuracy", "memorised_share"}, "no cell has an AUC"
    assert [row["rate"] for row in rows if row["metric"] == "memorised_share"] == ["0.2", "0.5"] * 2
    found = next(row for row in rows if (row["kind"], row["metric"], row["rate"]) == ("one_sided", "accuracy", "0.2"))
    expected = mean_over_seeds([0.9 - 0.2 * 0.4 + 0.01 * seed for seed in (0, 1, 2)])
    assert [float(found[key]) for key in ("n", "mean", "low", "high")] == pytest.approx(
        [3, expected.mean, expected.low, expected.high]
    )


def test_the_description_gives_every_point_of_each_line(tmp_path):
    rate_curves(cells(), "a study", tmp_path / "a.png")
    text = (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert "accuracy, symmetric: 0.910 at 0, 0.750 at 0.2, 0.510 at 0.5." in text
    assert "flipped rows memorised, one_sided: 0.300 at 0.2, 0.600 at 0.5." in text


def test_one_seed_has_no_interval_and_other_series_can_be_drawn(tmp_path):
    rate_curves(cells(("symmetric",), (7,), learner="tfidf"), "one", tmp_path / "a.png", by="learner")
    assert {(row["learner"], row["low"], row["high"]) for row in table(tmp_path / "a.png")} == {("tfidf", "", "")}
    rate_curves([{"kind": "symmetric", "rate": 0.3, "auc": 0.2}], "one cell, below its panel", tmp_path / "b.png")


def test_a_series_without_a_metric_is_called_undefined(tmp_path):
    both = cells(("symmetric",)) + [{"kind": "clean", "rate": 0, "accuracy": 0.9}]
    rate_curves(both, "with control", tmp_path / "a.png")
    assert "flipped rows memorised, clean: undefined." in (tmp_path / "a.txt").read_text(encoding="utf-8")


def test_no_metric_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none|no cell"):
        rate_curves([{"kind": "symmetric", "rate": 0.3}], "nothing", tmp_path / "a.png")
