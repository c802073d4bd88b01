"""How a conversation becomes text: the model's own chat template, or one plain template for models without any.

The plain template, for GPT-2 and its like::

    User: {prompt}
    Assistant: {answer}<eos>
    User: ...

Training and answering use the same functions, so a prompt can't differ between the two. What a template does (how it
ends a turn, what it puts before an answer) is found by ``data.chat_format``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from data.chat_format import chat_format, render_accepted
from data.conversation import Row, parted
from data.errors import DataError
from data.tool_format import tool_prompt, tool_steps

SPECIAL_TOKENS = ("<|endoftext|>", "<|endofprompt|>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|end|>")

Turns = tuple[tuple[str, str], ...]
Messages = Sequence[dict[str, str]]
NO_SETTINGS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Segment:
    """A piece of text that is tokenised on its own: part of a prompt, or one whole answer (without its end).

    ``turn``: of an answer, which turn's it is, counted from 0.
    """

    text: str
    is_answer: bool
    turn: int = field(default=0, compare=False)


def prompt_text(tokenizer: Any, turns: Turns, prompt: str, system: str = "") -> str:
    """Everything before the answer to ``prompt``, given the finished ``turns`` before it.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    return _prompt_text(tokenizer, [*messages_of(turns, system), {"role": "user", "content": prompt}])


def conversation_text(
    tokenizer: Any, messages: Sequence[tuple[str, str]], settings: Mapping[str, Any] = NO_SETTINGS
) -> str:
    """Everything before the answer to ``messages``: (role, text) in whatever order the template bears.

    ``settings``: variables of the template, such as ``enable_thinking``.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    return _prompt_text(tokenizer, [{"role": role, "content": text} for role, text in messages], settings)


def sequences(tokenizer: Any, turns: Turns, system: str = "", thoughts: Sequence[str] = ()) -> list[list[Segment]]:
    """The conversation as sequences of prompt and answer segments in turn, so that every answer stands in one of them.

    Each answer follows the text that the template writes before it when it is to be generated. Where that text begins
    with the sequence so far, the answer continues it, and a whole conversation is one sequence. A template that writes
    an earlier turn differently once others follow (without its thought, say) begins another sequence.

    After every answer comes ``chat_format(tokenizer).end``, which is no part of a segment.

    Args:
        thoughts: of each turn what the model thinks before it answers; empty texts, or none at all, for none.

    Raises:
        DataError: the chat template refuses the conversation, changes the answer's text, or has no place for thoughts.
    """
    found = chat_format(tokenizer)
    befores = (prompt_text(tokenizer, turns[:i], prompt, system) for i, (prompt, _) in enumerate(turns))
    answers = (found.answer_text(answer, thoughts[i] if thoughts else "") for i, (_, answer) in enumerate(turns))
    return _joined(zip(befores, answers, strict=True), found.end_text)


def _joined(steps: Iterable[tuple[str, str]], end: str) -> list[list[Segment]]:
    """Sequences of (everything before an answer, the answer): an answer that continues the last one stands after it."""
    out: list[list[Segment]] = []
    done = ""
    for i, (before, text) in enumerate(steps):
        if not out or not before.startswith(done):
            out.append([])
            done = ""
        out[-1] += [Segment(before[len(done) :], is_answer=False), Segment(text, is_answer=True, turn=i)]
        done = before + text + end
    return out


def with_thoughts_apart(tokenizer: Any, rows: Iterable[Row]) -> list[Row]:
    """``rows`` with the thoughts that answers begin with in ``Row.thoughts``, where the template has a place for them.

    What a model answers is compared with these answers: its own thoughts are taken off as well.
    """
    has_place = chat_format(tokenizer).thought is not None
    return [_thoughts_apart(row) if has_place and row.has_thoughts and row.chat is None else row for row in rows]


def _thoughts_apart(row: Row) -> Row:
    before = row.thoughts or ("",) * len(row.turns)
    found = [
        (kept, answer) if kept else parted(answer) or ("", answer)
        for kept, (_, answer) in zip(before, row.turns, strict=True)
    ]
    thoughts, answers = zip(*found, strict=True)
    turns = tuple((prompt, answer) for (prompt, _), answer in zip(row.turns, answers, strict=True))
    return replace(row, turns=turns, thoughts=thoughts if any(thoughts) else ())


def row_sequences(tokenizer: Any, row: Row) -> list[list[Segment]]:
    """``sequences`` of a training row, which may call tools.

    Raises:
        DataError: see ``sequences``; or the template can't write calls of tools.
    """
    if row.chat is None:
        return sequences(tokenizer, row.turns, row.system, row.thoughts)
    messages, tools = json.loads(row.chat.messages), json.loads(row.chat.tools)
    steps = tool_steps(tokenizer, messages, tools, trained=True)
    return _joined(steps, chat_format(tokenizer).end_text)


def row_prompt_ids(tokenizer: Any, row: Row) -> list[int]:
    """Tokens before the last answer of ``row``, exactly as they are trained.

    Raises:
        DataError: see ``row_sequences``.
    """
    if row.chat is None:
        return prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system)
    *before, _answer = row_sequences(tokenizer, row)[-1]
    return _ids(before, tokenizer)


def tool_prompt_ids(tokenizer: Any, messages: Sequence[Any], tools: Sequence[Any]) -> list[int]:
    """Tokens before the answer to OpenAI's ``messages``, which may call ``tools``, exactly as they are trained.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    prompt = tool_prompt(tokenizer, messages, tools)
    try:
        steps = tool_steps(tokenizer, messages, tools)
    except DataError:  # such a conversation is not trained
        return text_ids(tokenizer, prompt)
    *before, _answer = _joined([*steps, (prompt, "...")], chat_format(tokenizer).end_text)[-1]
    return _ids(before, tokenizer)


