"""What goes wrong for one leaves the others alone, who leaves frees the place, and nothing is kept without need."""

import asyncio
import gc
import shutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file, save_file

from inference.lora import CONFIG, WEIGHTS
from registry import resolver, runs, versions
from registry.resolver import Resolver
from serve.engine import resolver as engine_resolver
from serve.engine.engine import Broken, Engine, UnknownModel
from serve.engine.scheduler import Scheduler
from tests.inference import tiny
from tests.processes import free_port
from tests.serve.conftest import GIB, PROMPTS, Shelf, all_at_once, asking, find_base, one, read, register, say, within

PROMPT = PROMPTS[0]


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch) -> None:
    monkeypatch.setattr(engine_resolver, "FRESH_S", 0.0)


@pytest.fixture
def small_engine() -> Iterator[Engine]:
    """With one place only."""
    made = Engine(find_base, GIB, most_rows=1)
    yield made
    made.close()


def expected(shelf: Shelf, reference: str, prompt: str = PROMPT, count: int = 10) -> list[str]:
    return shelf.spelled(shelf.alone(reference, shelf.ids(prompt), count))


async def outcomes(engine: Engine, *requests: Any) -> list[Any]:
    """A whole answer or an error for each."""
    return await asyncio.gather(*(say(engine, request) for request in requests), return_exceptions=True)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("nobody/1", "there is no version nobody/1"),
        ("small/99", "there is no version small/99"),
        ("small/1:99", "small/1 names no run, so it has no checkpoints"),
        ("", "names no version"),
        ("small/1:x", "names no version"),
        ("base:nowhere", "there is no base nowhere"),
        ("base:", "names no base model: write base:bundled"),
        ("../../etc/1", "names no version"),
    ],
)
def test_a_model_that_is_not_there_is_told_in_one_line(shelf, engine, reference, says):
    with pytest.raises(UnknownModel, match=says) as unknown:
        one(engine, asking(reference, PROMPT))
    assert "\n" not in str(unknown.value)


def test_a_version_deleted_while_it_is_loaded_is_gone_and_the_others_stay(shelf, engine):
    reference = register("passing", shelf.folders["small/1"])
    assert one(engine, asking(reference, PROMPT)).spelled == expected(shelf, "small/1")
    MlflowClient().delete_model_version("passing", "1")
    gone, stayed = within(lambda: outcomes(engine, asking(reference, PROMPT), asking("small/1", PROMPT)))
    assert isinstance(gone, UnknownModel) and str(gone).startswith("there is no version passing/1")
    assert stayed.spelled == expected(shelf, "small/1")


def test_a_base_or_files_that_can_not_be_had_are_named(shelf, engine, tmp_path):
    made = tiny.copy_with(shelf.folders["small/1"], tmp_path / "made", CONFIG, base_model_name_or_path="/nowhere")
    reference = register("baseless", made, base_model="old-name")
    with pytest.raises(UnknownModel, match="the base of baseless/1 is unavailable: there is no base old-name"):
        one(engine, asking(reference, PROMPT))
    folder = shutil.copytree(shelf.folders["small/1"], tmp_path / "gone")
    reference = register("gone", folder)
    shutil.rmtree(folder)
    with pytest.raises(UnknownModel, match="the files of gone/1 are missing"):
        one(engine, asking(reference, PROMPT))


def test_a_remote_version_is_not_answered_for(shelf, engine, tmp_path):
    run = runs.start("far", tmp_path)
    uri = versions.log_remote(run, "far-1", "far-0", "http://127.0.0.1:9/v1")
    versions.register("far", uri, run.run_id, {"kind": "openai"}, "")
    with pytest.raises(UnknownModel, match="far/1 is far-1, a model of another server: ask that one"):
        one(engine, asking("far/1", PROMPT))


