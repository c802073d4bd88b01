"""Calls of tools by several templates: the form that is found, the grammar and the reader that agree about it."""

import json
import re

import pytest

from data.chat_template import text_ids
from data.errors import DataError
from data.tool_format import PLAIN, call_text, plain_messages, tool_format, tool_prompt
from inference.constraints import GrammarCompiler
from inference.loading import load_tokenizer
from inference.tool_calls import ToolCallReader, ToolUse, call_grammar

TURNS = (
    "{% for m in messages %}{% if m.role == 'tool' %}<|user|>RESULT {{ m.name }}: {{ m.content }}"
    "{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}"
)
END = "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
LIST = "{% for t in tools or [] %}[{{ t.function.name }}]{% endfor %}"
QWEN = (
    LIST + TURNS + "{% for c in m.tool_calls or [] %}{{ '\\n' if not loop.first }}"
    '<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}" + END
)
LLAMA = (
    LIST + TURNS + "{% if m.tool_calls %}{% if m.tool_calls | length > 1 %}{{ raise_exception('one call') }}{% endif %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "{% endif %}" + END
)
FENCED = (
    LIST + TURNS + "{% for c in m.tool_calls or [] %}CALL {{ c.function.name }}\n{{ c.function.arguments + '' }}\nDONE"
    "{% endfor %}" + END
)
XML = (
    LIST + TURNS + "{% for c in m.tool_calls or [] %}<{{ c.function.name }}>"
    "{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}</{{ k }}>{% endfor %}{% endfor %}" + END
)  # fmt: skip
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "parameters": PLACE}} for name in ("find_boat", "ring_bell")
)
NAMES = ("find_boat", "ring_bell")
FIND, RING = ({"name": name, "arguments": '{"place": "a \\"}\\" b"}'} for name in NAMES)


@pytest.fixture
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (QWEN, (PLAIN.before, PLAIN.between, PLAIN.after, PLAIN.joint)),
        (LLAMA, ('{"name": "', '", "parameters": ', "}", None)),
        (FENCED, ("CALL ", "\n", "\nDONE", "\nDONECALL ")),
    ],
    ids=["tagged", "bare", "arguments as text"],
)
def test_the_form_of_calls_is_found_by_rendering_them(tokenizer, template, expected):
    tokenizer.chat_template = template
    found = tool_format(tokenizer)
    assert (found.before, found.between, found.after, found.joint) == expected
    assert found.as_text is (template == FENCED) and not found.is_plain


def test_a_template_without_tools_or_with_calls_in_another_form_gets_the_plain_one(tokenizer):
    assert tool_format(tokenizer) is PLAIN
    tokenizer.chat_template = XML
    assert tool_format(tokenizer) is PLAIN


def both(found):
    return (
        call_text(found, FIND).removesuffix(found.after)
        + found.joint
        + call_text(found, RING).removeprefix(found.before)
    )


def fits(tokenizer, grammar, text):
    end = tokenizer.eos_token_id
    constraint = GrammarCompiler(tokenizer).constraint(grammar, frozenset({end}), len(tokenizer))
    for token in text_ids(tokenizer, text):
        if not constraint.allowed()[token]:
            return False
        constraint.advance(token)
    return bool(constraint.allowed()[end])


def read(found, text, size=1):
    """(text outside of calls, calls) as the reader has them, ``size`` characters at a time."""
    reader = ToolCallReader(found, re.compile("(?!)"))
    parts = [part for at in range(0, len(text), size) for part in reader.feed(text[at : at + size])] + reader.end()
    calls = {}
    for part in parts:
        if part.call is not None:
            name, arguments = calls.get(part.call, ("", ""))
            calls[part.call] = (name + part.name, arguments + part.text)
    return "".join(part.text for part in parts if part.call is None), list(calls.values())


@pytest.mark.parametrize("template", [None, QWEN, LLAMA, FENCED], ids=["plain", "tagged", "bare", "as text"])
def test_the_grammar_takes_calls_as_the_template_writes_them_and_the_reader_takes_them_out(tokenizer, template):
    tokenizer.chat_template = template
    found = tool_format(tokenizer)
    one = call_text(found, FIND)
    grammars = {
        (required, parallel): call_grammar(found, ToolUse((), TOOLS, NAMES, required, parallel), {})
        for required in (True, False)
        for parallel in (True, False)
    }
    assert all(fits(tokenizer, grammar, one) for grammar in grammars.values())
    assert [fits(tokenizer, grammar, "It is there.") for grammar in grammars.values()] == [False, False, True, True]
    assert not any(fits(tokenizer, grammar, one.replace("place", "plaice")) for grammar in grammars.values())
    assert not any(fits(tokenizer, grammar, one.replace("find_", "bind_")) for grammar in grammars.values())
    if found.joint:
        assert [fits(tokenizer, each, both(found)) for each in grammars.values()] == [True, False, True, False]
    for size in (1, 3, 1000):
        assert read(found, one, size) == ("", [tuple(FIND.values())])
        assert read(found, "It is {there}.", size) == ("It is {there}.", [])
        if found.joint:
            assert read(found, both(found), size) == ("", [tuple(FIND.values()), tuple(RING.values())])


def test_text_may_come_before_a_call_that_has_a_tag(tokenizer):
    grammar = call_grammar(PLAIN, ToolUse((), TOOLS, NAMES), {})
    text = f"Let me look.\n{call_text(PLAIN, FIND)}"
    assert fits(tokenizer, grammar, text)
    assert read(PLAIN, text) == ("Let me look.\n", [tuple(FIND.values())])
    assert not fits(tokenizer, grammar, "A <tool_call> is what I write.")


def test_a_call_that_was_cut_is_given_as_far_as_it_came():
    assert read(PLAIN, call_text(PLAIN, FIND)[:60]) == ("", [("find_boat", FIND["arguments"][:13])])


HISTORY = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": FIND}]},
    {"role": "tool", "tool_call_id": "c1", "content": "At sea."},
)


def test_calls_and_results_are_written_by_the_template(tokenizer):
    tokenizer.chat_template = QWEN
    text = tool_prompt(tokenizer, HISTORY, TOOLS)
    assert text.startswith("[find_boat][ring_bell]<|system|>Be brief.")
    assert json.dumps(json.loads(FIND["arguments"])) in text
    assert text.endswith(f"<|user|>RESULT find_boat: At sea.{tokenizer.eos_token}<|assistant|>")


def test_a_template_without_tools_reads_them_as_texts(tokenizer):
    first, *rest = plain_messages(HISTORY, TOOLS)
    assert first["content"].startswith("Be brief.\n\n") and '"name": "ring_bell"' in first["content"]
    assert [message["role"] for message in rest] == ["user", "assistant", "user"]
    assert rest[1]["content"] == call_text(PLAIN, FIND) and "At sea." in rest[2]["content"]
    assert "At sea." in tool_prompt(tokenizer, HISTORY, TOOLS)


def test_a_template_that_refuses_a_conversation_says_why(tokenizer):
    tokenizer.chat_template = LLAMA
    call = HISTORY[2]["tool_calls"][0]
    several = {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "c2"}]}
    with pytest.raises(DataError, match="refuses this conversation: one call"):
        tool_prompt(tokenizer, [*HISTORY[:2], several], TOOLS)
