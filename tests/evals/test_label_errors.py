"""Flipped labels are found by their loss, out of fold without having seen them; theory is what theory says."""

import random
from math import log

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from data.corruption import Noise, corrupt
from data.errors import DataError
from data.labelled import LabelledRow
from evals.label_errors import (
    Memorization,
    best_confidence,
    best_ece,
    best_loss,
    detect,
    losses,
    memory,
    out_of_fold,
    prune,
    prune_and_retrain,
)
from recipes.noisy_labels import tfidf

GOOD, BAD = "lovely warm clever moving superb".split(), "dull cold clumsy tedious awful".split()
PLAIN = "the film was about one man and his boat at sea with many others".split()


def reviews(n, seed=0):
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        told = draw.choices(PLAIN, k=8) + draw.choices((BAD, GOOD)[i % 2], k=3)
        draw.shuffle(told)
        rows.append(LabelledRow(" ".join(told), i % 2, f"r{seed}-{i}", i))
    return rows


class Parrot:
    """Learns every text by heart and knows nothing else."""

    def __init__(self, rows, labels):
        self._known = {row.text: label for row, label in zip(rows, labels, strict=True)}

    def p_positive(self, rows):
        return np.array([{0: 0.01, 1: 0.99, None: 0.5}[self._known.get(row.text)] for row in rows])


@pytest.fixture(scope="module")
def noisy():
    """400 reviews, a fifth of them with the wrong label."""
    return corrupt(reviews(400), Noise("symmetric", 0.2, 3))


def given(rows):
    return [row.label for row in rows]


def test_losses_are_those_of_the_given_labels_and_finite():
    p, labels = [0.9, 0.9, 0.2, 0.0], [1, 0, 0, 1]
    found = losses(p, labels)
    assert found[:3] == pytest.approx([-log(0.9), -log(0.1), -log(0.8)])
    assert np.isfinite(found).all() and found[3] > 20
    draw = np.random.default_rng(0)
    p, labels = draw.random(50), draw.integers(0, 2, 50)
    assert losses(p, labels).mean() == pytest.approx(log_loss(labels, p))
    with pytest.raises(ValueError, match="2 probabilities but 1 labels"):
        losses([0.1, 0.2], [1])


def test_detection_is_scikit_learns_and_undefined_where_none_or_all_are_flipped():
    draw = np.random.default_rng(1)
    scores, mask = draw.random(80).round(1), draw.random(80) < 0.3
    found = detect(scores, mask.tolist())
    assert found.auroc == pytest.approx(roc_auc_score(mask, scores))
    assert found.auprc == pytest.approx(average_precision_score(mask, scores))
    assert found.flipped_share == mask.mean()
    assert detect([0.1, 0.2], [False, False]) == type(found)(0.0, None, None)
    assert detect([0.1, 0.2], [True, True]) == type(found)(1.0, None, None)
    assert detect([], []).flipped_share is None
    with pytest.raises(ValueError, match="1 scores but 2 rows"):
        detect([0.1], [True, False])


def test_a_learner_is_only_ever_asked_about_rows_it_has_not_seen(noisy):
    labels = given(noisy.rows)
    assert (out_of_fold(Parrot, noisy.rows, labels, seed=1) == 0.5).all()
    parrot = Parrot(noisy.rows, labels)
    in_sample = losses(parrot.p_positive(noisy.rows), labels)
    assert detect(in_sample, noisy.flipped).auroc == 0.5, "who memorised all finds nothing"


def test_flipped_rows_are_found_out_of_fold(noisy):
    labels = given(noisy.rows)
    scores = losses(out_of_fold(tfidf.fit, noisy.rows, labels, seed=1), labels)
    found = detect(scores, noisy.flipped)
    assert found.auroc > 0.95 and found.auprc > 0.8 > found.flipped_share