def test_a_registry_that_is_down_stops_nobody_who_was_found_before(shelf, engine, monkeypatch):
    one(engine, asking("small/1", PROMPT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    requests = asking("small/1", PROMPT), asking("full/1:base", PROMPT), asking(f"base:{shelf.base}", PROMPT)
    known, unknown, plain = within(lambda: outcomes(engine, *requests))
    assert known.spelled == expected(shelf, "small/1")
    assert isinstance(unknown, runs.TrackingUnavailable)
    assert plain.spelled == expected(shelf, "small/1:base")


def test_a_crowd_asks_the_registry_once(shelf, engine, monkeypatch):
    looked, find = [], resolver.find
    monkeypatch.setattr(engine_resolver, "FRESH_S", 60.0)
    monkeypatch.setattr(resolver, "find", lambda *args: looked.append(args[0]) or find(*args))
    reference = register("busy", shelf.folders["small/1"])
    assert len({said.text for said in all_at_once(engine, [asking(reference, PROMPT)] * 8)}) == 1
    assert looked == [reference]


def test_a_model_that_breaks_down_fails_its_own_answers_only(shelf, engine, monkeypatch):
    one(engine, asking("full/1", PROMPT))  # now it is loaded
    [model] = {speaker.model for speaker in engine._pool.load([Resolver(find_base).place("full/1")]).loaded}
    forward, calls = model.forward, []

    def fail(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("out of memory")
        return forward(*args, **named)

    monkeypatch.setattr(model, "forward", fail)
    broken, also, stayed = within(
        lambda: outcomes(engine, asking("full/1", PROMPT), asking("full/1", PROMPTS[1]), asking("small/1", PROMPT))
    )
    for each in (broken, also):
        assert isinstance(each, Broken) and str(each) == "the model broke down: RuntimeError: out of memory"
    assert stayed.spelled == expected(shelf, "small/1")
    assert one(engine, asking("full/1", PROMPT)).spelled == expected(shelf, "full/1")


def test_a_newcomer_that_breaks_down_fails_alone(shelf, engine, monkeypatch):
    one(engine, asking("small/1", PROMPT))
    model = engine._pool.load([Resolver(find_base).place("small/1")]).loaded[0].model
    forward, poison = model.forward, shelf.encode(" boat")[0]

    def fail(*args: Any, **named: Any) -> Any:
        ids = named["input_ids"]
        if ids.shape[1] > 1 and (ids == poison).any():
            raise RuntimeError("this prompt is poison")
        return forward(*args, **named)

    monkeypatch.setattr(model, "forward", fail)
    requests = [asking(reference, prompt) for reference in ("small/1", "large/1") for prompt in PROMPTS]
    found = within(lambda: outcomes(engine, *requests))
    for request, said in zip(requests, found, strict=True):
        prompt = request.messages[0][1]
        if poison in shelf.ids(prompt):
            assert isinstance(said, Broken) and "poison" in str(said)
        else:
            assert said.spelled == expected(shelf, request.reference, prompt)
    assert len([said for said in found if isinstance(said, Broken)]) == 2


def test_weights_that_are_no_numbers_spoil_no_answer_beside_them(shelf, engine, tmp_path):
    folder = tiny.copy_with(shelf.folders["large/1"], tmp_path / "diverged", CONFIG)
    tensors = load_file(folder / WEIGHTS)
    save_file({name: torch.full_like(t, float("nan")) for name, t in tensors.items()}, folder / WEIGHTS)
    reference = register("diverged", folder)
    requests = [asking("small/1", PROMPT, 30), *[asking(reference, prompt) for prompt in PROMPTS] * 2]
    first, *spoiled = within(lambda: outcomes(engine, *requests))
    assert first.spelled == expected(shelf, "small/1", count=30)
    assert all(isinstance(each, Broken) and "diverged" in str(each) for each in spoiled)
    assert one(engine, asking("large/1", PROMPT)).spelled == expected(shelf, "large/1")


def test_what_nobody_foresaw_ends_the_answers_of_that_model_and_not_the_engine(shelf, engine, monkeypatch):
    def fail(self: Scheduler) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "step", fail)
        with pytest.raises(Broken, match="ZeroDivisionError: a bug"):
            one(engine, asking("small/1", PROMPT))
    assert one(engine, asking("small/1", PROMPT)).spelled == expected(shelf, "small/1")


def test_who_closes_an_answer_makes_room_for_the_next(shelf, small_engine):
    async def leave() -> Any:
        first = await small_engine.generate(asking("small/1", PROMPT, 200))
        await anext(first)
        second = asyncio.ensure_future(say(small_engine, asking("small/1", PROMPTS[1])))
        first.close()
        assert await anext(first, None) is None
        return await second, first.completion_tokens

    said, tokens = within(leave)
    assert said.spelled == expected(shelf, "small/1", PROMPTS[1])
    assert tokens < 200


def test_who_no_longer_waits_for_a_place_is_passed_over(shelf, small_engine):
    async def give_up() -> Any:
        first = await small_engine.generate(asking("small/1", PROMPT, 200))
        waiting = [asyncio.ensure_future(small_engine.generate(asking("large/1", PROMPT, 200))) for _ in range(3)]
        last = asyncio.ensure_future(say(small_engine, asking("small/1", PROMPTS[1])))
        await asyncio.sleep(0.05)
        for each in waiting:
            each.cancel()
        first.close()
        return await last

    assert within(give_up).spelled == expected(shelf, "small/1", PROMPTS[1])
    assert small_engine.stats()["answers"] == 1


def test_who_reads_slowly_gets_larger_pieces(shelf, engine):
    async def dawdle() -> list[str]:
        answer = await engine.generate(asking("small/1", PROMPT, 30))
        while answer.completion_tokens < 30:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        return [piece.text async for piece in answer]

    pieces = within(dawdle)
    assert len(pieces) == 1
    assert pieces[0] == shelf.text(shelf.alone("small/1", shelf.ids(PROMPT), 30))


def test_readers_in_loops_of_their_own_are_all_served(shelf, engine):
    found: dict[int, Any] = {}

    def ask(i: int) -> None:
        found[i] = one(engine, asking("small/1", PROMPTS[i % 4], 20))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i].spelled for i in range(6)] == [expected(shelf, "small/1", PROMPTS[i % 4], 20) for i in range(6)]


