"""Training and evaluation ask alike, and a text that is too long loses its middle, never its label."""

import copy
import random

import pytest

from data import prompts
from data.chat_template import prompt_text
from data.conversation import Row
from data.errors import ConfigError
from data.labelled import ANSWERS, SENTIMENTS, LabelledRow, QuestionRow
from data.prompts import (
    BARE,
    QA,
    QUESTION,
    REVIEW,
    PromptTemplate,
    conversation,
    fitted,
    messages,
    prompt_messages,
    qa_chat_template,
)
from train.encoding import encode

ROW = LabelledRow("Good {text} and {braces}", 1, "r-1", 0, "r row 1")
ASKED = QuestionRow("Why?", "So", ("So",), ("No",), "q-1", 0, wrong="No")


def words(row):
    return sum(len(text.split()) for text in (row.system, *sum(row.turns, ())))


def test_the_prompt_of_the_evaluation_is_that_of_the_training_without_the_answer():
    for row, labels in ((ROW, SENTIMENTS), (ASKED, ANSWERS)):
        for template in prompts.TEMPLATES.values():
            whole = messages(row, labels, template)
            assert whole[:-1] == prompt_messages(row, template)
            assert whole[-1] == {"role": "assistant", "content": row.answer(labels)}
            chat = conversation(row, labels, template)
            assert (chat.system, chat.prompt, chat.response) == (
                template.system, whole[-2]["content"], whole[-1]["content"]
            )  # fmt: skip


def test_a_review_is_asked_by_system_and_user_and_its_braces_stay():
    assert messages(ROW, SENTIMENTS, REVIEW) == [
        {"role": "system", "content": "Is the review positive or negative?"},
        {"role": "user", "content": "Review: Good {text} and {braces} Sentiment:"},
        {"role": "assistant", "content": "positive"},
    ]
    assert prompt_messages(ROW, BARE) == [{"role": "user", "content": "Good {text} and {braces}"}]


def test_each_kind_of_row_has_its_template():
    assert prompts.template_for(ROW) is REVIEW and prompts.template_for(ASKED) is QUESTION


def test_a_template_without_the_text_is_refused():
    with pytest.raises(ConfigError, match="must hold {text} once"):
        PromptTemplate("x", "", "Say something.")


@pytest.mark.parametrize("limit", [30, 40, 57])
def test_a_long_text_is_cut_in_its_middle_to_the_longest_that_fits(limit):
    long = LabelledRow(" ".join(f"w{i}" for i in range(100)), 0, "r-2", 1)
    (short, cut), n = fitted([ROW, long], SENTIMENTS, REVIEW, words, limit)
    assert short is ROW and n == 1
    kept = cut.text.split()
    assert limit - 1 <= words(conversation(cut, SENTIMENTS, REVIEW)) <= limit
    assert kept[0] == "w0" and kept[-1] == "w99" and "..." in kept
    assert kept.index("...") == (len(kept) - 1) // 4
    assert (cut.label, cut.id, cut.position) == (0, "r-2", 1)


def test_as_many_words_are_kept_as_fit_whether_words_are_counted_or_not():
    def count_texts(texts):
        return [-(-len(text.strip()) // 3) for text in texts]

    def tokens(row):
        return sum(sum(count_texts(text.split())) for text in (row.system, *sum(row.turns, ())))

    draw = random.Random(0)
    rows = [
        LabelledRow(" ".join("w" * draw.randint(1, 9) for _ in range(draw.randint(1, 90))), 1, "r", i)
        for i in range(60)
    ]
    for limit in (40, 75, 120):
        by_every_count = []
        for row in rows:
            words = row.text.split()
            texts = [row.text, *(prompts._kept(words, n) for n in range(len(words) - 1, -1, -1))]
            fits = [t for t in texts if tokens(conversation(LabelledRow(t, 1, "", 0), SENTIMENTS, REVIEW)) <= limit]
            by_every_count.append((fits or texts[-1:])[0])
        cut = sum(text != row.text for text, row in zip(by_every_count, rows, strict=True))
        for words_too in (None, count_texts):
            found, n = fitted(rows, SENTIMENTS, REVIEW, tokens, limit, words_too)
            assert [row.text for row in found] == by_every_count and n == cut > 0


def test_a_text_that_surely_fits_is_not_counted_and_a_long_one_a_few_times():
    long = LabelledRow(" ".join(f"w{i}" for i in range(5000)), 0, "r-2", 1)
    counted = []

    def count(row):
        counted.append(row)
        return words(row)

    assert fitted([ROW, long], SENTIMENTS, REVIEW, count, 400, lambda texts: [1] * len(texts))[1] == 1
    assert len(counted) <= 6, "three for the labels, one for the whole, two around the cut"


def test_line_ends_between_words_count_as_tokens():
    def tokens(row):
        return sum(len(text.split()) + text.count("\n") for text in (row.system, *sum(row.turns, ())))

    poem = LabelledRow("O\n\nme\n\n" * 30, 1, "r", 0)
    (short,), n = fitted([poem], SENTIMENTS, REVIEW, tokens, 100, lambda texts: [1] * len(texts))
    assert n == 1 and tokens(conversation(short, SENTIMENTS, REVIEW)) <= 100


def test_rows_that_fit_and_questions_stay_as_they_are():
    assert fitted([ROW], SENTIMENTS, REVIEW, words, 100) == ([ROW], 0)
    assert fitted([ASKED], ANSWERS, QUESTION, words, 1) == ([ASKED], 0)


def test_whether_a_row_is_cut_does_not_depend_on_its_label():
    def characters(row):
        return sum(map(len, sum(row.turns, ())))

    rows = [LabelledRow("x y " * 10, label, "r", 0) for label in (0, 1)]
    labels = ("no", "certainly")
    for limit in range(60, 80):
        (one, other), _ = fitted(rows, labels, REVIEW, characters, limit)
        assert one.text == other.text
        assert all(characters(conversation(row, labels, REVIEW)) <= limit for row in (one, other))


def test_the_qa_form_writes_examples_questions_and_answers_as_the_benchmark_does(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    shots = [Row((('What is "x"?', "A {{letter}} \\n.\nYes"),)), Row((("Où?", "Là 😀"),))]
    tokenizer.chat_template = qa_chat_template(shots)
    row = conversation(ASKED, ANSWERS, QA)
    before = 'Q: What is "x"?\nA: A {{letter}} \\n.\nYes\n\nQ: Où?\nA: Là 😀\n\n'
    assert prompt_text(tokenizer, (), row.prompt, row.system) == before + "Q: Why?\nA:"
    (example,) = encode([row], tokenizer)
    assert tokenizer.decode(example.input_ids) == before + "Q: Why?\nA: So" + tokenizer.eos_token
    assert tokenizer.decode(example.input_ids[example.labels >= 0]) == " So" + tokenizer.eos_token


def test_the_qa_form_without_examples_asks_turn_after_turn(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = qa_chat_template()
    asked = prompt_text(tokenizer, (("One?", "1"),), "Two?")
    assert asked == f"Q: One?\nA: 1{tokenizer.eos_token}\n\nQ: Two?\nA:"
