"""The models in a process of their own: they say what they say here, and the page outlives them."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from data.errors import UserError
from demo.model_process import ENDED, STOP, ModelProcess, PoolSettings
from inference.transcript import Exchange, Sampling
from tests.processes import ROOT, wait_until
from tests.small_version import register_adapter

SIDES = ("pirate/1:base", "pirate/1")
SAMPLING = Sampling(max_new_tokens=12)
PROMPT = "Where is the boat?"
ROOM = PoolSettings(1 << 30, threads=1)


@pytest.fixture(scope="module")
def pool(tiny_base, settle, tmp_path_factory):
    """The models in this process, over a store that has pirate/1."""
    from inference.model_pool import ModelPool
    from registry.resolver import Resolver

    folder = tmp_path_factory.mktemp("backstage")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        register_adapter(tiny_base, folder)
        yield ModelPool(Resolver(Path).look)


@pytest.fixture(scope="module")
def models(pool):
    made = ModelProcess(ROOM, pool.look)
    yield made
    made.close()


def last(cast, prompt=PROMPT, **more) -> Exchange:
    *_, exchange = cast.generate(prompt, SAMPLING, **more)
    return exchange


def said(exchange):
    return [reply.token_ids for reply in exchange.replies]


def test_it_says_what_the_models_in_this_process_say_over_two_turns(pool, models):
    here, there = pool.open(SIDES), models.open(SIDES)
    assert (there.models, there.way, there.remote) == (here.models, here.way, here.remote)
    one, other = last(here), last(there)
    assert said(one) == said(other) and one.divergences == other.divergences
    assert said(last(here, "And now?", history=[one])) == said(last(there, "And now?", history=[other]))


def test_answers_grow(models):
    lengths = [len(exchange.replies[0].token_ids) for exchange in models.open(SIDES).generate(PROMPT, SAMPLING)]
    assert len(lengths) > 2 and lengths == sorted(lengths)


def test_what_can_not_be_had_says_why_and_the_other_side_answers(models):
    cast = models.open(["pirate/1", "nobody/1"])
    assert [voice.kind for voice in cast.models] == ["lora", ""]
    exchange = last(cast)
    assert exchange.replies[1].ended == "error" and "nobody" in exchange.replies[1].error
    assert exchange.replies[0].token_ids


def test_what_is_refused_there_is_refused_here_in_the_same_words(pool, models):
    wrong = [last(pool.open(SIDES))]
    with pytest.raises(UserError, match="the history is of other models than these 1"):
        last(models.open(["pirate/1"]), history=wrong)


def test_stop_ends_an_answer_that_grows(models):
    growing = []
    for exchange in models.open(SIDES).generate(PROMPT, Sampling(max_new_tokens=400), stop=lambda: len(growing) > 1):
        growing.append(exchange)
    assert {reply.ended for reply in growing[-1].replies} == {"stopped"}


def test_who_leaves_in_the_middle_holds_nobody_up(models):
    leaving = models.open(SIDES).generate(PROMPT, Sampling(max_new_tokens=400))
    next(leaving)
    leaving.close()
    assert last(models.open(SIDES)).replies[0].ended


def test_several_ask_at_once_and_each_gets_its_own_answer(models):
    prompts = [PROMPT, "Tell me of the sea.", "Go.", "Who are you?"]
    alone = [said(last(models.open(SIDES), prompt)) for prompt in prompts]
    with ThreadPoolExecutor(4) as askers:
        together = list(askers.map(lambda prompt: said(last(models.open(SIDES), prompt)), prompts))
    assert together == alone


def test_a_process_that_is_killed_ends_its_answer_in_one_line_and_is_started_anew(pool):
    models = ModelProcess(ROOM, pool.look)
    try:
        cast = models.open(SIDES)
        answering = cast.generate(PROMPT, Sampling(max_new_tokens=400))
        next(answering)
        os.kill(models._process.pid, signal.SIGKILL)
        with pytest.raises(UserError, match=ENDED):
            list(answering)
        wait_until(lambda: not models._process.is_alive(), "the end of the killed process")
        assert said(last(models.open(SIDES))) == said(last(pool.open(SIDES)))
    finally:
        models.close()


def test_the_process_ends_with_the_page_however_that_ends(tmp_path):
    page = (
        "from demo.model_process import ModelProcess, PoolSettings\nimport time\n"
        "if __name__ == '__main__':\n"
        "    models = ModelProcess(PoolSettings(1), list)\n    print(models._process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with started(tmp_path, page) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        process.kill()
    wait_until(lambda: not _runs(child), "the end of the models' process")


def test_a_closed_process_removes_its_semaphores(tmp_path):
    page = (
        "from multiprocessing import RLock\nfrom demo.model_process import ModelProcess, PoolSettings\n"
        "from inference.locations import UnavailableModel\nmade = []\n"
        "def unavailable():\n    made.append(RLock())  # as a progress bar of Transformers makes one\n"
        "    return UnavailableModel('x/1', 'not there')\n"
        "class Location:\n    def __reduce__(self):\n        return unavailable, ()\n"
        "if __name__ == '__main__':\n    models = ModelProcess(PoolSettings(1, 1), lambda names: [Location()])\n"
        "    print(models.open(['x/1']).errors)\n    models.close()\n"
    )
    with started(tmp_path, page) as process:
        out, err = process.communicate()
    assert "not there" in out and err == ""


def started(folder: Path, page: str) -> "subprocess.Popen[str]":
    """A process that runs ``page``, a program."""
    (folder / "page.py").write_text(page)
    env, pipe = {**os.environ, "PYTHONPATH": str(ROOT)}, subprocess.PIPE
    return subprocess.Popen([sys.executable, folder / "page.py"], env=env, stdout=pipe, stderr=pipe, text=True)


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_chat_message_takes_one_connection_and_loads_its_models_once(models, monkeypatch):
    connected, connect = [], models._connect
    monkeypatch.setattr(models, "_connect", lambda: connected.append(1) or connect())
    group = models.open(SIDES)
    one = last(group)
    assert said(last(group, "And now?", history=[one])) == said(last(models.open(SIDES), "And now?", history=[one]))
    assert len(connected) == 2


def test_a_stop_that_comes_after_the_end_stops_no_later_answer(models):
    group = models.open(SIDES)
    whole = said(last(group))
    group._connection.send(STOP)
    assert said(last(group)) == whole


def test_a_group_answers_again_after_it_refused_or_stopped(models):
    group = models.open(SIDES)
    one = last(group)
    with pytest.raises(UserError, match="the history is of other models"):
        last(group, history=[last(models.open(["pirate/1"]))])
    assert {reply.ended for reply in last(group, stop=lambda: True).replies} == {"stopped"}
    assert said(last(group)) == said(one)


def test_no_thread_of_the_page_stays_behind(models):
    before = threading.active_count()
    for _ in range(3):
        last(models.open(SIDES))
    assert threading.active_count() <= before
