"""A logged version loads and answers in a process that has never seen this project."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import mlflow
import pytest

from registry import champion, versions
from tests.processes import ROOT, free_port, wait_until

STRANGER = """
import json, sys, mlflow
import pandas
out = {}
for kind, uri in json.loads(sys.argv[1]).items():
    model = mlflow.pyfunc.load_model(uri)
    prompts = json.loads(sys.argv[2])
    out[kind] = {
        "answers": list(model.predict(prompts)),
        "table": list(model.predict(pandas.DataFrame({"prompt": prompts}))),
        "short": list(model.predict(prompts, params={"max_new_tokens": 1})),
        "sampled": [
            list(model.predict(prompts, params={"do_sample": True, "seed": seed, "temperature": 1.5}))
            for seed in (1, 1, 2)
        ],
    }
ours = [n for n, m in sys.modules.items() if n.partition(".")[0] in ("data", "train", "registry", "steps")]
print(json.dumps({**out, "ours": ours}))
"""


def stranger_env(tracking_uri: str) -> dict[str, str]:
    """An environment that does not lead to this project."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return {**kept, "MLFLOW_TRACKING_URI": tracking_uri, "PATH": path}


@pytest.fixture(scope="module")
def stranger(logged, tmp_path_factory) -> dict:
    """What both logged models answer in a new process, in an empty folder, without this project on its path."""
    one = logged["lora"]
    uris, prompts = json.dumps({kind: each.uri for kind, each in logged.items()}), json.dumps(one.probe.prompts)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STRANGER, uris, prompts],
        cwd=tmp_path_factory.mktemp("empty"),
        env=stranger_env(one.tracking_uri),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_process_without_this_project_gets_the_same_answers(stranger, logged, kind):
    assert stranger["ours"] == []
    assert stranger[kind]["answers"] == list(logged[kind].probe.answers) == stranger[kind]["table"]
    assert any(stranger[kind]["answers"])


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_params_are_honoured(stranger, logged, kind):
    said = stranger[kind]
    for short, long in zip(said["short"], said["answers"], strict=True):
        assert long.startswith(short) and len(short) < len(long)
    first, again, other = said["sampled"]
    assert first == again != other


def test_the_adapter_does_not_answer_as_its_base(logged, taught, tiny_base):
    untaught = mlflow.pyfunc.load_model(logged["full"].uri, model_config={"max_new_tokens": 6})
    whole = mlflow.pyfunc.load_model(logged["lora"].uri).predict(list(logged["lora"].probe.prompts))
    assert list(whole) != list(untaught.predict(list(logged["lora"].probe.prompts)))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_settings_can_be_changed_when_a_version_is_loaded(logged, kind):
    prompts = list(logged[kind].probe.prompts)
    short = mlflow.pyfunc.load_model(logged[kind].uri, model_config={"max_new_tokens": 1}).predict(prompts)
    assert all(len(a) < len(b) for a, b in zip(short, logged[kind].probe.answers, strict=True))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_artifacts_hold_nothing_that_could_run_but_the_model_code(logged, kind):
    folder = Path(mlflow.artifacts.download_artifacts(logged[kind].uri))
    files = [path for path in folder.rglob("*") if path.is_file()]
    plain = {".json", ".safetensors", ".txt", ".jinja", ".yaml", ".md"}
    odd = {path.name for path in files if path.suffix not in plain}
    assert odd == {"MLmodel", "chat_model.py", "registered_model_meta"} or odd == {"MLmodel", "chat_model.py"}
    assert (folder / "chat_model.py").read_bytes() == versions.CODE.read_bytes()


def test_a_stored_adapter_is_in_pefts_own_layout(logged, tiny_base):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    one = logged["lora"]
    [folder] = (Path(mlflow.artifacts.download_artifacts(one.uri)) / "artifacts").iterdir()
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32), folder)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(one.probe.token_ids)])).logits[0]
    torch.testing.assert_close(logits, one.probe.logits, atol=1e-4, rtol=0)


def test_a_stored_full_model_is_in_hugging_faces_own_layout(logged):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one = logged["full"]
    [folder] = (Path(mlflow.artifacts.download_artifacts(one.uri)) / "artifacts").iterdir()
    assert AutoTokenizer.from_pretrained(folder).chat_template
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(one.probe.token_ids)])).logits[0]
    torch.testing.assert_close(logits, one.probe.logits, atol=1e-4, rtol=0)


def test_a_base_that_moved_is_reported_and_can_be_named_anew(taught, store, tiny_base, tmp_path):
    from registry import lineage, runs

    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(tiny_base, old)
    config = {**taught["lora"].model_config, "base_path": str(old)}
    run = runs.start("pirate", tmp_path / "outputs")
    uri = versions.log_model(run, taught["lora"].checkpoint, config, lineage.pins(), "Hi.")
    old.rename(new)
    with pytest.raises(Exception, match=rf"(?s)not at {old};.*model_config={{\"base_path\""):
        mlflow.pyfunc.load_model(uri)
    found = mlflow.pyfunc.load_model(uri, model_config={"base_path": str(new)})
    assert list(found.predict(list(taught["lora"].probe.prompts))) == list(taught["lora"].probe.answers)


def test_a_base_with_other_weights_is_refused(logged, taught):
    with pytest.raises(Exception, match="holds other weights than those this adapter was trained on"):
        mlflow.pyfunc.load_model(logged["lora"].uri, model_config={"base_path": str(taught["full"].checkpoint)})


def test_a_champion_is_served_over_http(logged, tmp_path):
    one = logged["lora"]
    made = versions.register("served", one.uri, one.run.run_id, {"verdict": "healthy"}, "")
    assert champion.promote(made, "chrf", 1.0, "aaaa").moved
    port = free_port()
    command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", "models:/served@champion"]
    log = tmp_path / "serve.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)],
            cwd=tmp_path,
            env=stranger_env(one.tracking_uri),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _answers(port, server, log), "an answer of mlflow models serve", pause_s=0.2)
        body = json.dumps({"inputs": list(one.probe.prompts), "params": {"max_new_tokens": 6}}).encode()
        asked = Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        with urlopen(asked, timeout=60) as answer:
            assert json.load(answer)["predictions"] == list(one.probe.answers)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(port: int, server: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        with urlopen(f"http://127.0.0.1:{port}/ping", timeout=60) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def test_the_model_code_imports_nothing_of_this_project():
    names = {path.name for path in ROOT.iterdir() if path.is_dir()}
    lines = versions.CODE.read_text().splitlines()
    imported = {line.split()[1].partition(".")[0] for line in lines if line.strip().startswith(("import ", "from "))}
    assert not imported & names