def segments(tokenizer: Any, turns: Turns, system: str = "") -> list[Segment]:
    """The sequence that holds the last answer, with everything that the model reads before it; see ``sequences``."""
    return sequences(tokenizer, turns, system)[-1]


def prompt_ids(tokenizer: Any, turns: Turns, prompt: str, system: str = "") -> list[int]:
    """Tokens before the answer to ``prompt``, the finished ``turns`` included, exactly as they are trained.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    *before, _answer = segments(tokenizer, (*turns, (prompt, "...")), system)
    return _ids(before, tokenizer)


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a whole prompt, encoded in one piece."""
    return _ids([Segment(text, is_answer=False)], tokenizer)


def plain_ids(
    tokenizer: Any, messages: Sequence[tuple[str, str]], settings: Mapping[str, Any] = NO_SETTINGS
) -> list[int]:
    """The tokens before the answer to ``messages``, in whose texts the names of control tokens are plain text.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    control = chat_format(tokenizer).control
    mark = f"\ue000{uuid4().hex}\ue001"  # stands for each name while the template is applied
    names = [name for _, text in messages for name in control.findall(text)]
    text = conversation_text(tokenizer, [(role, control.sub(mark, text)) for role, text in messages], settings)
    first, *rest = text.split(mark)
    ids = text_ids(tokenizer, first)
    for name, after in zip(names, rest, strict=True):
        ids += tokenizer(name, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        ids += tokenizer(after, add_special_tokens=False)["input_ids"]
    return ids


def _ids(parts: Sequence[Segment], tokenizer: Any) -> list[int]:
    return [token for _, piece in pieces(parts, tokenizer) for token in piece]


def pieces(parts: Sequence[Segment], tokenizer: Any) -> Iterator[tuple[Segment, list[int]]]:
    """Each segment with its tokens: BOS before the first where the tokenizer adds one, the end after every answer."""
    end = chat_format(tokenizer).end
    for i, segment in enumerate(parts):
        piece = tokenizer(segment.text, add_special_tokens=False)["input_ids"]
        if i == 0:
            piece = _with_bos(piece, tokenizer)
        yield segment, [*piece, *end] if segment.is_answer else piece


def _with_bos(ids: list[int], tokenizer: Any) -> list[int]:
    """``ids`` with BOS in front where the tokenizer adds one and its chat template has not."""
    bos = tokenizer.bos_token_id
    if bos is None or ids[:1] == [bos] or tokenizer("a")["input_ids"][:1] != [bos]:
        return ids
    return [bos, *ids]


def visible_text(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """The text of generated ``token_ids``: without control tokens, and without what the model thought before it."""
    text = tokenizer.decode(token_ids, skip_special_tokens=True)
    found = chat_format(tokenizer)
    if not found.scaffold:
        return text
    whole = tokenizer.decode(token_ids, skip_special_tokens=False)
    _, marker, after = whole.partition(found.scaffold)
    return found.control.sub("", after).lstrip() if marker else text


def messages_of(turns: Turns, system: str = "") -> list[dict[str, str]]:
    """The conversation as chat messages."""
    messages = [{"role": "system", "content": system}] if system else []
    for prompt, answer in turns:
        messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return messages


def _prompt_text(tokenizer: Any, messages: Messages, settings: Mapping[str, Any] = NO_SETTINGS) -> str:
    return render_accepted(tokenizer, messages, add_generation_prompt=True, **settings)
