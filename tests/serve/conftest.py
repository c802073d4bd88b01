"""A registry with bare folders as versions of one tiny base, an engine over it, and what each says alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from inference.detokenizer import Detokenizer
from inference.loading import load_tokenizer
from serve.engine.engine import AnswerStream, Engine, Piece, Request, Token
from tests.inference import tiny
from tests.processes import free_port
from tests.serve.served import Served

GIB = 1 << 30
PAGE_PORT = free_port()  # of web pages that may send requests
ADAPTERS = {
    "small": {"r": 2},
    "large": {"r": 8, "lora_alpha": 4, "target_modules": ["c_attn", "c_fc", "c_proj"]},
    "rslora": {"r": 3, "use_rslora": True, "target_modules": ["c_fc"]},
    "dora": {"use_dora": True},  # none that can be mixed
}
PROMPTS = ("Where is the boat?", "Go.", "Tell me of the sea, my old friend, and of the wind.", "Hello there, friend.")


def register(name: str, folder: Path, **tags: str) -> str:
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, str(folder), tags=tags)
    return f"{name}/{made.version}"


@dataclass
class Shelf:
    """``folders``: weights by reference, None for an adapter's base alone."""

    base: Path
    tokenizer: Any
    folders: dict[str, Path | None] = field(default_factory=dict)

    @property
    def detokenizer(self) -> Detokenizer:
        return Detokenizer(self.tokenizer)

    def ids(self, prompt: str, *turns: tuple[str, str]) -> list[int]:
        """The prompt's tokens, spelled out: what its template makes of it, each answer encoded on its own."""
        found: list[int] = []
        for asked, said in turns:
            found += self.encode(f"<|user|> {asked}<|assistant|>") + self.encode(f" {said}")
            found.append(self.tokenizer.eos_token_id)
        return found + self.encode(f"<|user|> {prompt}<|assistant|>")

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text)["input_ids"]

    def alone(self, reference: str, ids: Sequence[int], count: int) -> list[int]:
        """What the version says to ``ids`` by plain ``generate``, greedily, its end token left out."""
        folder, end = self.folders[reference], self.tokenizer.eos_token_id
        full = folder is not None and (folder / "model.safetensors").is_file()
        said = tiny.greedy(folder if full and folder else self.base, None if full else folder, ids, count, [end])
        return [token for token in said if token != end]

    def text(self, tokens: Sequence[int]) -> str:
        """The answer that ``tokens`` are, as it is shown."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True).lstrip()

    def spelled(self, tokens: Sequence[int]) -> list[str]:
        """Each token as it is shown: none of the blanks that the answer begins with."""
        found = [self.detokenizer.token_bytes(token).decode("utf-8", "backslashreplace") for token in tokens]
        for i, token in enumerate(tokens):
            found[i] = found[i].lstrip()
            if found[i] and not self.detokenizer.is_control(token):
                break
        return found


def find_base(name: str) -> Path:
    if not Path(name).is_dir():
        raise UserError(f"there is no base {name}")
    return Path(name)


@pytest.fixture(scope="session")
def weights(tiny_base, tmp_path_factory) -> dict[str, Path]:
    """Folders: ``base``, adapters of it, and ``full``, another model."""
    folder = tmp_path_factory.mktemp("weights")
    base = tiny.stirred(tiny_base, folder / "base", seed=1)
    made = {name: tiny.adapter(base, folder / name, at, **more) for at, (name, more) in enumerate(ADAPTERS.items())}
    return {"base": base, **made, "full": tiny.stirred(tiny_base, folder / "full", 2)}


@pytest.fixture(scope="module")
def shelf(weights, settle, tmp_path_factory) -> Iterator[Shelf]:
    with pytest.MonkeyPatch.context() as patch:
        settle(tmp_path_factory.mktemp("shelf"), patch)
        base = weights["base"]
        found = Shelf(base, load_tokenizer(base), {"small/1:base": None, f"base:{base}": None})
        for name in (*ADAPTERS, "full"):
            found.folders[register(name, weights[name], base_model=str(base))] = weights[name]
        yield found


@pytest.fixture(scope="module")
def engine(shelf) -> Iterator[Engine]:
    made = Engine(find_base, GIB)
    yield made
    made.close()


@dataclass(frozen=True)
class Said:
    """A whole answer."""

    text: str
    tokens: tuple[Token, ...]
    ended: str
    prompt_tokens: int
    completion_tokens: int
    pieces: tuple[Piece, ...]
    cached_tokens: int

    @property
    def spelled(self) -> list[str]:
        return [token.text for token in self.tokens]


async def read(answer: AnswerStream) -> Said:
    pieces = [piece async for piece in answer]
    assert [piece.ended for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    text, tokens = "".join(piece.text for piece in pieces), sum((piece.tokens for piece in pieces), ())
    counts = answer.prompt_tokens, answer.completion_tokens
    return Said(text, tokens, pieces[-1].ended, *counts, tuple(pieces), answer.cached_tokens)


async def say(engine: Engine, request: Request) -> Said:
    return await read(await engine.generate(request))


def all_at_once(engine: Engine, requests: Sequence[Request]) -> list[Said]:
    async def gather() -> list[Said]:
        return await asyncio.gather(*(say(engine, request) for request in requests))

    return within(gather)


def one(engine: Engine, request: Request) -> Said:
    return all_at_once(engine, [request])[0]


def within(work: Callable[[], Awaitable[Any]], limit_s: float = 240) -> Any:
    """The outcome of ``work``; a test that hangs fails."""

    async def limited() -> Any:
        return await asyncio.wait_for(work(), limit_s)

    return asyncio.run(limited())


def asking(reference: str, prompt: str, max_tokens: int | None = 10, **more: Any) -> Request:
    """A greedy request of one message, with the log-probabilities that tell the tokens apart."""
    settings = {"temperature": 0.0, "top_logprobs": 0, **more}
    return Request(reference, (("user", prompt),), max_tokens, **settings)


@pytest.fixture(scope="session")
def serve(launcher, empty_store, weights, tmp_path_factory):
    """``serve(setting=value, ...)`` starts a server on a store, a database and a port of its own."""

    def serve(**flags: Any) -> Served:
        folder = tmp_path_factory.mktemp("served")
        (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
        settings = {"base_model": weights["base"], **flags}
        return Served(launcher, folder, f"sqlite:///{folder / 'mlflow.db'}", **settings).start()

    return serve


@pytest.fixture(scope="session")
def served(serve) -> Served:
    """One server for all who leave it as it was; more files, jobs and models may be there than a test's own."""
    return serve(cors=f"http://127.0.0.1:{PAGE_PORT}")


@pytest.fixture
def client(served) -> openai.OpenAI:
    """The SDK in strict mode, at ``served``."""
    return served.client()
