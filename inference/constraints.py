"""Constrained decoding: which tokens may come next so that an answer fits a grammar.

A grammar is a text in llguidance's variant of Lark; those here are made from JSON schemas, regular expressions and
lists. llguidance bounds the time and the memory of a grammar by limits of its own; beyond them it reports an error.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from data.errors import UserError

MOST_CHARACTERS = 200_000  # of a grammar
KEPT = 64  # compiled grammars of one tokenizer
#: Blanks between the parts of JSON: a space, or a line end and an indentation; never without an end.
JSON_OPTIONS = {"whitespace_pattern": r" |\n[ ]{0,24}|\n\t{0,8}"}
ANY_OBJECT = {"type": "object"}
#: Keywords that hold values and no schemas, and those by which an object says what else it may have.
VALUES = {"const", "enum", "default", "examples", "example"}
OPENING = {"additionalProperties", "patternProperties", "unevaluatedProperties", "minProperties", "propertyNames"}
#: Parts of llguidance's messages that are about the text of the grammar, which no user has seen.
SHOWN_GRAMMAR, PLACE = re.compile(r"\s*(\d+ \||\^)"), re.compile(r"^at \d+\(\d+\): (failed to compile JSON schema: )?")
#: A template can leave a blank to the answer's first token; answers are shown without it.
START, LEAD = "start: LEAD? ", "LEAD: /[ \\n]{1,2}/"


class GrammarError(UserError):
    """A grammar or a schema that can't be used; the message says why, in one line."""


def json_grammar(schema: Any) -> str:
    """The grammar of the JSON values that fit ``schema``; objects have their properties in the schema's order.

    Raises:
        GrammarError: it is no JSON schema, or larger than ``MOST_CHARACTERS``.
    """
    return f"{START}answer\n{LEAD}\nanswer: {json_rule(schema)}\n"


def json_rule(schema: Any) -> str:
    """What ``json_grammar`` writes for the value itself, as the right side of a rule.

    Raises:
        GrammarError: see ``json_grammar``.
    """
    if isinstance(schema, bool):
        if not schema:
            raise GrammarError("the schema false allows no value")
        schema = {}
    if not isinstance(schema, dict):
        raise GrammarError("a JSON schema is an object")
    try:
        prepared = _prepared(schema, closes=not _combines(schema))
        return f"%json {json.dumps({**prepared, 'x-guidance': JSON_OPTIONS})}"
    except RecursionError as error:
        raise GrammarError("the schema is nested too deeply") from error


def regex_grammar(pattern: str) -> str:
    """The grammar of the texts that match the regular expression ``pattern`` as a whole; without look-around."""
    from llguidance import regex_to_lark

    return f"{START}ANSWER\n{LEAD}\nANSWER: /{regex_to_lark(pattern)}/\n"


def choice_grammar(choices: Sequence[str]) -> str:
    """The grammar of exactly the texts ``choices``."""
    return f"{START}(ANSWER)\n{LEAD}\nANSWER: {' | '.join(json.dumps(each) for each in choices)}\n"


def _prepared(schema: Any, closes: bool) -> Any:
    """``schema`` without ``uniqueItems`` false, which says nothing and which llguidance refuses.

    With ``closes``, objects that list their properties and say nothing of others get none: small models add properties
    without an end.
    """
    if isinstance(schema, list):
        return [_prepared(each, closes) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: held if key in VALUES else _prepared(held, closes)
        for key, held in schema.items()
        if not (key == "uniqueItems" and held is False)
    }
    is_open = schema.get("type") == "object" and "properties" in schema and not OPENING & schema.keys()
    return {**found, "additionalProperties": False} if closes and is_open and _lists_all(schema) else found


def _lists_all(schema: dict[str, Any]) -> bool:
    """Whether all that an object requires is among its properties."""
    listed, required = schema["properties"], schema.get("required", [])
    return isinstance(listed, dict) and isinstance(required, list) and all(each in listed for each in required)


def _combines(schema: Any) -> bool:
    """Whether a value in ``schema`` must fit several object schemas at once, none of which may then be closed."""
    if isinstance(schema, list):
        return any(map(_combines, schema))
    if not isinstance(schema, dict):
        return False
    has_others = "properties" in schema and bool(schema.keys() & {"$ref", "anyOf", "oneOf"})
    return "allOf" in schema or has_others or any(_combines(held) for held in schema.values())


