"""What a chat template does, found once for each tokenizer by rendering a short conversation with it.

A template is a program that came with the model. Nothing says how it ends a turn, whether it takes a system message, or
what it writes between the prompt and the answer; its output for a known conversation shows all three.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

from data.conversation import parted
from data.errors import DataError, first_line

PLAIN_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}Assistant: {{ m['content'] }}{{ eos_token }}\n"
    "{% elif m['role'] == 'user' %}User: {{ m['content'] }}\n"
    "{% else %}{{ m['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
#: The conversation that is rendered: texts that no template holds, with capitals and a blank line to be left alone.
SYSTEM, PROMPT, THOUGHT = "Be Brief with Ann.", "How are Ann and Bob?", "Ann Rowed, Bob walked."
ANSWER = "Ann is Well.\n\nBob is, too"
#: The end of a generation prompt that opens a thought, such as ``<think>\n``.
OPENED = re.compile(r"<(\w+)>\s*\Z")
STRFTIME = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<format>.*?)(?P=quote)\s*\)""")


@dataclass(frozen=True)
class ChatFormat:
    """What one chat template does with one tokenizer.

    ``lead``: the text between the generation prompt and an answer; blanks, or an empty thought. ``end``: the token ids
    that follow every answer, up to the end of the turn, and ``end_text`` the same as text. ``stops``: those of them
    that end generation. ``takes_system``: whether a system message appears in the text. ``thought``: the texts
    before and after a thought, counted from the generation prompt; None where the template has no place for thoughts.
    ``control``: finds the texts that the tokenizer reads as control tokens (end, roles, padding).
    """

    lead: str
    end: tuple[int, ...]
    end_text: str
    stops: frozenset[int]
    takes_system: bool
    thought: tuple[str, str] | None
    control: re.Pattern[str]

    @property
    def scaffold(self) -> str:
        """The text in generated text after which the answer begins; empty where answers begin at once.

        A model that has learned thoughts may answer without one: what ends a thought and the ``lead`` end alike.
        """
        if self.thought is None:
            return self.lead.strip()
        ends = self.thought[1][::-1], self.lead[::-1]
        return (os.path.commonprefix(ends)[::-1].strip() if self.lead.strip() else "") or self.thought[1].strip()

    def answer_text(self, answer: str, thought: str = "") -> str:
        """What follows the generation prompt, up to the end of the turn.

        Raises:
            DataError: there is a thought, and the template has no place for it or writes something else there.
        """
        inline = parted(answer) if not thought else None
        has_place = self.thought is not None or bool(self.lead.strip())  # without either it is a text like others
        if inline and has_place:
            thought, answer = inline
        elif not thought:
            return self.lead + answer
        if self.thought is None:
            raise DataError(["the chat template has no place for reasoning_content: remove it, or take another base"])
        return self.thought[0] + thought + self.thought[1] + answer

    def accepted(self, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """``messages`` as the template takes them.

        Where it refuses or ignores a system message, the system's text is put before the first prompt.
        """
        roles = [message["role"] for message in messages[:2]]
        if self.takes_system or roles != ["system", "user"]:
            return list(messages)
        system, first, *rest = messages
        return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]


#: The formats of a tokenizer by template; the key is weak, so that a tokenizer that is no longer used can be freed.
_known: WeakKeyDictionary[Any, dict[str, ChatFormat]] = WeakKeyDictionary()


def chat_format(tokenizer: Any) -> ChatFormat:
    """What the template in use by ``tokenizer`` does.

    Raises:
        DataError: the template fails with the simplest conversation, or changes the answer's text.
    """
    found, template = _known.setdefault(tokenizer, {}), template_of(tokenizer)
    if template not in found:
        found[template] = _find(tokenizer)
    return found[template]


def template_name(tokenizer: Any) -> str:
    """``chat`` where the tokenizer brings a chat template, else ``plain``."""
    return "chat" if getattr(tokenizer, "chat_template", None) else "plain"


def template_of(tokenizer: Any) -> str:
    """The Jinja source in use: the tokenizer's own, or the plain one."""
    return getattr(tokenizer, "chat_template", None) or PLAIN_TEMPLATE


