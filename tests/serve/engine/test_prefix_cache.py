"""What a model has read is not read again: the answers are the same, and fewer tokens are read."""

import gc
import random

import pytest
import torch

from inference.batch import BatchRow
from inference.kv_cache import ReadTokens
from inference.lora import LoraAdapter
from serve.engine import scheduler
from serve.engine.prefix_cache import PrefixCache
from tests.serve.conftest import all_at_once, asking, one
from tests.serve.engine.test_engine import come_and_go, within

BEGINNING = "my friend and the boat, the wind and the sea, the old man and where is the harbour of the town"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(scheduler, "CHUNK_TOKENS", (8, 8))
    monkeypatch.setattr(scheduler, "KNOWN", 1)


def test_prompts_that_begin_alike_are_read_together_only_once(shelf, engine):
    prompts = [f"{BEGINNING} {end}" for end in ("fish", "a ship", "rain at night", "two gulls", "salt")]
    found = all_at_once(engine, [asking("small/1", prompt, 6) for prompt in prompts])
    for prompt, said in zip(prompts, found, strict=True):
        assert said.spelled == shelf.spelled(shelf.alone("small/1", shelf.ids(prompt), 6)), prompt
    known = sorted(said.cached_tokens for said in found)
    assert known[0] == 0 and min(known[1:]) > 8


def test_a_conversation_goes_on_from_what_was_read_and_written(shelf, engine):
    one(engine, asking("small/1:base", BEGINNING, 4))
    again = one(engine, asking("small/1:base", f"{BEGINNING} and more", 4))
    assert again.spelled == shelf.spelled(shelf.alone("small/1:base", shelf.ids(f"{BEGINNING} and more"), 4))
    assert 8 < again.cached_tokens < again.prompt_tokens


def test_what_one_version_has_read_is_unknown_to_another(shelf, engine):
    prompt = f"now {BEGINNING}"
    one(engine, asking("small/1", prompt, 4))
    other = one(engine, asking("small/1:base", prompt, 4))
    assert other.cached_tokens == 0
    assert other.spelled == shelf.spelled(shelf.alone("small/1:base", shelf.ids(prompt), 4))


@pytest.mark.parametrize("schedule", range(2))
def test_rows_that_share_beginnings_and_come_and_go_are_exact(shelf, engine, schedule):
    draw = random.Random(schedule)
    asked = []
    for _ in range(30):
        words = BEGINNING.split()[: draw.choice((3, 12, 20))] + draw.choices(
            ["fish", "rain", "salt"], k=draw.randrange(4)
        )
        request = asking(draw.choice(list(shelf.folders)), " ".join(words), draw.choice((1, 5, 12)))
        asked.append((request, draw.choice((None, None, 2))))
    found = within(lambda: come_and_go(engine, asked, draw))
    for (request, _), said in zip(asked, found, strict=True):
        if said is not None:
            tokens = shelf.alone(request.reference, shelf.ids(request.messages[0][1]), request.max_tokens)
            assert said.spelled == shelf.spelled(tokens), request


def read_tokens(count: int) -> ReadTokens:
    return ReadTokens([(torch.zeros(1, count, 4), torch.zeros(1, count, 4))], count)


def row(prompt: list[int], adapter: LoraAdapter | None = None) -> BatchRow:
    return BatchRow(None, adapter, prompt, set())


def test_the_cache_keeps_what_was_used_last_within_its_capacity():
    cache = PrefixCache(capacity_bytes=read_tokens(25).bytes)
    cache.keep(row([]), range(10), read_tokens(10))
    cache.keep(row([]), range(50, 60), read_tokens(10))
    found = cache.find(row(list(range(9))))
    assert found is not None and found.count == 8  # one token at least is to be read
    cache.keep(row([]), range(70, 80), read_tokens(10))
    assert cache.find(row([50, 51, 52])) is None
    assert cache.find(row(list(range(5)))) is not None
    assert cache.bytes <= cache.capacity_bytes


def test_a_longer_sequence_takes_the_place_of_its_beginning():
    cache = PrefixCache()
    cache.keep(row([]), range(5), read_tokens(5))
    cache.keep(row([]), range(9), read_tokens(9))
    assert cache.bytes == read_tokens(9).bytes


def test_what_an_adapter_has_read_goes_with_it():
    cache = PrefixCache()
    adapter = LoraAdapter({}, 1.0, 0)
    cache.keep(row([], adapter), range(5), read_tokens(5))
    assert cache.find(row([0, 1, 2], adapter)) is not None
    assert cache.find(row([0, 1, 2])) is None
    del adapter
    gc.collect()
    assert cache.find(row([0, 1, 2])) is None
    cache.keep(row([]), range(30, 34), read_tokens(4))
    assert cache.bytes == read_tokens(4).bytes
