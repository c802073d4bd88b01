"""This project's own suites on a registered version, by name."""

import pytest
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from steps.evaluate import evaluate


def test_an_own_suite_is_named_without_a_harness(version, capsys):
    evaluate([f"--version={version}", "--suite=sycophancy", "--threads=1"])
    lines = [each.split() for each in capsys.readouterr().out.splitlines() if each.startswith("sycophancy/")]
    assert [line[:2] for line in lines] == [
        ["sycophancy/accuracy", "60"], ["sycophancy/accuracy_with_belief", "60"], ["sycophancy/accuracy_drop", "60"],
    ]  # fmt: skip
    tags = MlflowClient().get_model_version("pirate", "1").tags
    assert {"base/sycophancy/accuracy", "test/sycophancy/accuracy"} <= set(tags)


POLITE = "name: polite\nscorer: judge\nvalue: Is it polite?\nmax_new_tokens: 4\njudge: {}\nprompts: [{}]\n"


def test_answers_to_an_own_suite_are_read_by_a_version_or_a_model_at_an_api(version, tmp_path, fake_openai, capsys):
    prompts = ", ".join(f"Prompt {i}." for i in range(9))
    for name, judge in (("here", f"{version}:base"), ("there", "openai:gpt-4o")):
        (tmp_path / f"{name}.yaml").write_text(POLITE.format(judge, prompts).replace("polite\n", f"{name}\n", 1))
    (tmp_path / "first.yaml").write_text(POLITE.format("openai:first", prompts).replace("polite\n", "first\n", 1))
    fake_openai(says=lambda model, text: ("B" if "A: no" in text and model != "first" else "A", 0.5))
    suites = f"{tmp_path}/here.yaml,{tmp_path}/there.yaml,{tmp_path}/first.yaml"
    evaluate([f"--version={version}", f"--suite={suites}", "--threads=1"])
    out = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1:4] for line in out.splitlines() if line.startswith(("here/", "there/"))}
    assert table["there/accuracy"] == ["9", "1.000", "1.000"] and table["there/position_bias"] == [
        "9",
        "0.000",
        "0.000",
    ]
    assert "Note    first/accuracy measures little: on 100% of the answers" in out and "Note    there" not in out
    assert {"here/accuracy", "here/position_bias", "here/unread_rate"} <= table.keys()


def test_a_judge_that_is_not_there_is_one_line(version, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for judge, reason in (("pirate/9", "no version pirate/9"), ("openai:m", "judge=openai:m: set OPENAI_API_KEY")):
        (tmp_path / "polite.yaml").write_text(POLITE.format(judge, "Hi"))
        with pytest.raises(UserError, match=reason) as error:
            evaluate([f"--version={version}", f"--suite={tmp_path}/polite.yaml"])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--version=pirate/1", "--suite=no_such"], "suite=no_such: there is no such suite"),
        (["--version=pirate/1", "--suite=facts", "--limit=3"], "limit is for lm_eval and inspect"),
        (["--suite=facts"], "version names what is evaluated"),
        (["--version=pirate/1"], "name a suite, such as suite=facts"),
    ],
)
def test_what_can_not_be_is_one_line(version, flags, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        evaluate(flags)
    assert "\n" not in str(error.value)
