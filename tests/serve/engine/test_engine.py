"""Whoever is asked at the same time, every answer is what its version says alone."""

import asyncio
import random
from typing import Any

import pytest

from inference.model_pool import ModelPool
from inference.transcript import Sampling
from registry.resolver import Resolver
from serve.engine.engine import Engine, Request
from tests.inference import tiny
from tests.serve.conftest import GIB, PROMPTS, all_at_once, asking, find_base, one, read, within


def test_all_versions_at_once_answer_token_for_token_as_each_does_alone(shelf, engine):
    asked = [(reference, prompt) for reference in shelf.folders for prompt in PROMPTS]
    found = all_at_once(engine, [asking(*each) for each in asked])
    for (reference, prompt), said in zip(asked, found, strict=True):
        tokens = shelf.alone(reference, shelf.ids(prompt), 10)
        assert said.spelled == shelf.spelled(tokens), (reference, prompt)
        assert said.text == shelf.text(tokens)
        assert (said.ended, said.completion_tokens, said.prompt_tokens) == ("length", 10, len(shelf.ids(prompt)))
    assert len({said.text for said in found[:: len(PROMPTS)]}) == len(shelf.folders) - 1  # a base has two names


async def come_and_go(engine: Engine, asked: list[tuple[Request, int | None]], luck: random.Random) -> list[Any]:
    """Ask each after a few others' tokens; close the answer after so many pieces where a number is given."""

    async def come(request: Request, leave: int | None, after: float) -> Any:
        await asyncio.sleep(after)
        answer = await engine.generate(request)
        if leave is None:
            return await read(answer)
        for _ in range(leave):
            await anext(answer, None)
        answer.close()
        return None

    return await asyncio.gather(*(come(*each, luck.random() / 10) for each in asked))


@pytest.mark.parametrize("schedule", range(4))
def test_rows_that_come_and_go_leave_the_others_as_they_were(shelf, engine, schedule):
    luck = random.Random(schedule)
    words = "the boat and sea my friend tell me of where is a wind".split()
    asked = []
    for _ in range(60):
        prompt = " ".join(luck.choices(words, k=luck.choice((1, 3, 8, 40))))
        request = asking(luck.choice(list(shelf.folders)), prompt, luck.choice((1, 2, 5, 20)))
        asked.append((request, luck.choice((None, None, None, 0, 3))))
    found = within(lambda: come_and_go(engine, asked, luck))
    for (request, _), said in zip(asked, found, strict=True):
        if said is not None:
            prompt = request.messages[0][1]
            tokens = shelf.alone(request.reference, shelf.ids(prompt), request.max_tokens)
            assert said.spelled == shelf.spelled(tokens), request


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_models_with_rotary_positions_are_exact_too(shelf, engine, tiny_base, tmp_path, kind):
    folder = tiny.rope(kind, tiny_base, tmp_path / kind)
    asked = [asking(f"base:{folder}", prompt, count) for prompt, count in zip(PROMPTS, (3, 9, 12, 6), strict=True)]
    found = all_at_once(engine, asked)
    for request, said in zip(asked, found, strict=True):
        tokens = tiny.greedy(folder, None, shelf.ids(request.messages[0][1]), request.max_tokens)
        assert said.spelled == shelf.spelled(tokens)


HOT = {"temperature": 1.2, "top_p": 0.9, "seed": 11}


def test_a_seed_says_the_same_alone_and_in_a_crowd(shelf, engine):
    asked = [asking(reference, prompt, 12, **HOT) for reference in shelf.folders for prompt in PROMPTS[:2]]
    crowd = [asking("small/1", PROMPTS[2], 7, temperature=0.5, seed=i, top_p=1.0) for i in range(6)]
    alone = [one(engine, request).text for request in asked]
    together = [said.text for said in all_at_once(engine, [*crowd, *asked])[len(crowd) :]]
    assert together == alone
    assert one(engine, asking("small/1", PROMPTS[0], 12, **{**HOT, "seed": 12})).text not in alone


def test_without_a_seed_two_answers_differ(engine):
    request = asking("small/1", PROMPTS[0], 20, temperature=1.0)
    assert one(engine, request).text != one(engine, request).text


def test_a_seed_says_what_the_chat_page_says(shelf, engine):
    panel = ModelPool(Resolver(find_base).look).open(["large/1"])
    sampling = Sampling(HOT["temperature"], HOT["top_p"], 12, HOT["seed"])
    *_, first = panel.generate(PROMPTS[0], sampling)
    *_, second = panel.generate(PROMPTS[1], sampling, [first])
    assert one(engine, asking("large/1", PROMPTS[0], 12, **HOT)).text.strip() == first.replies[0].text
    messages = (("user", PROMPTS[0]), ("assistant", first.replies[0].text), ("user", PROMPTS[1]))
    said = one(engine, Request("large/1", messages, 12, **HOT))
    assert said.text.strip() == second.replies[0].text


def test_a_queue_beyond_the_rows_waits_in_order(shelf):
    engine = Engine(find_base, GIB, most_rows=2)
    order = []

    async def come(i: int) -> str:
        answer = await engine.generate(asking("small/1", PROMPTS[i % 4], 5))
        order.append(i)
        assert engine.stats()["running"] <= 2
        return (await read(answer)).text

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(come(i) for i in range(12)))

    try:
        found = within(all_of_them)
    finally:
        engine.close()
    assert order == list(range(12))
    alone = [shelf.alone("small/1", shelf.ids(prompt), 5) for prompt in PROMPTS]
    assert found == [shelf.text(alone[i % 4]) for i in range(12)]
