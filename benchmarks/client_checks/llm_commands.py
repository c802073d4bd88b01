"""The command ``llm`` against the server; run by ``benchmarks.clients`` in an environment of its own."""

import json
import os
import subprocess
import tempfile

from benchmarks.client_checks.checks import LARGER, MODEL, capability, run_all

os.environ["LLM_USER_PATH"] = tempfile.mkdtemp(prefix="llm-")
TOOL = 'def weather(city: str) -> str:\n    "The weather in a city."\n    return "It is sunny in " + city\n'


def llm(*words: str) -> str:
    """What the command prints."""
    done = subprocess.run(["llm", *words], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    assert not done.returncode, done.stderr
    return done.stdout


@capability("llm PROMPT, streamed")
def prompt() -> None:
    assert llm("-m", MODEL, "-o", "max_tokens", "16", "Say hello.").strip()


@capability("llm PROMPT --no-stream, -s SYSTEM, -o seed")
def whole() -> None:
    assert llm("-m", MODEL, "--no-stream", "-s", "Be kind.", "-o", "max_tokens", "16", "-o", "seed", "1", "Hi.").strip()


@capability("llm -c (a conversation goes on)")
def conversation() -> None:
    assert llm("-c", "-o", "max_tokens", "16", "And again.").strip()


@capability("llm --schema")
def schema() -> None:
    shape = {"type": "object", "properties": {"polite": {"type": "boolean"}}, "required": ["polite"]}
    shape["additionalProperties"] = False
    found = llm("-m", MODEL, "--schema", json.dumps(shape), "-o", "max_tokens", "150", "Say hello.")
    assert isinstance(json.loads(found)["polite"], bool), found


@capability("llm --schema 'name, age int', SmolLM2")
def short_schema() -> None:
    found = json.loads(llm("-m", LARGER, "--schema", "name, age int", "-o", "max_tokens", "150", "Invent a dog."))
    assert isinstance(found["name"], str) and isinstance(found["age"], int), found


@capability("llm --functions (tools), SmolLM2")
def tools() -> None:
    found = llm("-m", LARGER, "--functions", TOOL, "--chain-limit", "2", "-o", "max_tokens", "100", "Say hello.")
    assert found.strip()


@capability("llm embed")
def embed() -> None:
    assert len(json.loads(llm("embed", "-m", "text-embedding-3-small", "-c", "Say hello."))) > 16


run_all()
