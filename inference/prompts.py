"""The batch row of a request: what the model reads of messages, of a chat with tools, or of a prompt as it is."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from data.chat_format import control_tokens
from data.chat_template import NO_SETTINGS, Turns, conversation_text, plain_ids, text_ids, tool_prompt_ids
from inference.batch import BatchRow
from inference.generation import LoadedModel, Messages, chat_ids, own_template, refuse_control_tokens, require_known


def line_of(loaded: LoadedModel, messages: Messages, settings: Mapping[str, Any] = NO_SETTINGS) -> BatchRow:
    """The batch row in which ``loaded`` answers ``messages``, which are encoded as in training where they are turns.

    The names of control tokens in them are plain text. ``settings``: variables of the chat template. The tokenizer is
    changed meanwhile: only one thread at a time may use it.

    Raises:
        UserError: the chat template takes no such conversation.
    """
    return _line(loaded, message_ids(loaded, messages, settings))


def message_ids(loaded: LoadedModel, messages: Messages, settings: Mapping[str, Any] = NO_SETTINGS) -> list[int]:
    """The tokens that ``loaded``, of which only the tokenizer is needed, reads before it answers; see ``line_of``."""
    turns = _as_turns(messages)
    with own_template(loaded) as tokenizer:
        if any(control_tokens(tokenizer).search(text) for _, text in messages):
            return plain_ids(tokenizer, messages, settings)
        if turns and not settings:
            return chat_ids(loaded, *turns)
        return text_ids(tokenizer, conversation_text(tokenizer, messages, settings))


def prompt_line(loaded: LoadedModel, prompt: str | Sequence[int]) -> BatchRow:
    """The batch row that continues ``prompt``, a text or token ids, without a chat template.

    A text is encoded as the tokenizer does by itself: with BOS where it adds one, and control tokens where their names
    stand. An empty prompt is BOS, or the end token where there is none.

    Raises:
        UserError: a token id is none of the model's.
    """
    tokenizer = loaded.tokenizer
    ids = tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
    if not ids:
        first = tokenizer.bos_token_id
        ids = [tokenizer.eos_token_id if first is None else first]
    return _line(loaded, ids)


def tool_line(loaded: LoadedModel, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any]) -> BatchRow:
    """As ``line_of``, of OpenAI's messages that may hold calls of tools and their results; the prompt lists ``tools``.

    Raises:
        UserError: a text holds a control token, or the chat template takes no such conversation.
    """
    refuse_control_tokens(loaded, (json.dumps([message, *tools], ensure_ascii=False) for message in messages))
    with own_template(loaded) as tokenizer:
        ids = tool_prompt_ids(tokenizer, messages, tools)
    return _line(loaded, ids)


def _line(loaded: LoadedModel, ids: list[int]) -> BatchRow:
    require_known(loaded, ids)
    return BatchRow(loaded.model, loaded.adapter, ids, loaded.ends)


def _as_turns(messages: Messages) -> tuple[Turns, str, str] | None:
    """Finished turns, the prompt after them and what the system says; None for any other order of roles."""
    system = messages[0][1] if messages and messages[0][0] == "system" else ""
    rest = messages[1:] if system else messages
    roles = [role for role, _ in rest]
    if roles != [("user", "assistant")[i % 2] for i in range(len(rest))] or len(rest) % 2 == 0:
        return None
    texts = [text for _, text in rest]
    return tuple(zip(texts[:-1:2], texts[1::2], strict=True)), texts[-1], system
