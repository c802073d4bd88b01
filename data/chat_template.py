"""How a conversation becomes text: the model's own chat template, or one plain template for models without any.

The plain template, for GPT-2 and its like::

    User: {prompt}
    Assistant: {answer}<eos>
    User: ...

Training and answering use the same functions, so a prompt can't differ between the two.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import DataError

SPECIAL_TOKENS = ("<|endoftext|>", "<|endofprompt|>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|end|>")

Turns = tuple[tuple[str, str], ...]
PLAIN_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}Assistant: {{ m['content'] }}{{ eos_token }}\n"
    "{% elif m['role'] == 'user' %}User: {{ m['content'] }}\n"
    "{% else %}{{ m['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


@dataclass(frozen=True)
class Segment:
    """A piece of text that is tokenised on its own: part of a prompt, or one whole answer (without its EOS)."""

    text: str
    is_answer: bool


def template_name(tokenizer: Any) -> str:
    """``chat`` where the tokenizer brings a chat template, else ``plain``."""
    return "chat" if getattr(tokenizer, "chat_template", None) else "plain"


def template_of(tokenizer: Any) -> str:
    """The Jinja source in use: the tokenizer's own, or the plain one."""
    return getattr(tokenizer, "chat_template", None) or PLAIN_TEMPLATE


def prompt_text(tokenizer: Any, turns: Turns, prompt: str, system: str = "") -> str:
    """Everything before the answer to ``prompt``, given the finished ``turns`` before it."""
    messages = [*messages_of(turns, system), {"role": "user", "content": prompt}]
    return _render(tokenizer, messages, add_generation_prompt=True)


def conversation_text(tokenizer: Any, messages: Sequence[tuple[str, str]]) -> str:
    """Everything before the answer to ``messages``: (role, text) in whatever order the template bears."""
    turns = [{"role": role, "content": text} for role, text in messages]
    return _render(tokenizer, turns, add_generation_prompt=True)


def segments(tokenizer: Any, turns: Turns, system: str = "") -> list[Segment]:
    """The conversation as alternating prompt and answer segments, each to be tokenised apart.

    After every answer comes the EOS token, which is no part of a segment.

    Raises:
        DataError: the chat template rewrites earlier turns, or does not render the answer's text.
    """
    out: list[Segment] = []
    done = ""
    for i, (prompt, answer) in enumerate(turns):
        before = prompt_text(tokenizer, turns[:i], prompt, system)
        if not before.startswith(done):
            raise DataError([
                f"the chat template rewrites earlier turns, or ends them without {tokenizer.eos_token}: "
                "give each row one prompt and one response"
            ])  # fmt: skip
        out.append(Segment(before[len(done) :], is_answer=False))
        lead = _lead(tokenizer, turns[:i], prompt, answer, system, before)
        out.append(Segment(lead + answer, is_answer=True))
        done = before + lead + answer + tokenizer.eos_token
    return out


def prompt_ids(tokenizer: Any, turns: Turns, prompt: str, system: str = "") -> list[int]:
    """Tokens before the answer to ``prompt``, the finished ``turns`` included, exactly as they are trained."""
    *before, _answer = segments(tokenizer, (*turns, (prompt, "...")), system)
    return [token for _, piece in pieces(before, tokenizer) for token in piece]


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a whole prompt, encoded in one piece."""
    return [token for _, piece in pieces([Segment(text, is_answer=False)], tokenizer) for token in piece]


def pieces(parts: Sequence[Segment], tokenizer: Any) -> Iterator[tuple[Segment, list[int]]]:
    """Each segment with its tokens: BOS before the first where the tokenizer adds one, EOS after every answer."""
    for i, segment in enumerate(parts):
        piece = tokenizer(segment.text, add_special_tokens=False)["input_ids"]
        if i == 0:
            piece = _with_bos(piece, tokenizer)
        yield segment, [*piece, tokenizer.eos_token_id] if segment.is_answer else piece


def _with_bos(ids: list[int], tokenizer: Any) -> list[int]:
    """``ids`` with BOS in front where the tokenizer adds one and its chat template has not."""
    bos = tokenizer.bos_token_id
    if bos is None or ids[:1] == [bos] or tokenizer("a")["input_ids"][:1] != [bos]:
        return ids
    return [bos, *ids]


def control_tokens(tokenizer: Any) -> re.Pattern[str]:
    """A pattern that finds the texts which ``tokenizer`` reads as control tokens (end, roles, padding)."""
    special = [re.escape(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return re.compile("|".join(special) or r"(?!)")


def _lead(tokenizer: Any, turns: Turns, prompt: str, answer: str, system: str, before: str) -> str:
    """What the template puts between the prompt and the answer: nothing, a space, or an empty train of thought."""
    whole = _render(tokenizer, messages_of((*turns, (prompt, answer)), system))
    at = whole.find(answer, len(before))
    if not whole.startswith(before) or at < 0:
        raise DataError(
            ["the chat template changes the response's text, so its tokens can't be told from the prompt's"]
        )
    return whole[len(before) : at]


def messages_of(turns: Turns, system: str = "") -> list[dict[str, str]]:
    """The conversation as chat messages."""
    messages = [{"role": "system", "content": system}] if system else []
    for prompt, answer in turns:
        messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return messages


def _render(tokenizer: Any, messages: list[dict[str, str]], add_generation_prompt: bool = False) -> str:
    return tokenizer.apply_chat_template(
        messages,
        chat_template=template_of(tokenizer),
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
    )
