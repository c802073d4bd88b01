"""Prompts that are continued without a chat template, and the log-probabilities of what is read."""

import pytest
import torch

from serve.engine import scheduler
from serve.engine.engine import Engine, Request
from tests.inference import tiny
from tests.serve.conftest import GIB, find_base, within


def scored(engine, reference, ids, **settings):
    """The tokens of the prompt as the engine scores them."""

    async def read():
        answer = await engine.generate(Request(reference, (), prompt=tuple(ids), prompt_logprobs=0, **settings))
        async for _ in answer:
            pass
        return answer.prompt

    return within(read)


@pytest.mark.parametrize("columns", [7, 512])
def test_a_prompt_is_scored_over_all_the_chunks_in_which_it_is_read(shelf, monkeypatch, columns):
    monkeypatch.setattr(scheduler, "CHUNK_TOKENS", (columns, columns))
    ids = (shelf.encode("Tell me of the sea, my old friend, and of the wind.") * 4)[:60]
    engine = Engine(find_base, GIB)
    try:
        for reference in ("small/1", f"base:{shelf.base}"):
            with torch.no_grad():
                logits = tiny.plain(shelf.base, shelf.folders[reference])(torch.tensor([ids])).logits[0, :-1]
            wanted = logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
            found = scored(engine, reference, ids, max_tokens=0)
            assert [token.id for token in found] == ids and found[0].logprob is None
            assert [token.logprob for token in found[1:]] == pytest.approx(wanted, abs=1e-4)
    finally:
        engine.close()
