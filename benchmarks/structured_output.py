"""Structured output on SmolLM2: what it costs in tokens a second, and whether every answer fits its schema.

Run from the project's root::

    python -m benchmarks.structured_output [--rounds 5] [--schemas 300]

Cost: ``ROWS`` chats at once are answered freely and by a schema in turns, with the same number of tokens each; the
ratio of the tokens a second is the median over the rounds, of which the first warms up. In a mixed batch every second
one is free.

Fit: each drawn schema (``tests/serve/json_schemas.py``) is answered once, sampled at temperature .7, sixteen at a time.
An answer that ended by itself has to parse, and to fit by the package jsonschema with formats. ``--random`` takes
random allowed tokens in place of the model's, which is much harsher and needs no model.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import jsonschema
from transformers import AutoTokenizer

from inference.constraints import GrammarCompiler, json_grammar
from inference.detokenizer import Detokenizer
from serve.engine.engine import Engine, Request
from serve.engine.types import BadRequest
from tests.serve.json_schemas import usable_schemas
from train.base_model import resolve

ROWS, TOKENS, AT_ONCE, MOST_TOKENS = 8, 24, 16, 1000
BOUND, MOST_RANDOM = 0.75, 400
CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
PEOPLE = {
    "type": "array",
    "minItems": 1000,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "email": {"type": "string", "format": "email"},
            "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}},
        },
        "required": ["name", "age", "email", "tags"],
        "additionalProperties": False,
    },
}


def request(prompt: str, grammar: str | None, max_tokens: int, **settings: Any) -> Request:
    """A request to SmolLM2 of one message."""
    return Request("base:smollm2", (("user", prompt),), max_tokens, grammar=grammar, **settings)


async def answer(engine: Engine, asked: Request) -> tuple[str, str, int]:
    """(text, how it ended, tokens) of the answer to ``asked``."""
    stream = await engine.generate(asked)
    pieces = [piece async for piece in stream]
    return "".join(piece.text for piece in pieces), pieces[-1].ended, stream.completion_tokens


async def rate(engine: Engine, grammars: Sequence[str | None], end: int) -> float:
    """Tokens a second of answers of ``TOKENS`` tokens, one for each of ``grammars``, all at once."""
    start = time.perf_counter()
    asked = [
        request(f"List many people, number {i} first.", grammar, TOKENS, temperature=0.0, logit_bias={end: -100.0})
        for i, grammar in enumerate(grammars)
    ]
    found = await asyncio.gather(*(answer(engine, each) for each in asked))
    return sum(tokens for _, _, tokens in found) / (time.perf_counter() - start)


async def cost(engine: Engine, rounds: int, end: int) -> bool:
    """Print the ratios of tokens a second; returns whether the bound is met."""
    grammar, met = json_grammar(PEOPLE), True
    for name, rows in (("1 chat", 1), (f"{ROWS} chats", ROWS)):
        kinds: dict[str, list[str | None]] = {"free": [None] * rows, "by schema": [grammar] * rows}
        if rows > 1:
            kinds["every second by schema"] = [grammar if i % 2 else None for i in range(rows)]
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds + 1):
            for kind, grammars in kinds.items():
                rates[kind].append(await rate(engine, grammars, end))
        for kind in list(kinds)[1:]:
            ratios = [a / b for a, b in zip(rates[kind][1:], rates["free"][1:], strict=True)]
            met = met and median(ratios) >= BOUND
            own, free = median(rates[kind][1:]), median(rates["free"][1:])
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            print(
                f"{name}, {kind}: {own:.1f} tokens/s, free {free:.1f}, ratio {median(ratios):.3f} ({spread})",
                flush=True,
            )
    return met


async def fit(engine: Engine, schemas: Sequence[dict[str, Any]]) -> bool:
    """Answer each schema once; returns whether every answer fits."""
    room, counts, tokens = asyncio.Semaphore(AT_ONCE), dict.fromkeys(("fit", "cut", "wrong", "refused"), 0), 0

    async def one(i: int, schema: dict[str, Any]) -> None:
        nonlocal tokens
        async with room:
            prompt = f"Answer with a short JSON value for this schema: {json.dumps(schema)[:600]}"
            try:
                text, ended, made = await answer(
                    engine, request(prompt, json_grammar(schema), MOST_TOKENS, temperature=0.7, seed=i)
                )
            except BadRequest as error:
                counts["refused"] += 1
                print(f"refused: {json.dumps(schema)[:200]}: {error}")
                return
        tokens += made
        if ended == "length":
            counts["cut"] += 1
            print(f"cut after {made} tokens: {json.dumps(schema)[:200]}: {text[-120:]!r}", flush=True)
            return
        counts["fit" if _fits(text, schema) else "wrong"] += 1
        if counts["fit"] % 10 == 0:  # a run that is ended before its time has these figures at least
            print(f"so far: {counts}, {tokens} tokens in {time.perf_counter() - start:.0f} s", flush=True)

    start = time.perf_counter()
    await asyncio.gather(*(one(i, schema) for i, schema in enumerate(schemas)))
    print(f"{len(schemas)} schemas: {counts}, {tokens} tokens in {time.perf_counter() - start:.0f} s", flush=True)
    return counts["fit"] == len(schemas)


def random_fit(schemas: Sequence[dict[str, Any]], tokenizer: Any) -> bool:
    """Write a random allowed token after the other for each schema; returns whether each text that is complete fits."""
    compiler, words, end = GrammarCompiler(tokenizer), Detokenizer(tokenizer), tokenizer.eos_token_id
    chance, counts = random.Random(0), dict.fromkeys(("fit", "cut", "wrong"), 0)
    for schema in schemas:
        constraint, raw = compiler.constraint(json_grammar(schema), frozenset({end}), len(tokenizer)), b""
        for _ in range(MOST_RANDOM):
            allowed = constraint.allowed().nonzero()[:, 0]
            token = int(allowed[chance.randrange(len(allowed))])
            raw += b"" if token == end else words.token_bytes(token)
            if token == end or constraint.advance(token):
                is_fit = _fits(raw.decode(), schema)
                counts["fit" if is_fit else "wrong"] += 1
                break
        else:
            counts["cut"] += 1
    print(f"{len(schemas)} schemas, random allowed tokens, at most {MOST_RANDOM}: {counts}", flush=True)
    return not counts["wrong"]


def _fits(text: str, schema: dict[str, Any]) -> bool:
    """Whether ``text`` is JSON that fits ``schema``; prints what is wrong."""
    try:
        jsonschema.Draft202012Validator(schema, format_checker=CHECKER).validate(json.loads(text))
    except ValueError as error:
        print(f"does not parse: {json.dumps(schema)[:300]}: {text[:200]!r}: {error}", flush=True)
    except jsonschema.ValidationError as error:
        print(f"does not fit: {json.dumps(schema)[:300]}: {text[:200]!r}: {error.message[:200]}", flush=True)
    else:
        return True
    return False


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of the cost; 0 leaves it out")
    parser.add_argument("--schemas", type=int, default=300)
    parser.add_argument(
        "--part", type=int, choices=range(4), default=0, help="a third of the schemas, 1 to 3; 0 is all"
    )
    parser.add_argument("--random", action="store_true", help="no model: random allowed tokens for each schema")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(resolve("smollm2").folder)
    if args.random:
        sys.exit(0 if random_fit(usable_schemas(args.schemas)[0], tokenizer) else 1)
    engine = Engine(lambda name: resolve(name).folder, 4 << 30)
    met = not args.rounds or asyncio.run(cost(engine, args.rounds, tokenizer.eos_token_id))
    if args.schemas:
        schemas, refused = usable_schemas(args.schemas)
        print(f"{len(schemas)} schemas drawn, {len(refused)} between them refused", flush=True)
        met = asyncio.run(fit(engine, schemas[args.part - 1 :: 3] if args.part else schemas)) and met
    engine.close()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
