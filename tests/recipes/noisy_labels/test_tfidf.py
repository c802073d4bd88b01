"""The cheap learner: it learns, it is scikit-learn's pipeline, it depends on texts and given labels alone."""

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from data.errors import ConfigError, DataError
from data.labelled import LabelledRow
from recipes.noisy_labels.tfidf import Settings, Vectors, fit

GOOD, BAD = "lovely warm clever moving superb".split(), "dull cold clumsy tedious awful".split()
PLAIN = "the film was about one man and his boat at sea with many others".split()


@pytest.fixture(scope="module")
def reviews():
    """Makes ``n`` short reviews of either class, in mixed order."""

    def make(n, seed=0):
        draw = random.Random(seed)
        rows = []
        for i in range(n):
            label = draw.randint(0, 1)
            told = draw.choices(PLAIN, k=8) + draw.choices((BAD, GOOD)[label], k=2) + draw.choices(GOOD + BAD, k=1)
            draw.shuffle(told)
            rows.append(LabelledRow(" ".join(told), label, f"r{seed}-{i}", i))
        return rows

    return make


def given(rows):
    return [row.label for row in rows]


def test_it_learns_from_the_labels_it_is_given_and_not_from_those_on_the_rows(reviews):
    train, test = reviews(400), reviews(200, seed=1)
    truth = np.array(given(test))
    assert np.mean((fit(train, given(train)).p_positive(test) > 0.5) == truth) > 0.9
    turned = fit(train, [1 - label for label in given(train)])
    assert np.mean((turned.p_positive(test) > 0.5) == truth) < 0.1


def test_it_is_scikit_learns_pipeline_with_the_documented_settings(reviews):
    train, test = reviews(1000), reviews(50, seed=1)
    pipeline = make_pipeline(TfidfVectorizer(min_df=5, sublinear_tf=True), LogisticRegression(C=1.0, max_iter=1000))
    pipeline.fit([row.text for row in train], given(train))
    expected = pipeline.predict_proba([row.text for row in test])[:, 1]
    assert np.allclose(fit(train, given(train)).p_positive(test), expected)


def test_the_same_rows_and_labels_give_the_very_same_probabilities(reviews):
    train, test = reviews(300), reviews(100, seed=1)
    first, second = (fit(train, given(train)).p_positive(test) for _ in range(2))
    assert np.array_equal(first, second)


def test_vectors_made_once_give_what_a_fit_of_its_own_gives(reviews):
    train, test = reviews(300), reviews(100, seed=1)
    vectors = Vectors(train, others=test)
    alone = fit(train, given(train))
    shared = vectors.fit([row.relabelled(1 - row.label) for row in train], given(train))
    assert np.array_equal(shared.p_positive(test), alone.p_positive(test))
    unseen = reviews(10, seed=2)
    assert np.allclose(shared.p_positive([*unseen, *test])[:10], alone.p_positive(unseen))


def test_a_row_gets_its_own_probability_wherever_it_stands(reviews):
    train = reviews(300)
    learner = Vectors(train).fit(train[:200], given(train[:200]))
    straight, backwards = learner.p_positive(train), learner.p_positive(train[::-1])
    assert np.array_equal(straight, backwards[::-1])


def test_min_df_is_lowered_for_few_rows_and_says_so(reviews):
    few = fit(reviews(60), given(reviews(60)))
    assert few.notes == ("min_df=1 in place of 5: 60 training rows are few",)
    assert "min_df=2" in Vectors(reviews(500)).notes[0] and Vectors(reviews(1000)).notes == ()
    rare = [LabelledRow(f"word{i} only{i}", i % 2, f"u-{i}", i) for i in range(1200)]
    assert "min_df=1 in place of 5" in Vectors(rare).notes[0], "no word comes five times"


def test_the_strongest_words_are_those_that_matter(reviews):
    rows = reviews(400)
    words = [record["word"] for record in fit(rows, given(rows)).strongest(3)]
    assert set(words[:3]) < set(BAD) and set(words[3:]) < set(GOOD)


def test_a_higher_c_memorises_more(reviews):
    train = [LabelledRow(f"{row.text} name{i}", row.label, row.id, i) for i, row in enumerate(reviews(100))]
    noisy = [label if i % 4 else 1 - label for i, label in enumerate(given(train))]
    low, high = (fit(train, noisy, Settings(c=c)).p_positive(train) > 0.5 for c in (0.1, 100.0))
    assert np.mean(low == np.array(noisy)) < 0.8 and np.mean(high == np.array(noisy)) == 1.0


def test_one_class_no_rows_and_no_words_are_one_clear_line(reviews):
    rows = reviews(20)
    with pytest.raises(DataError, match="^all 20 labels to learn from are positive; a classifier needs both classes$"):
        fit(rows, [1] * 20)
    with pytest.raises(DataError, match="no rows"):
        fit([], [])
    with pytest.raises(DataError, match="^none of the 4 training texts holds a word"):
        fit([LabelledRow(text, i % 2, f"e-{i}", i) for i, text in enumerate("!?.,")], [0, 1, 0, 1])
    with pytest.raises(ValueError, match="20 rows but 1 labels"):
        Vectors(rows).fit(rows, [1])
    assert fit(rows, given(rows)).p_positive([]).shape == (0,)


@pytest.mark.parametrize(("field", "value"), [("min_df", 0), ("c", 0.0), ("c", float("nan")), ("c", float("inf"))])
def test_settings_that_make_no_sense_name_their_flag(field, value):
    with pytest.raises(ConfigError, match=f"^{field} must be"):
        Settings(**{field: value})
