"""Libraries for constrained decoding side by side: time and memory for usual and for adversarial JSON schemas.

For every library and schema one process, ended after ``LIMIT_S`` seconds or at ``LIMIT_BYTES`` of address space: it
compiles the schema for SmolLM2's tokenizer, then takes up to ``MOST_TOKENS`` random tokens of those that are allowed
(a fixed seed) and measures the milliseconds a token for the mask and for taking it.

``llguidance`` is in ``requirements.txt``; ``pip install --no-deps xgrammar==0.2.8 apache-tvm-ffi==0.1.15.post2
outlines-core==0.2.14`` into another environment for the other two. Run ``python -m benchmarks.constrained_libraries``.
"""

import argparse
import importlib.util
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

LIBRARIES = ("llguidance", "xgrammar", "outlines_core")
LIMIT_S, LIMIT_BYTES, MOST_TOKENS, VOCABULARY = 30, 12 << 30, 200, 49152


def _person() -> dict[str, Any]:
    fields = {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


def _tree() -> dict[str, Any]:
    children = {"type": "array", "items": {"$ref": "#"}}
    fields = {"name": {"type": "string"}, "children": children}
    return {"type": "object", "properties": fields, "required": ["name", "children"], "additionalProperties": False}


def _optional(count: int) -> dict[str, Any]:
    fields = {f"field_{i}": {"type": "integer"} for i in range(count)}
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _doubling(levels: int) -> dict[str, Any]:
    """``$defs`` each of which names the next one twice: 2^levels copies where references are written out."""
    parts = {
        f"d{i}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/d{i + 1}"} for side in "lr"},
            "required": ["l", "r"],
            "additionalProperties": False,
        }
        for i in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": {"type": "string"}}}


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "person": _person,
    "recursive tree": _tree,
    "64 levels": lambda: _deep(64),
    "1,000 levels": lambda: _deep(1000),
    "enum of 10,000": lambda: {"enum": [f"value number {i}" for i in range(10_000)]},
    "enum of 100,000": lambda: {"enum": [f"value number {i}" for i in range(100_000)]},
    "200 optional fields": lambda: _optional(200),
    "2,000 optional fields": lambda: _optional(2000),
    "2^24 by references": lambda: _doubling(24),
    "maxLength 100,000": lambda: {"type": "string", "maxLength": 100_000},
    "minItems 100,000": lambda: {"type": "array", "items": {"type": "integer"}, "minItems": 100_000},
    "pattern (a|aa){1,500}b": lambda: {"type": "string", "pattern": "^(a|aa){1,500}b$"},
    "pattern of intervals": lambda: {"type": "string", "pattern": "^(.*a.{30}){5}$"},
    "reference to itself": lambda: {"$ref": "#"},
}  # fmt: skip


def _llguidance(tokenizer: Any, schema: str) -> Generator[Any, Any]:
    import llguidance.hf
    import numpy as np

    shared = llguidance.hf.from_tokenizer(tokenizer, n_vocab=VOCABULARY)
    yield None
    matcher = llguidance.LLMatcher(shared, llguidance.LLMatcher.grammar_from_json_schema(schema), log_level=0)
    _check(matcher.get_error())
    yield None
    while True:
        mask = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little").nonzero()[0]
        _check(matcher.get_error())
        token = yield mask
        if token == tokenizer.eos_token_id:
            return
        matcher.consume_token(token)
        _check(matcher.get_error())


def _xgrammar(tokenizer: Any, schema: str) -> Generator[Any, Any]:
    import numpy as np
    import xgrammar  # pyright: ignore[reportMissingImports]

    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=VOCABULARY)
    compiler = xgrammar.GrammarCompiler(info, max_threads=1)
    yield None
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(schema, strict_mode=True))
    yield None
    bits = xgrammar.allocate_token_bitmask(1, VOCABULARY)
    while True:
        matcher.fill_next_token_bitmask(bits)
        token = yield np.unpackbits(bits.numpy().view(np.uint8)[0], bitorder="little").nonzero()[0]
        if token == tokenizer.eos_token_id:
            return
        _check("" if matcher.accept_token(int(token)) else "a token of the mask was not taken")


def _outlines_core(tokenizer: Any, schema: str) -> Generator[Any, Any]:
    from outlines_core import Guide, Index, Vocabulary  # pyright: ignore[reportMissingImports]
    from outlines_core.json_schema import build_regex_from_schema  # pyright: ignore[reportMissingImports]

    from inference.detokenizer import Detokenizer

    words = Detokenizer(tokenizer)
    special = set(tokenizer.all_special_ids)
    ids: dict[bytes, list[int]] = {}
    for token in range(len(tokenizer)):
        if token not in special:
            ids.setdefault(words.token_bytes(token), []).append(token)
    vocabulary = Vocabulary(tokenizer.eos_token_id, ids)
    yield None
    guide = Guide(Index(build_regex_from_schema(schema), vocabulary))
    yield None
    while True:
        token = yield guide.get_tokens()
        if token == tokenizer.eos_token_id:
            return
        guide.advance(int(token))


def _check(error: str) -> None:
    if error:
        raise ValueError(error)


def measure(library: str, schema: str) -> dict[str, Any]:
    """Seconds to compile, tokens taken, and milliseconds a token: the median and the most."""
    from transformers import AutoTokenizer

    from train.base_model import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("smollm2").folder)
    run = {"llguidance": _llguidance, "xgrammar": _xgrammar, "outlines_core": _outlines_core}[library](
        tokenizer, schema
    )
    start = time.perf_counter()
    next(run)
    ready, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    next(run)
    compiled = time.perf_counter()
    chance, times = random.Random(0), []
    allowed = next(run)
    times.append(time.perf_counter() - compiled)
    while len(times) < MOST_TOKENS:
        if len(allowed) == 0:
            raise ValueError("no token is allowed")
        token = int(chance.choice(allowed))
        began = time.perf_counter()
        try:
            allowed = run.send(token)
        except StopIteration:
            break
        times.append(time.perf_counter() - began)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    times = sorted(1000 * each for each in times)
    return {"tokenizer_s": ready - start, "compile_s": compiled - ready, "tokens": len(times),
            "median_ms": times[len(times) // 2], "most_ms": times[-1], "grown_mib": grown}  # fmt: skip


def _in_a_process(library: str, name: str) -> str:
    command = [sys.executable, "-m", "benchmarks.constrained_libraries", "--library", library, "--schema", name]
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))  # noqa: E731
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, preexec_fn=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {LIMIT_S} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        return f"refused: {lines[-1][:110]}" if done.returncode > 0 else f"the process died ({done.returncode})"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return ("tokenizer {tokenizer_s:.2f} s, schema {compile_s:.3f} s, {tokens:3d} tokens, median {median_ms:.3f} ms, "
            "most {most_ms:.1f} ms, +{grown_mib:.0f} MiB").format(**found)  # fmt: skip


def main() -> None:
    """Print one line for each schema and library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES)
    parser.add_argument("--schema", choices=list(SCHEMAS))
    args = parser.parse_args()
    if args.library and args.schema:
        print(json.dumps(measure(args.library, json.dumps(SCHEMAS[args.schema]()))))
        return
    for name in [args.schema] if args.schema else SCHEMAS:
        for library in [args.library] if args.library else LIBRARIES:
            found = importlib.util.find_spec(library)
            print(f"{name:24s} {library:14s} {_in_a_process(library, name) if found else 'not installed'}", flush=True)


if __name__ == "__main__":
    main()
