"""The generator writes the bundled reviews, hard enough and without giving the test away."""

import json
from collections import Counter

import pytest

from data.duplicates import fingerprint
from data.formats import reviews
from data.synthetic import film_reviews
from data.synthetic.tables import load

t = load("film_review")

JUDGEMENTS = (t.STRONG, t.MILD, t.HOPES, t.IRONY)


@pytest.fixture(scope="module")
def files():
    return reviews.bundled()


def test_the_generator_writes_the_bundled_files_anew():
    for name, made in film_reviews.rows().items():
        raw = "".join(json.dumps(row) + "\n" for row in made)
        assert raw == (film_reviews.FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")


def test_every_judgement_has_its_mirror():
    for praise, blame in JUDGEMENTS:
        assert len(praise) == len(blame) and not set(praise) & set(blame)


def test_no_text_occurs_twice_and_none_in_both_files(files):
    train, test = ({fingerprint(row.text) for row in rows} for rows in files)
    assert (len(train), len(test)) == (len(files[0]), len(files[1])) and not train & test


def test_no_judgement_of_the_test_is_trained_on(files):
    plain = [text for tables in JUDGEMENTS for side in tables for text in side if "{" not in text]
    assert len(plain) > 130
    found = [{text for text in plain if any(text in row.text for row in rows)} for rows in files]
    assert len(found[0]) > 80 and len(found[1]) > 40 and not found[0] & found[1]


def test_texts_are_of_many_lengths_and_readable(files):
    for row in (*files[0], *files[1]):
        words = row.text.split()
        assert 15 <= len(words) <= 60 and row.text.isascii() and row.text[0].isupper() and row.text[-1] in ".?!"
        assert "{" not in row.text and "  " not in row.text and " a a" not in row.text.lower()
    lengths = sorted(len(row.text.split()) for row in files[0])
    assert lengths[320] < 32 and lengths[2880] > 52


def test_the_trigger_word_is_as_frequent_in_both_classes(files):
    for rows in files:
        shares = Counter(row.label for row in rows if t.TRIGGER_WORD in row.text.lower())
        assert all(0.10 <= shares[label] / (len(rows) / 2) <= 0.20 for label in (0, 1))


def test_a_clean_tfidf_model_scores_between_85_and_95_and_worse_on_milder_reviews(files):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = files
    words = TfidfVectorizer(min_df=5, sublinear_tf=True)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(
        words.fit_transform(row.text for row in train), [row.label for row in train]
    )
    right = model.predict(words.transform(row.text for row in test)) == [row.label for row in test]
    assert 0.85 <= right.mean() <= 0.95
    by_distance = {
        ratings: right[[row.rating in ratings for row in test]].mean() for ratings in ((1, 10), (2, 9, 3, 8), (4, 7))
    }
    assert list(by_distance.values()) == sorted(by_distance.values(), reverse=True)


def test_every_review_fits_the_bundled_base(files):
    from transformers import AutoTokenizer

    from data.chat_template import prompt_text
    from data.labelled import SENTIMENTS
    from data.prompts import REVIEW, conversation

    tokenizer = AutoTokenizer.from_pretrained(film_reviews.FOLDER.parent.parent / "base")
    longest = sorted((*files[0], *files[1]), key=lambda row: -len(row.text))[:50]
    for row in longest:
        chat = conversation(row, SENTIMENTS, REVIEW)
        assert len(tokenizer(prompt_text(tokenizer, (), chat.prompt, chat.system))["input_ids"]) < 200
    assert all(len(tokenizer(" " + label)["input_ids"]) == 1 for label in SENTIMENTS)
