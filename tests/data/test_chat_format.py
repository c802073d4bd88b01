"""What a chat template does is found by rendering it: ends of turns, scaffolding, system messages, thoughts, dates."""

from datetime import date

import pytest

from data.chat_format import answer_directly, chat_format, fix_date, render, stop_token_ids, template_of
from data.chat_template import prompt_ids, prompt_text, sequences, visible_text, with_thoughts_apart
from data.conversation import Row
from data.errors import DataError

USER = "{% if m['role'] != 'assistant' %}<|user|>{{ m['content'] }}{% endif %}"
GENERATION = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
PLAIN_LOOP = "{% for m in messages %}" + USER


def chat(answer: str, generation: str = GENERATION) -> str:
    """A template of user and assistant turns; ``answer``: how an answer is written."""
    return PLAIN_LOOP + "{% if m['role'] == 'assistant' %}" + answer + "{% endif %}{% endfor %}" + generation


SIMPLE = chat("<|assistant|>{{ m['content'] }}<|end|>\n")
LAST_THINKS = chat("<|assistant|>{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|end|>")
CHANNELS = chat(
    "{% if loop.last %}{% if m['thinking'] %}<|assistant|>a<|sep|>{{ m['thinking'] }}<|sep|>{% endif %}"
    "<|assistant|>f<|sep|>{{ m['content'] }}<eos>{% else %}<|assistant|>f<|sep|>{{ m['content'] }}<|end|>{% endif %}"
)
REASONS = chat(
    "<|assistant|>{% if m['reasoning_content'] %}<think>\n{{ m['reasoning_content'] }}\n</think>\n\n{% endif %}"
    "{{ m['content'] }}<|end|>"
)
OPENS = chat(
    "<|assistant|>{{ m['content'].split('</think>')[-1] }}<|end|>",
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
)
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + SIMPLE
)
IGNORES = SIMPLE.replace("!= 'assistant'", "== 'user'")
TURNS = (("Hi.", "Ahoy."), ("Bye.", "Farewell, arr!"))


