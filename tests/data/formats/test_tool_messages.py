"""Training rows with calls of tools: read as OpenAI writes them, trained as the chat template writes them."""

import json
import re

import pytest

from data.chat_template import row_prompt_ids, row_sequences, tool_prompt_ids
from data.conversation import digest
from data.errors import DataError
from data.formats import openai
from data.formats.records import Record, check, to_row
from inference.loading import load_tokenizer
from tests.inference.test_tool_calls import FENCED, QWEN, XML
from train.encoding import IGNORE, encode

TOOLS = [{"type": "function", "function": {"name": "find_boat", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find_boat", "arguments": '{"place":"sea"}'}}
ASKED = {"role": "user", "content": "Where is the boat?"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "In the harbour."}
SAID = {"role": "assistant", "content": "In the harbour."}
WHOLE = [{"role": "system", "content": "Be brief."}, ASKED, CALLED, RESULT, SAID]


def row(messages=WHOLE, **more):
    return to_row(Record("row 1", {"messages": messages, "tools": TOOLS, **more}))


@pytest.fixture
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


def trained(tokenizer, found, **settings):
    """The texts that the row's labels are, its examples joined."""
    out = []
    for example in encode([found], tokenizer, **settings):
        kept = [int(token) for token in example.labels if token != IGNORE]
        out.append(tokenizer.decode(kept))
    return "".join(out)


@pytest.mark.parametrize("template", [QWEN, FENCED], ids=["tagged", "arguments as text"])
def test_the_call_and_the_answer_are_trained_as_the_template_writes_them(tokenizer, template):
    tokenizer.chat_template = template
    end = tokenizer.eos_token
    call = {
        QWEN: '<tool_call>\n{"name": "find_boat", "arguments": {"place": "sea"}}\n</tool_call>',
        FENCED: 'CALL find_boat\n{"place": "sea"}\nDONE',
    }[template]
    assert trained(tokenizer, row()) == f"{call}{end}In the harbour.{end}"
    muted = row([*WHOLE[:2], {**CALLED, "weight": 0}, RESULT, SAID])
    assert trained(tokenizer, muted) == f"In the harbour.{end}"
    assert trained(tokenizer, row([ASKED, CALLED])) == f"{call}{end}"


def test_a_prompt_with_tools_is_the_one_that_was_trained(tokenizer):
    tokenizer.chat_template = QWEN
    found = row()
    ids = row_prompt_ids(tokenizer, found)
    messages = json.loads(found.chat.messages)
    assert ids == tool_prompt_ids(tokenizer, messages[:-1], TOOLS)
    (example,) = encode([found], tokenizer)
    assert list(example.input_ids[: len(ids)]) == ids
    assert tokenizer.decode(ids).startswith("[find_boat]<|system|>Be brief.")


@pytest.mark.parametrize("template", [None, XML], ids=["none", "another form"])
def test_a_template_that_can_not_write_calls_is_refused_by_name(tokenizer, template):
    tokenizer.chat_template = template
    with pytest.raises(DataError, match="row 1: it calls or offers tools, which the chat template of this base"):
        encode([row()], tokenizer)
    with pytest.raises(DataError):
        row_sequences(tokenizer, row([ASKED, SAID]))


def test_a_row_has_its_texts_as_turns_and_its_tools_in_its_digest():
    found = row()
    assert found.turns == (
        (ASKED["content"], '<tool_call>\n{"name": "find_boat", "arguments": {"place": "sea"}}\n</tool_call>'),
        (RESULT["content"], SAID["content"]),
    )
    assert (found.system, found.muted) == ("Be brief.", ())
    other = row(tools=[*TOOLS, {"type": "function", "function": {"name": "ring_bell"}}])
    assert digest([found]) != digest([other])
    assert len(check([Record("row 1", {"messages": WHOLE, "tools": json.dumps(TOOLS)})]).rows) == 1


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (
            [ASKED, {**CALLED, "tool_calls": [{**CALL, "function": {"name": "sink", "arguments": "{}"}}]}],
            "calls 'sink'",
        ),
        ([ASKED, {**CALLED, "tool_calls": [{**CALL, "function": {"name": "find_boat", "arguments": "{"}}]}], "no JSON"),
        ([ASKED, {**CALLED, "tool_calls": [{"id": "c1"}]}], "a call that is no object"),
        ([ASKED, CALLED, {**RESULT, "tool_call_id": "c2"}, SAID], r"message 3 \(tool\) answers no call"),
        ([ASKED, CALLED, SAID], "message 3 is by assistant, where tool must come"),
        ([ASKED, CALLED, RESULT], "the last message is by tool"),
        (
            [ASKED, {**CALLED, "tool_calls": [CALL, {**CALL, "id": "c2"}]}, RESULT, SAID],
            "message 4 is by assistant, where the answer to call 'c2' must come",
        ),
        ([{**ASKED, "tool_calls": [CALL]}, SAID], "only messages by assistant can"),
        ([ASKED, {**SAID, "reasoning_content": "Hm."}], "has a thought"),
        ([ASKED, {"role": "assistant", "content": None}], "is null, not text"),
        ([{**ASKED, "role": "captain"}, SAID], "has the role 'captain'"),
        ([ASKED, {**SAID, "function_call": {"name": "f"}}], "in this form"),
    ],
)
def test_what_is_wrong_about_calls_is_named(messages, words):
    (problem,) = check([Record("row 1", {"messages": messages, "tools": TOOLS})]).problems
    assert re.search(words, problem), problem


def test_a_file_for_openai_may_have_tools(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": WHOLE, "tools": TOOLS, "parallel_tool_calls": False}) + "\n")
    assert list(openai.problems(path, least=1)) == []
    path.write_text(json.dumps({"messages": WHOLE[:3], "tools": []}) + "\n")
    (problem,) = openai.problems(path, least=1)
    assert problem.startswith(
        "rows.jsonl row 1: message 3 (assistant) calls 'find_boat', which is none of the row's tools: it lists none"
    )