def test_folds_depend_on_the_seed_and_the_given_labels_alone(noisy):
    labels = given(noisy.rows)
    fit = tfidf.Vectors(noisy.rows).fit
    first, again, other = (out_of_fold(fit, noisy.rows, labels, seed=seed, folds=3) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.isfinite(first).all()
    seen = []

    def watched(rows, labels):
        seen.append((len(rows), sum(labels)))
        return Parrot(rows, labels)

    out_of_fold(watched, noisy.rows, labels, seed=1, folds=4)
    assert [n for n, _ in seen] == [300] * 4
    assert max(ones for _, ones in seen) - min(ones for _, ones in seen) <= 1


def test_few_rows_of_a_class_make_fewer_folds_and_one_is_refused():
    rows = reviews(12)
    labels = [1] * 3 + [0] * 9
    fits = []
    out_of_fold(lambda rows, labels: fits.append(sum(labels)) or Parrot(rows, labels), rows, labels, seed=0)
    assert fits == [2, 2, 2]
    with pytest.raises(DataError, match="1 of 12 rows have the rarer label"):
        out_of_fold(Parrot, rows, [1] + [0] * 11, seed=0)


def test_memory_by_hand_and_silence_memorises_nothing():
    true, labels = [0, 0, 1, 1, 1], [1, 1, 1, 1, 0]
    assert memory([1, 0, 1, "invalid", 1], labels, true) == Memorization(1 / 3, 3 / 5, 2 / 5)
    assert memory(["error"] * 5, labels, true) == Memorization(0.0, 0.0, 0.0)
    assert memory([0, 1], [0, 1], [0, 1]) == Memorization(None, 1.0, 1.0)
    assert memory([], [], []) == Memorization(None, None, None)


def test_a_parrot_memorises_every_flipped_row(noisy):
    answers = (Parrot(noisy.rows, given(noisy.rows)).p_positive(noisy.rows) > 0.5).astype(int).tolist()
    found = memory(answers, given(noisy.rows), noisy.originals)
    assert (found.memorised_share, found.accuracy_given) == (1.0, 1.0)
    assert found.accuracy_true == pytest.approx(1 - np.mean(noisy.flipped))


def test_pruning_leaves_out_the_most_suspect_and_keeps_the_order():
    rows = reviews(5)
    assert prune(rows, [0.3, 0.9, 0.2, 0.8, 0.1], 0.4) == [rows[0], rows[2], rows[4]]
    assert prune(rows, [1, 1, 1, 1, 1], 0.2) == rows[:4], "of equal scores the later one goes"
    assert prune(rows, [1, 2, 3, 4, 5], 0.39) == rows[:4], "rounded down"
    assert prune(rows, [1, 2, 3, 4, 5], 0) == rows and prune(rows, [1, 2, 3, 4, 5], 1) == []
    assert len(prune(reviews(100), range(100), 0.29)) == 71
    for scores, share, message in (
        ([1], 0.1, "as many scores"),
        ([1, 2, 3, 4, float("nan")], 0.1, "NaN"),
        (range(5), 1.1, "0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            prune(rows, scores, share)


def test_pruning_by_what_is_known_to_be_flipped_leaves_clean_labels(noisy):
    test, labels = reviews(200, seed=9), given(noisy.rows)
    mask = np.array(noisy.flipped, dtype=float)
    before = Parrot(noisy.rows, labels)
    found = prune_and_retrain(tfidf.fit, noisy.rows, noisy.originals, mask, mask.mean(), test, before)
    assert (found.dropped, found.precision, found.noise_after) == (int(mask.sum()), 1.0, 0.0)
    assert found.noise_before == pytest.approx(mask.mean())
    assert found.accuracy_before == 0.5 and found.accuracy_after > 0.95
    assert found.gain == found.accuracy_after - 0.5


def test_pruning_by_loss_gains_where_labels_are_noisy():
    noisy, test = corrupt(reviews(400), Noise("symmetric", 0.35, 3)), reviews(300, seed=9)
    labels = given(noisy.rows)
    scores = losses(out_of_fold(tfidf.fit, noisy.rows, labels, seed=1), labels)
    before = tfidf.fit(noisy.rows, labels)
    found = prune_and_retrain(tfidf.fit, noisy.rows, noisy.originals, scores, 0.35, test, before)
    assert found.dropped == 140 and found.precision > 0.7 and found.noise_after < 0.2 < found.noise_before
    assert found.noise_after * 260 == pytest.approx(found.noise_before * 400 - found.precision * 140)
    assert found.gain > 0


def test_pruning_everything_or_testing_on_nothing_is_refused(noisy):
    scores, before = np.zeros(400), Parrot([], [])
    with pytest.raises(DataError, match="pruning 100% of 400 rows"):
        prune_and_retrain(tfidf.fit, noisy.rows, noisy.originals, scores, 1.0, reviews(4), before)
    with pytest.raises(DataError, match="no test rows"):
        prune_and_retrain(tfidf.fit, noisy.rows, noisy.originals, scores, 0.1, [], before)


def test_the_best_loss_on_noisy_labels_is_their_entropy():
    assert best_loss(0) == 0 == best_loss(1) and best_loss(0.5) == pytest.approx(log(2))
    for rate in (0.1, 0.3, 0.45):
        labels = np.arange(100_000) < rate * 100_000
        assert losses(np.full(100_000, rate), labels).mean() == pytest.approx(best_loss(rate))
        for p in (rate - 0.05, rate + 0.05):
            assert losses(np.full(100_000, p), labels).mean() > best_loss(rate)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.45, 0.7])
def test_a_learner_of_all_there_is_has_the_confidence_and_the_ece_of_theory(rate):
    from evals.calibration import measure

    truth = np.arange(600) % 2
    found = measure(truth, np.where(truth == 1, 1 - rate, rate), seed=0, resamples=5)
    assert found.mean_confidence == pytest.approx(best_confidence(rate))
    assert found.ece == pytest.approx(best_ece(rate))


@pytest.mark.parametrize("theory", [best_loss, best_confidence, best_ece])
def test_theory_knows_rates_only(theory):
    with pytest.raises(ValueError, match="0 to 1"):
        theory(1.2)
