"""Sessions of Tinker's SDK: idle ones end; models, waiting requests and snapshots have limits."""

import asyncio
import gc
import weakref

import numpy as np
import pytest

from data.errors import UserError
from serve.config import ServeConfig
from serve.errors import RequestError
from serve.model_names import ModelNames
from serve.training import tinker_futures, tinker_samplers
from serve.training.tinker_models import LoraSettings
from serve.training.tinker_sessions import IDLE_S, TinkerSessions, request_id
from tests.serve.conftest import within
from train.token_losses import Datum

LORA = LoraSettings(rank=2, seed=1)
DATA = [Datum(np.array([5, 17, 9]), np.array([17, 9, 30]))]


class Engine:
    """Keeps the locations that it is told of."""

    def __init__(self):
        self.known = {}

    def add(self, location):
        self.known[location.info.reference] = location

    def remove(self, reference):
        self.known.pop(reference, None)


class Clock:
    s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(weights, engine, clock, tmp_path):
    config = ServeConfig(base_model=str(weights["base"]), tinker_models=2)
    made = TinkerSessions(config, ModelNames(str(weights["base"]), {}), engine, tmp_path, clock)
    yield made
    made.close()


async def made(sessions, session, number=0):
    """A model of the session, once it is there."""
    model_id = sessions.create_model("lab", session.id, number, "gpt-4o", LORA, {})
    reply = await sessions.futures.result(request_id(model_id, 0), 60)
    assert reply == {"model_id": model_id, "type": "create_model"}
    return model_id


def test_a_session_that_sends_nothing_ends_and_its_models_are_freed(sessions, engine, clock):
    async def run():
        session = sessions.create("lab")
        model_id = await made(sessions, session)
        model = weakref.ref(sessions.model("lab", model_id))
        sampler = session.samplers.snapshot(model(), 0)
        clock.s = IDLE_S - 1
        sessions.session("lab", session.id)  # a heartbeat
        clock.s = 2 * IDLE_S - 2
        sessions.end_idle()
        assert sessions.session("lab", session.id) and list(engine.known) == [sampler.reference]
        clock.s = 4 * IDLE_S
        sessions.end_idle()
        del session
        gc.collect()
        assert model() is None and not engine.known and not sampler.folder.exists()
        for call in (
            lambda: sessions.session("lab", model_id.partition(":")[0]),
            lambda: sessions.model("lab", model_id),
            lambda: sessions.sampler("lab", sampler.id),
            lambda: sessions.submit("lab", model_id, 1, 0, lambda model: {}),
        ):
            with pytest.raises(RequestError, match="create_training_client_from_state_with_optimizer") as refusal:
                call()
            assert refusal.value.status == 404

    within(run)


def test_another_project_finds_no_session_no_model_and_no_sampler(sessions):
    async def run():
        session = sessions.create("lab")
        model_id = await made(sessions, session)
        sampler = session.samplers.of_base(0, "gpt-4o", "x")
        for call in (
            lambda: sessions.session("other", session.id),
            lambda: sessions.model("other", model_id),
            lambda: sessions.sampler("other", sampler.id),
        ):
            with pytest.raises(RequestError):
                call()

    within(run)


def test_one_model_more_than_may_be_is_refused_until_a_session_ends(sessions):
    async def run():
        first, second = sessions.create("lab"), sessions.create("lab")
        await made(sessions, first)
        await made(sessions, second)
        with pytest.raises(RequestError, match="2 models are trained already, and tinker_models is 2"):
            sessions.create_model("lab", second.id, 1, "gpt-4o", LORA, {})
        sessions.finish("lab", first.id)
        await made(sessions, second, 1)

    within(run)


def test_requests_run_in_their_order_once_each_and_a_failure_is_its_own(sessions):
    async def run():
        session, seen = sessions.create("lab"), []
        model_id = await made(sessions, session)

        def fails(model):
            raise UserError("wrong\nthing")

        for number in (1, 2, 2, 3):
            sessions.submit("lab", model_id, number, 0, lambda model, n=number: seen.append(n) or {"n": n})
        sessions.submit("lab", model_id, 4, 0, fails)
        sessions.submit("lab", model_id, 5, 0, lambda model: 1 / 0)
        replies = [await sessions.futures.result(request_id(model_id, n), 10) for n in (3, 4, 5)]
        assert seen == [1, 2, 3] and replies[0] == {"n": 3}
        assert replies[1] == {"error": "wrong thing", "category": "user"}
        assert replies[2]["category"] == "server" and "division" in replies[2]["error"]
        with pytest.raises(RequestError, match="seq_id must be at least 1"):
            sessions.submit("lab", model_id, 0, 0, fails)

    within(run)


def test_waiting_requests_and_kept_results_are_bounded(sessions, monkeypatch):
    async def run():
        session = sessions.create("lab")
        monkeypatch.setattr(tinker_futures, "PENDING_BYTES", 100)
        gate = asyncio.Event()

        async def waits():
            await gate.wait()
            return b"x" * 60

        futures = sessions.futures
        assert futures.start("a", session.id, 90, waits) and not futures.start("a", session.id, 90, waits)
        with pytest.raises(RequestError, match="1 requests wait already") as refusal:
            futures.start("b", session.id, 20, waits)
        assert (refusal.value.status, await futures.result("a", 0.01)) == (429, None)
        monkeypatch.setattr(tinker_futures, "RESULT_BYTES", 100)
        gate.set()
        assert len(await futures.result("a", 10)) == 60
        assert futures.start("b", session.id, 20, waits) and len(await futures.result("b", 10)) == 60
        assert futures.session_of("a") is None and futures.session_of("b") == session.id

    within(run)


def test_of_one_model_the_newest_snapshots_are_kept_each_with_its_own_weights(sessions, engine, monkeypatch):
    monkeypatch.setattr(tinker_samplers, "SNAPSHOTS", 2)

    async def run():
        session = sessions.create("lab")
        model = sessions.model("lab", await made(sessions, session))
        found = []
        for number in range(3):
            model.forward_backward(DATA, "cross_entropy", {}, False)
            model.trainer.optim_step(tinker_adam())
            found.append(session.samplers.snapshot(model, number))
        assert list(engine.known) == [each.reference for each in found[1:]]
        assert len({location.info.digest for location in engine.known.values()}) == 2
        assert [each.folder.exists() for each in found] == [False, True, True]
        with pytest.raises(RequestError, match="the newest 2 without a name are kept"):
            sessions.sampler("lab", found[0].id)

    within(run)


def tinker_adam():
    from train.stepwise import AdamSettings

    return AdamSettings(lr=1e-2)