@pytest.fixture(scope="module")
def make():
    """A tokenizer with a given chat template, whose EOS the templates above need not write."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def make(template, eos="<eos>"):
        letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        inner = Tokenizer(models.BPE(letters, []))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        special = ["<|user|>", "<|assistant|>", "<|end|>", "<|sep|>"]
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, additional_special_tokens=special)
        tokenizer.chat_template = template
        return tokenizer

    return make


def ids(tokenizer, *names):
    return [tokenizer.convert_tokens_to_ids(name) for name in names]


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ("<|assistant|>{{ m['content'] }}<|end|>\n", "<|end|>"),
        ("<|assistant|>{{ m['content'] }} <|end|>", " <|end|>"),
        ("<|assistant|>{{ m['content'] }}<|sep|><|end|>\n", "<|sep|><|end|>"),
        ("<|assistant|>{{ m['content'] }}{{ eos_token }}", "<eos>"),
        ("Answer: {{ m['content'] }}\n\n", "<eos>"),
    ],
)
def test_the_end_of_a_turn_is_what_the_template_writes_and_else_eos(make, answer, end):
    tokenizer = make(chat(answer))
    found = chat_format(tokenizer)
    assert found.end_text == end and list(found.end) == tokenizer(end)["input_ids"]
    assert stop_token_ids(tokenizer) == {
        *ids(tokenizer, "<eos>"),
        *(i for i in found.end if i not in tokenizer(" ")["input_ids"]),
    }


def test_generation_stops_at_the_templates_end_at_eos_and_at_what_the_model_names(make):
    from types import SimpleNamespace

    tokenizer = make(SIMPLE)
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[7, 9]))
    assert stop_token_ids(tokenizer, model) == {7, 9, *ids(tokenizer, "<eos>", "<|end|>")}


def test_a_conversation_whose_turns_end_without_eos_is_one_sequence(make):
    (parts,) = sequences(make(SIMPLE), TURNS)
    assert (
        "".join(part.text for part in parts) == "<|user|>Hi.<|assistant|>Ahoy.\n<|user|>Bye.<|assistant|>Farewell, arr!"
    )


@pytest.mark.parametrize(
    ("template", "lead"),
    [(LAST_THINKS, "<think>\n\n</think>\n\n"), (CHANNELS, "f<|sep|>"), (OPENS, "\n</think>\n\n")],
)
def test_what_comes_before_an_answer_goes_to_the_prompt_and_is_in_no_answer(make, template, lead):
    tokenizer = make(template)
    own = prompt_text(tokenizer, TURNS[:1], "So?")
    assert chat_format(tokenizer).lead == lead
    answer_directly(tokenizer)
    assert prompt_text(tokenizer, TURNS[:1], "So?") == own + lead
    found = sequences(tokenizer, TURNS)
    assert [part.text for parts in found for part in parts if part.is_answer] == ["Ahoy.", "Farewell, arr!"]
    for i, parts in enumerate(found if len(found) > 1 else []):
        assert parts[0].text == prompt_text(tokenizer, TURNS[:i], TURNS[i][0])


@pytest.mark.parametrize("template", [LAST_THINKS, CHANNELS, OPENS, SIMPLE, REASONS, None])
def test_a_template_that_answers_directly_stays_as_it_is(make, template):
    tokenizer = make(template)
    answer_directly(tokenizer)
    once = tokenizer.chat_template
    answer_directly(tokenizer)
    assert tokenizer.chat_template == once
    assert (once == template) == (template in (SIMPLE, REASONS, None))


def test_a_template_that_writes_no_generation_prompt_gets_one(make):
    tokenizer = make(chat("<|assistant|> {{ m['content'] }}<|end|>", generation=""))
    answer_directly(tokenizer)
    assert prompt_text(tokenizer, (), "Hi.") == "<|user|>Hi.<|assistant|>"
    assert sequences(tokenizer, TURNS[:1])[0][1].text == " Ahoy."


@pytest.mark.parametrize("template", [LAST_THINKS, REASONS, OPENS, CHANNELS])
def test_a_thought_is_not_shown_with_the_answer(make, template):
    tokenizer = make(template)
    found = chat_format(tokenizer)
    text = found.answer_text("Ahoy.", "Let me see." if found.thought else "")
    assert text.endswith("Ahoy.") and text != "Ahoy."
    for shown in (text, found.answer_text("Ahoy."), "Ahoy."):
        assert visible_text(tokenizer, tokenizer(shown)["input_ids"]) == "Ahoy."


@pytest.mark.parametrize(
    ("template", "before"),
    [
        (REASONS, "<think>\nHm.\n</think>\n\n"),
        (OPENS, "Hm.\n</think>\n\n"),
        (CHANNELS, "a<|sep|>Hm.<|sep|><|assistant|>f<|sep|>"),
    ],
)
def test_a_thought_is_trained_where_the_template_has_a_place_for_it(make, template, before):
    tokenizer = make(template)
    for answer, thoughts in (("Ahoy.", ["Hm."]), ("<think>Hm.</think>Ahoy.", ()), ("Hm.\n</think>\n\n Ahoy.", ())):
        ((_, part),) = sequences(tokenizer, (("Hi.", answer),), thoughts=thoughts)
        assert part.text == before + "Ahoy."


def test_answers_are_compared_without_the_thoughts_in_their_own_text(make):
    code = "<think>\nHm.\n</think>\n\n    return 1"
    row = Row((("Hi.", "Ahoy."), ("Do:", code)))
    (apart,) = with_thoughts_apart(make(REASONS), [row])
    assert apart == Row((("Hi.", "Ahoy."), ("Do:", "    return 1")), thoughts=("", "Hm."))
    assert with_thoughts_apart(make(REASONS), [apart]) == [apart]
    assert with_thoughts_apart(make(SIMPLE), [row]) == [row]  # there is no place for thoughts: they are text
    for answer, has in ((code, True), ("Hm.</think> Ahoy.", True), ("Write <think> and </think>.", False)):
        assert Row((("Hi.", answer),)).has_thoughts == has


def test_a_thought_without_a_place_is_refused_by_name(make):
    for template, answer, thoughts in (
        (SIMPLE, "Ahoy.", ["Hm."]),
        (LAST_THINKS, "Ahoy.", ["Hm."]),
        (LAST_THINKS, "<think>Hm.</think>Ahoy.", ()),  # it would follow the template's empty thought
    ):
        with pytest.raises(DataError, match="no place for reasoning_content"):
            sequences(make(template), (("Hi.", answer),), thoughts=thoughts)


@pytest.mark.parametrize("template", [REFUSES, IGNORES])
def test_a_system_message_that_the_template_does_not_take_stands_before_the_first_prompt(make, template):
    tokenizer = make(template)
    assert not chat_format(tokenizer).takes_system and chat_format(make(SIMPLE)).takes_system
    assert prompt_text(tokenizer, TURNS[:1], "So?", "Be brief.") == (
        "<|user|>Be brief.\n\nHi.<|assistant|>Ahoy.<|end|>\n<|user|>So?<|assistant|>"
    )


def test_a_template_that_fails_is_one_line_with_its_own_words(make):
    with pytest.raises(DataError) as caught:
        chat_format(make("{{ raise_exception('Only for tools.\nSorry.') }}"))
    assert caught.value.problems == ["the chat template can't be used: Only for tools."]
    fussy = make(SIMPLE + "{% if messages|length > 2 %}{{ raise_exception('One turn only') }}{% endif %}")
    with pytest.raises(DataError, match="refuses this conversation: One turn only"):
        prompt_ids(fussy, TURNS, "So?")


@pytest.mark.parametrize(
    "now",
    [
        "{{ strftime_now('%d %b %Y') }}",
        '{% if strftime_now is defined %}{% set day = strftime_now("%d %b %Y") %}{% endif %}{{ day }}',
        "{% macro head() %}{{ strftime_now('%d %b %Y') }}{% endmacro %}\n{{- head() }}",
    ],
)
def test_a_date_in_the_template_is_the_runs(make, now):
    tokenizer = make(now + "\n" + SIMPLE)
    message = [{"role": "user", "content": "Hi."}]
    today = render(tokenizer, message)
    assert fix_date(tokenizer, date(2024, 2, 3))
    assert render(tokenizer, message) == "03 Feb 2024" + today[11:]
    assert not fix_date(tokenizer, date(2025, 1, 1))  # it is fixed already
    assert render(tokenizer, message) == "03 Feb 2024" + today[11:]


def test_a_template_without_a_date_is_left_alone(make):
    for template in (SIMPLE, None):
        tokenizer = make(template)
        assert not fix_date(tokenizer, date(2024, 2, 3)) and tokenizer.chat_template == template
    assert template_of(make(None)).startswith("{% for m in messages %}")
