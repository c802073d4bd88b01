"""``response_format``: the form of an answer, as the grammar that constrains its tokens."""

import re
from collections.abc import Mapping
from typing import Any

from inference.constraints import ANY_OBJECT, GrammarError, json_grammar
from serve.errors import RequestError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def grammar_of(response_format: Mapping[str, Any] | None, param: str = "response_format") -> str | None:
    """The grammar of the answers that ``response_format`` asks for; None for any text.

    A schema is enforced whether ``strict`` is set or not.

    Args:
        param: the field of the request that holds it.

    Raises:
        RequestError: it has another shape than OpenAI's; ``param`` names the field.
    """
    kind = (response_format or {"type": "text"}).get("type")
    if kind == "text":
        return None
    if kind == "json_object" and response_format is not None:
        return _grammar(response_format.get("schema", ANY_OBJECT), f"{param}.schema")  # a schema, as llama.cpp takes it
    if kind != "json_schema" or response_format is None:
        raise RequestError(
            f"Invalid value for '{param}.type': expected text, json_object or json_schema", param=f"{param}.type"
        )
    return schema_grammar(response_format.get("json_schema"), f"{param}.json_schema")


def schema_grammar(described: Any, param: str) -> str:
    """The grammar of OpenAI's object ``{"name": ..., "schema": ..., "strict": ...}``, which is in the field ``param``.

    Raises:
        RequestError: it has another shape.
    """
    if not isinstance(described, dict):
        raise RequestError(f"Missing required parameter: '{param}'", param=param, code="missing_required_parameter")
    if not isinstance(described.get("name"), str) or not NAME.fullmatch(described["name"]):
        raise RequestError(
            f"Invalid value for '{param}.name': expected 1 to 64 of a-z, A-Z, 0-9, _, - and .", param=f"{param}.name"
        )
    return _grammar(described.get("schema", {}), f"{param}.schema")


def _grammar(schema: Any, param: str) -> str:
    try:
        return json_grammar(schema)
    except GrammarError as error:
        raise RequestError(f"Invalid value for '{param}': {error}", param=param) from error
