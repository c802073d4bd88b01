"""JSON schemas drawn by hypothesis: objects, arrays, tuples, unions, bounds, patterns, formats, any names and texts.

Texts, numbers and arrays have bounds: a small model does not end them by itself.
"""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inference.constraints import GrammarError, check, json_grammar

Schema = dict[str, Any]

PATTERNS = (
    "^[a-z]{1,12}$",
    "^[A-Z]{2}[0-9]{3}$",
    "^(yes|no|maybe)$",
    r"^\d{4}-\d{2}$",
    "^.{3,9}$",
    "^a{0,4}b{1,3}$",
    "^[^aeiou]{2}$",
)
FORMATS = ("date", "time", "date-time", "email", "ipv4", "ipv6", "uuid")
#: Without characters that not every byte-level vocabulary can write: surrogates, private use, not assigned.
CHARACTERS = st.characters(exclude_categories=("Cs", "Co", "Cn"))
NAMES = st.one_of(
    st.sampled_from(("name", "age", "tags", "is_late", "first name", "$ref", "a/b")), st.text(CHARACTERS, max_size=6)
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.text(CHARACTERS, max_size=12))
NUMBERS, SIZES, LONGER = st.integers(-10_000, 10_000), st.integers(0, 6), st.integers(6, 30)


def _typed(kind: str, needed: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[Schema]:
    texts = {"description": st.text(CHARACTERS, max_size=20), "title": st.text(CHARACTERS, max_size=8)}
    return st.fixed_dictionaries({"type": st.just(kind), **(needed or {})}, optional={**texts, **optional})


LEAVES = st.one_of(
    _typed("string", {"maxLength": LONGER}, minLength=SIZES),
    _typed("string", {"pattern": st.sampled_from(PATTERNS)}),
    _typed("string", {"format": st.sampled_from(FORMATS)}),
    _typed("integer", {"minimum": NUMBERS, "maximum": NUMBERS}),
    _typed("integer", {"multipleOf": st.integers(1, 20), "maximum": NUMBERS}, exclusiveMinimum=NUMBERS),
    _typed("number", minimum=NUMBERS, exclusiveMaximum=NUMBERS),
    _typed("boolean"),
    _typed("null"),
    st.fixed_dictionaries({"enum": st.lists(SCALARS, min_size=1, max_size=5)}),
    st.fixed_dictionaries({"const": SCALARS}),
    st.fixed_dictionaries(
        {
            "type": st.lists(st.sampled_from(("string", "boolean", "null")), min_size=1, unique=True),
            "maxLength": LONGER,
        }
    ),
)


def _nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    several = st.lists(inner, min_size=1, max_size=3)
    fields = {"properties": st.dictionaries(NAMES, inner, min_size=1, max_size=5)}
    objects = _typed("object", fields, additionalProperties=st.just(False))
    return st.one_of(
        objects,
        objects.flatmap(lambda found: st.just({**found, "required": list(found["properties"])})),
        _typed("array", {"items": inner, "maxItems": st.integers(2, 4)}, minItems=st.integers(0, 2)),
        _typed("array", {"prefixItems": several, "items": st.just(False)}),
        several.map(lambda found: {"anyOf": found}),
    )


def _linked(part: Schema) -> Schema:
    """The schema of a linked list: it refers to itself, and to a definition."""
    fields = {"value": {"$ref": "#/$defs/part"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}
    shape = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {**shape, "$defs": {"part": part}}


ANY = st.recursive(LEAVES, _nested, max_leaves=6)
SCHEMAS = st.one_of(_nested(ANY), _nested(ANY), ANY.map(_linked))


def usable_schemas(count: int) -> tuple[list[Schema], list[str]]:
    """(``count`` different schemas that can be enforced, why others that came between them were refused)."""
    found: list[Schema] = []
    refused: list[str] = []

    @settings(max_examples=2 * count, database=None, derandomize=True, phases=[Phase.generate], deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(SCHEMAS)
    def draw(schema: Schema) -> None:
        if len(found) == count or schema in found:
            return
        try:
            check(json_grammar(schema))
            found.append(schema)
        except GrammarError as error:
            refused.append(str(error))

    draw()
    return found, refused