def test_closing_the_engine_tells_everyone(shelf):
    engine = Engine(find_base, GIB, most_rows=1)

    async def close() -> list[Any]:
        first = await engine.generate(asking("small/1", PROMPT, 200))
        reading = asyncio.ensure_future(read(first))
        waiting = asyncio.ensure_future(engine.generate(asking("small/1", PROMPT)))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        return await asyncio.gather(
            reading, waiting, engine.generate(asking("small/1", PROMPT)), return_exceptions=True
        )

    found = within(close)
    assert [(type(each), str(each)) for each in found] == [(Broken, "the server is stopping")] * 3


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_what_was_used_longest_ago_makes_room(shelf, tiny_base, tmp_path):
    full = [tiny.stirred(tiny_base, tmp_path / str(seed), seed) for seed in (5, 6, 7)]
    size = folder_bytes(full[0])
    engine = Engine(find_base, int(5 * size))  # a packed model takes twice its file
    try:
        for folder in full:
            one(engine, asking(f"base:{folder}", PROMPT))
        gc.collect()
        assert engine.loaded() == sorted(f"base:{folder}" for folder in full[1:])
        assert engine.stats()["weights_bytes"] <= 5 * size
    finally:
        engine.close()


def test_no_more_is_loaded_than_fits_while_others_are_in_use(shelf, tiny_base, tmp_path):
    full = [tiny.stirred(tiny_base, tmp_path / str(seed), seed) for seed in (5, 6, 7, 8)]
    engine = Engine(find_base, int(1.5 * folder_bytes(full[0])))
    most: list[int] = []

    async def come(folder: Path) -> Any:
        answer = await engine.generate(asking(f"base:{folder}", PROMPT, 30))
        most.append(len(engine.loaded()))
        return await read(answer)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(come(folder) for folder in full * 2))

    try:
        found = within(all_of_them)
    finally:
        engine.close()
    assert [said.spelled for said in found] == [
        shelf.spelled(tiny.greedy(folder, None, shelf.ids(PROMPT), 30)) for folder in full * 2
    ]
    assert max(most) <= 2  # the one in use, and one that is more than fits


def test_nothing_of_an_answer_is_kept_when_all_have_ended(shelf, engine):
    async def some() -> list[weakref.ref[Any]]:
        answers = [await engine.generate(asking("small/1", PROMPT, 5)) for _ in range(4)]
        kept = [weakref.ref(scheduler) for scheduler in engine._schedulers.values()]
        kept += [weakref.ref(sequence) for sequence in engine._active]
        for answer in answers:
            await read(answer)
        return kept

    kept = within(some)
    assert kept
    one(engine, asking("full/1", PROMPT, 1))  # by now the last turn of those is over
    gc.collect()
    assert [each() for each in kept] == [None] * len(kept)
    assert engine.stats()["running"] == 0


def test_memory_stays_flat_over_a_thousand_chats(shelf, engine, monkeypatch):
    monkeypatch.setattr(engine_resolver, "FRESH_S", 60.0)

    def chat(count: int) -> None:
        names = "small/1:base", "small/1", "large/1", "rslora/1"
        all_at_once(engine, [asking(names[i % len(names)], PROMPTS[i % 4], 1 + i % 3) for i in range(count)])

    def held() -> tuple[int, int]:
        gc.collect()
        things = gc.get_objects()
        return len(things), sum(t.numel() * t.element_size() for t in things if type(t) is torch.Tensor)

    chat(200)
    objects, tensors = held()
    for _ in range(5):
        chat(200)
    objects_now, tensors_now = held()
    assert objects_now < objects + 500  # half an object a chat would be more
    assert tensors_now <= tensors + 4096