def stop_token_ids(tokenizer: Any, model: Any = None) -> frozenset[int]:
    """The tokens that end an answer: the template's end of turn, EOS, and what ``model``'s generation config names."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return frozenset({*chat_format(tokenizer).stops, *(named if isinstance(named, list) else [named])} - {None})


def answer_directly(tokenizer: Any) -> None:
    """Give ``tokenizer`` its ``direct_template``."""
    _use(tokenizer, direct_template(tokenizer))


def fix_date(tokenizer: Any, day: date) -> bool:
    """Put ``day`` in place of the date that the template takes from the clock; returns whether it takes one.

    Prompts are then the same on every other day.
    """
    dated = _dated(template_of(tokenizer), day)
    return _use(tokenizer, dated)


def _use(tokenizer: Any, template: str) -> bool:
    changed = template != template_of(tokenizer)
    if changed:  # a tokenizer without a template of its own goes on without one
        tokenizer.chat_template = template
    return changed


def direct_template(tokenizer: Any) -> str:
    """The template in use, whose generation prompt then ends where the answer's own text begins.

    What the template puts before an answer (an empty thought, the name of a channel) is written by the generation
    prompt, and a thought that the generation prompt opens is closed: the model answers at once.
    """
    own = template_of(tokenizer)
    lead = chat_format(tokenizer).lead.rstrip(" ")  # a space belongs to the answer's first token
    if not lead.strip():
        return own
    return own.removesuffix("\n") + "{{ " + ascii(lead) + " if add_generation_prompt else '' }}"


def _dated(template: str, day: date) -> str:
    if "strftime_now" not in template or "macro strftime_now" in template:
        return template
    dates = {found["format"]: day.strftime(found["format"]) for found in STRFTIME.finditer(template)}
    now = f"{{% macro strftime_now(format) %}}{{{{ {dates!r}.get(format, {day.isoformat()!r}) }}}}{{% endmacro %}}"
    return now + "{{ '' }}" + template  # a line break right after a block would be lost


def render(
    tokenizer: Any,
    messages: Sequence[dict[str, Any]],
    add_generation_prompt: bool = False,
    tools: Sequence[Any] | None = None,
    **settings: Any,
) -> str:
    """The text of ``messages`` by the template in use, which may call ``tools``; what the template raises is raised.

    ``settings``: further variables of the template.
    """
    return tokenizer.apply_chat_template(
        messages,
        tools=tools,
        chat_template=template_of(tokenizer),
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        **settings,
    )


def render_accepted(tokenizer: Any, messages: Sequence[dict[str, Any]], **settings: Any) -> str:
    """``render`` of ``messages`` as the template takes them (``ChatFormat.accepted``).

    Raises:
        DataError: the template refuses this conversation.
    """
    found = chat_format(tokenizer)
    try:
        return render(tokenizer, found.accepted(messages), **settings)
    except Exception as error:  # a chat template is a program that came with the model
        raise DataError([f"the chat template refuses this conversation: {first_line(error)}"]) from error


def control_tokens(tokenizer: Any) -> re.Pattern[str]:
    """A pattern that finds the texts which ``tokenizer`` reads as control tokens (end, roles, padding)."""
    return chat_format(tokenizer).control


def _find(tokenizer: Any) -> ChatFormat:
    question = {"role": "user", "content": PROMPT}
    messages = [question, {"role": "assistant", "content": ANSWER}]
    try:
        before = render(tokenizer, [question], add_generation_prompt=True)
        whole = render(tokenizer, messages)
    except Exception as error:
        raise DataError([f"the chat template can't be used: {first_line(error)}"]) from error
    at = whole.rfind(ANSWER)
    if at < 0:
        raise DataError(
            ["the chat template changes the response's text, so its tokens can't be told from the prompt's"]
        )
    lead, thought = _lead(before, whole[:at]), _thought(tokenizer, messages, before)
    end, end_text, stops = _end(tokenizer, whole[at + len(ANSWER) :])
    takes_system = SYSTEM in _try_render(tokenizer, [{"role": "system", "content": SYSTEM}, question])
    return ChatFormat(lead, end, end_text, stops, takes_system, thought, _control(tokenizer))


def _lead(before: str, until_answer: str) -> str:
    """What comes between the generation prompt ``before`` and the answer.

    A generation prompt that opens a thought which finished answers don't have is followed by the thought's end.
    """
    if until_answer.startswith(before):
        return until_answer[len(before) :]
    opened = OPENED.search(before)
    return f"\n</{opened[1]}>\n\n" if opened else ""


def _thought(tokenizer: Any, messages: Sequence[dict[str, str]], before: str) -> tuple[str, str] | None:
    """What the template writes before and after a thought; templates have two names for it."""
    question, answer = messages
    thinking = {**answer, "reasoning_content": THOUGHT, "thinking": THOUGHT}
    _, same, after = _try_render(tokenizer, [question, thinking]).partition(before)
    start, found, rest = after.partition(THOUGHT)
    between, answered, _ = rest.partition(ANSWER)
    if same and found and answered:
        return start, between
    opened = OPENED.search(before)
    return ("", f"\n</{opened[1]}>\n\n") if opened else None


def _end(tokenizer: Any, tail: str) -> tuple[tuple[int, ...], str, frozenset[int]]:
    """(token ids, text, stop tokens) of the end of a turn, of which ``tail`` is what comes after an answer.

    It ends with the first control tokens, and with EOS where the template writes none.
    """
    names = {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    names = {**names, tokenizer.unk_token_id: "", tokenizer.eos_token_id: tokenizer.eos_token}
    ids = _following(tokenizer, tail)
    stops: list[int] = []
    last = length = 0
    for i, token in enumerate(ids):
        name = names.get(token, "")
        if name and name in tail[length:]:
            stops, last, length = [*stops, token], i + 1, tail.index(name, length) + len(name)
        elif stops:
            break
    if not stops:
        return (tokenizer.eos_token_id,), tokenizer.eos_token, frozenset({tokenizer.eos_token_id})
    return tuple(ids[:last]), tail[:length], frozenset({*stops, tokenizer.eos_token_id})


def _following(tokenizer: Any, tail: str) -> list[int]:
    """The tokens of ``tail`` as they are after a text: alone, some tokenizers put a space before its first word."""
    alone, both = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (ANSWER, ANSWER + tail))
    return both[len(alone) :] if both[: len(alone)] == alone else tokenizer(tail, add_special_tokens=False)["input_ids"]


def _control(tokenizer: Any) -> re.Pattern[str]:
    special = [re.escape(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return re.compile("|".join(special) or r"(?!)")


def _try_render(tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
    """The text of ``messages``; empty where the template refuses them."""
    try:
        return render(tokenizer, messages)
    except Exception:
        return ""
