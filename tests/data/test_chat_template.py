"""One text for training and for answering, whatever the tokenizer's template."""

import pytest

from data.chat_format import template_name
from data.chat_template import Segment, prompt_text, segments, sequences
from data.errors import DataError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = (("Hi.", "Ahoy."), ("Bye.", "Farewell, arr!"))


@pytest.fixture(scope="module")
def make():
    """A tokenizer with a given chat template (None for none) and EOS."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    def make(template=None, eos="<|im_end|>"):
        words = Tokenizer(models.WordLevel({"?": 0, eos: 1}, unk_token="?"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=eos, unk_token="?")
        tokenizer.chat_template = template
        return tokenizer

    return make


def test_the_template_is_the_tokenizers_own_or_the_plain_one(make):
    assert [template_name(make()), template_name(make(CHATML))] == ["plain", "chat"]


@pytest.mark.parametrize(
    ("turns", "system", "expected"),
    [
        ((), "", "User: So?\nAssistant:"),
        ((), "Be brief.", "Be brief.\nUser: So?\nAssistant:"),
        (TURNS[:1], "", "User: Hi.\nAssistant: Ahoy.</s>\nUser: So?\nAssistant:"),
    ],
)
def test_the_plain_template_is_the_documented_one(make, turns, system, expected):
    assert prompt_text(make(eos="</s>"), turns, "So?", system) == expected


def test_a_chat_template_is_used_with_its_opening_of_the_answer(make):
    assert prompt_text(make(CHATML), TURNS[:1], "So?", "Be brief.") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"
        "Ahoy.<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("template", [None, CHATML])
@pytest.mark.parametrize("system", ["", "Be brief."])
@pytest.mark.parametrize("turns", [TURNS[:1], TURNS, TURNS * 3])
def test_the_segments_before_an_answer_are_its_prompt_text(make, template, system, turns):
    tokenizer = make(template)
    parts = segments(tokenizer, turns, system)
    assert [part.is_answer for part in parts] == [False, True] * len(turns)
    for i, (prompt, answer) in enumerate(turns):
        told = "".join(p.text + tokenizer.eos_token * p.is_answer for p in parts[: 2 * i])
        assert told + parts[2 * i].text == prompt_text(tokenizer, turns[:i], prompt, system)
        assert parts[2 * i + 1].text.strip() == answer


def test_the_space_before_an_answer_belongs_to_the_answer(make):
    assert segments(make(), TURNS[:1]) == [Segment("User: Hi.\nAssistant:", False), Segment(" Ahoy.", True)]
    spaced = CHATML.replace("{{ m['content'] }}", "{% if m['role'] == 'assistant' %} {% endif %}{{ m['content'] }}")
    assert segments(make(spaced), TURNS[:1])[1] == Segment(" Ahoy.", True)


def test_an_answer_that_the_prompt_also_holds_is_found_behind_it(make):
    assert segments(make(CHATML), (("Say user", "user"),))[1] == Segment("user", True)


FORGETS = "{% for m in messages[-2:] %}" + CHATML.split("%}", 1)[1]
SHOUTS = CHATML.replace("{{ m['content'] }}", "{{ m['content'] | upper }}")
THOUGHT = "{% if m['role'] == 'assistant' %}<think></think>{% endif %}"
THINKS = CHATML.replace("{{ m['content'] }}", THOUGHT + "{{ m['content'] }}")


def test_a_template_that_rewrites_history_gives_one_sequence_an_answer(make):
    tokenizer = make(FORGETS)
    found = sequences(tokenizer, TURNS * 2)
    assert [[part.is_answer for part in parts] for parts in found] == [[False, True]] * 4
    for i, ((prompt, answer), (before, after)) in enumerate(zip(TURNS * 2, found, strict=True)):
        assert before.text == prompt_text(tokenizer, (TURNS * 2)[:i], prompt)
        assert (after.text, after.turn) == (answer, i)


def test_a_template_that_changes_the_answer_is_refused(make):
    with pytest.raises(DataError, match="changes the response's text"):
        segments(make(SHOUTS), TURNS[:1])


def test_what_a_template_puts_before_an_answer_is_learned_with_it(make):
    answer = TURNS[0][1]
    assert segments(make(THINKS), TURNS[:1])[1] == Segment(f"<think></think>{answer}", True)