@lru_cache(KEPT)
def check(grammar: str) -> None:
    """Compile ``grammar`` without a tokenizer. It can take a second for the largest.

    Raises:
        GrammarError: it has keywords that can't be enforced, fits nothing, or exceeds a limit.
    """
    from llguidance import LLMatcher

    if len(grammar) > MOST_CHARACTERS:
        raise GrammarError(f"it has {len(grammar):,} characters; at most {MOST_CHARACTERS:,} can be enforced")
    is_wrong, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if is_wrong:
        raise GrammarError(_one_line(messages[0]))


def _one_line(message: str) -> str:
    """The part of llguidance's ``message`` that says what is wrong, without the grammar and the parser's state."""
    if message.startswith("NoExtension"):
        return "no text fits it"
    if "doesn't satisfy the grammar; forced bytes" in message:
        return "it has characters that this model's tokenizer has no tokens for"
    lines = [line for line in message.partition("<state>")[0].splitlines() if not SHOWN_GRAMMAR.match(line)]
    text = PLACE.sub("", " ".join(" ".join(lines).split()))
    return re.sub(r"^Unimplemented keys: \[(.*)\]", r"it has keywords without support: \1", text)[:300]


class GrammarCompiler:
    """Compiles grammars for one tokenizer; the last ``KEPT`` are kept. Only one thread at a time may use it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._vocabularies: dict[tuple[frozenset[int], int], Any] = {}
        self._compiled: OrderedDict[tuple[str, frozenset[int], int], Any] = OrderedDict()

    def constraint(self, grammar: str, ends: frozenset[int], vocabulary: int) -> "Constraint":
        """The constraint of one answer, at its beginning.

        Args:
            ends: the tokens that end an answer; they are allowed where the grammar is fulfilled.
            vocabulary: rows of the model's logits.

        Raises:
            GrammarError: the grammar can't be used, or the tokenizer is none of the Tokenizers library.
        """
        key = grammar, ends, vocabulary
        if key not in self._compiled:
            self._compiled[key] = self._compile(grammar, ends, vocabulary)
        self._compiled.move_to_end(key)
        while len(self._compiled) > KEPT:
            self._compiled.popitem(last=False)
        return Constraint(self._compiled[key].deep_copy(), vocabulary)

    def _compile(self, grammar: str, ends: frozenset[int], vocabulary: int) -> Any:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        if (ends, vocabulary) not in self._vocabularies:
            try:
                found = from_tokenizer(self._tokenizer, n_vocab=vocabulary, eos_token=sorted(ends))
            except Exception as error:  # a tokenizer of unknown origin can raise anything
                raise GrammarError(f"this model's tokenizer can't be used with a grammar: {error}") from error
            self._vocabularies[ends, vocabulary] = found
        words = self._vocabularies[ends, vocabulary]
        for text in (grammar.replace(START, "start: ", 1), grammar):  # without blanks, what fits nothing shows itself
            matcher = LLMatcher(words, text, log_level=0)
            matcher.compute_bitmask()
            if matcher.is_error():
                raise GrammarError(_one_line(matcher.get_error()))
        return matcher


class Constraint:
    """The state of a grammar in one answer; ``matcher`` is llguidance's."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def allowed(self) -> Tensor:
        """Which tokens may come next: bool ``[vocabulary]``, at least one of them true.

        Raises:
            GrammarError: the grammar exceeds a limit here, or allows nothing more.
        """
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        self._require_alive()
        masks = 2 ** torch.arange(8, dtype=torch.uint8)
        return (bits[:, None] & masks).flatten()[: self._vocabulary].bool()

    def advance(self, token: int) -> bool:
        """Take ``token``, one of those allowed; returns whether the answer is complete and nothing may follow.

        Raises:
            GrammarError: the grammar exceeds a limit here.
        """
        self._matcher.consume_token(token)
        self._require_alive()
        return self._matcher.is_stopped()

    def _require_alive(self) -> None:
        if self._matcher.is_error():
            raise GrammarError(_one_line(self._matcher.get_error()))
