"""Grammars: what they allow next, what they refuse, and that hostile ones are bounded."""

import json
import random
import time

import jsonschema
import pytest

from inference.constraints import GrammarCompiler, GrammarError, check, choice_grammar, json_grammar, regex_grammar
from inference.detokenizer import Detokenizer
from inference.loading import load_tokenizer
from tests.serve.json_schemas import usable_schemas

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 4}, "age": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


@pytest.fixture(scope="module")
def fits(tokenizer):
    """``fits(grammar, text)``: whether the grammar takes the text token by token, and it is then complete."""
    compiler = GrammarCompiler(tokenizer)
    end = tokenizer.eos_token_id

    def fits(grammar, text):
        check(grammar)
        constraint = compiler.constraint(grammar, frozenset({end}), len(tokenizer) + 3)
        for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
            allowed = constraint.allowed()
            assert allowed.shape == (len(tokenizer) + 3,)
            if not allowed[token]:
                return False
            constraint.advance(token)
        return bool(constraint.allowed()[end])

    return fits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Ann", "age": 7}', True),
        (' {"name":"Ann","age":7}', True),
        ('{\n  "name": "Ann",\n  "age": 7\n}', True),
        ('{"name": "Ann"}', False),
        ('{"name": "Annabel", "age": 7}', False),
        ('{"name": "Ann", "age": 70}', False),
        ("Ann is 7", False),
        ('{"name": "Ann", "age": 7} and more', False),
        ('{"name":' + " " * 30 + '"Ann", "age": 7}', False),
    ],
)
def test_a_schema_allows_the_values_that_fit_it_however_they_are_indented(fits, text, expected):
    assert fits(json_grammar(PERSON), text) is expected


def test_a_regular_expression_and_a_list_of_choices_are_grammars(fits):
    assert fits(regex_grammar(r"\d{2}/\d{2}"), "24/12") and not fits(regex_grammar(r"\d{2}/\d{2}"), "24-12")
    assert fits(choice_grammar(['a "quoted" one', "no"]), 'a "quoted" one')
    assert not fits(choice_grammar(["yes", "no"]), "noo")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"not": {"type": "string"}}, '"not"'),
        ({"type": "array", "uniqueItems": True}, '"uniqueItems"'),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"type": "string", "format": "shoe-size"}, "shoe-size"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum"),
        ({"$ref": "https://example.org/schema"}, "example.org"),
        ({"type": "shoe"}, "shoe"),
        (False, "allows no value"),
        ([], "object"),
    ],
)
def test_what_a_schema_has_that_can_not_be_enforced_is_named_in_one_line(schema, words):
    with pytest.raises(GrammarError) as found:
        check(json_grammar(schema))
    assert words in str(found.value) and "\n" not in str(found.value) and "start:" not in str(found.value)


def test_a_keyword_that_says_nothing_is_no_fault(fits):
    assert fits(json_grammar({"type": "array", "items": {"const": 1}, "uniqueItems": False, "title": "T"}), "[1,1]")


def test_an_object_that_lists_its_properties_has_no_others_unless_it_says_so(fits):
    listed = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}
    more = '{"a": 1, "b": 2}'
    assert fits(json_grammar(listed), '{"a": 1}') and not fits(json_grammar(listed), more)
    assert fits(json_grammar({**listed, "additionalProperties": True}), more)
    assert fits(json_grammar({**listed, "required": ["a", "b"]}), more)
    both = {"allOf": [listed, {"type": "object", "properties": {"b": {"const": 2}}}]}
    assert fits(json_grammar(both), more)
    inner = {"type": "array", "items": listed}
    assert not fits(json_grammar(inner), f"[{more}]")
    held = {"const": {"type": "object", "properties": {}, "uniqueItems": False}}
    assert fits(json_grammar(held), json.dumps(held["const"]))


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def doubling(levels):
    parts = {f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}, "minItems": 2} for i in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": {"type": "string"}}}


HOSTILE = {
    "90 levels": lambda: nested(90),
    "900 levels": lambda: nested(900),
    "a huge enum": lambda: {"enum": [f"value {i}" for i in range(100_000)]},
    "a large enum": lambda: {"enum": [f"value {i}" for i in range(10_000)]},
    "itself": lambda: {"$ref": "#"},
    "no end": lambda: {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
    "2^40 parts": lambda: doubling(40),
    "2,000 optional fields": lambda: {
        "type": "object",
        "properties": {f"f{i}": {"type": "integer"} for i in range(2000)},
    },
    "a long text": lambda: {"type": "string", "minLength": 10**6},
    "a pattern of many states": lambda: {"type": "string", "pattern": "^(.*a.{200}){9}$"},
    "a long array": lambda: {"type": "array", "items": {}, "minItems": 10**9},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_refused_or_costs_a_bounded_time(tokenizer, name):
    compiler = GrammarCompiler(tokenizer)
    start = time.process_time()
    try:
        grammar = json_grammar(HOSTILE[name]())
        check(grammar)
        constraint = compiler.constraint(grammar, frozenset({tokenizer.eos_token_id}), len(tokenizer))
        for _ in range(30):
            token = int(constraint.allowed().nonzero()[-1])
            if constraint.advance(token):
                break
    except GrammarError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
    assert time.process_time() - start < 5


def test_rows_of_one_grammar_do_not_share_their_state(tokenizer):
    compiler = GrammarCompiler(tokenizer)
    ends = frozenset({tokenizer.eos_token_id})
    first, second = (compiler.constraint(choice_grammar(["a", "b"]), ends, len(tokenizer)) for _ in range(2))
    before = second.allowed()
    assert first.advance(tokenizer("a", add_special_tokens=False)["input_ids"][0])
    assert second.allowed().equal(before)


def test_whatever_is_allowed_fits(tokenizer):
    """Random allowed tokens for drawn schemas: each text that is complete parses and fits."""
    schemas, _ = usable_schemas(12)
    words, chance, end = Detokenizer(tokenizer), random.Random(1), tokenizer.eos_token_id
    compiler, complete = GrammarCompiler(tokenizer), 0
    for schema in schemas:
        constraint, raw = compiler.constraint(json_grammar(schema), frozenset({end}), len(tokenizer)), b""
        for _ in range(150):
            token = chance.choice(constraint.allowed().nonzero()[:, 0].tolist())
            raw += b"" if token == end else words.token_bytes(token)
            if token == end or constraint.advance(token):
                jsonschema.Draft202012Validator(schema).validate(json.loads(raw))
                complete += 1
                break
    assert complete >= 8
