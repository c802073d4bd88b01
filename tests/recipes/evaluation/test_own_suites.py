"""This project's own suites on a registered version, by name."""

import pytest
from mlflow.tracking import MlflowClient

from data.errors import ConfigError
from steps.evaluate import evaluate


def test_an_own_suite_is_named_without_a_harness(version, capsys):
    evaluate([f"--version={version}", "--suite=sycophancy", "--threads=1"])
    lines = [each.split() for each in capsys.readouterr().out.splitlines() if each.startswith("sycophancy/")]
    assert [line[:2] for line in lines] == [
        ["sycophancy/accuracy", "60"], ["sycophancy/accuracy_with_belief", "60"], ["sycophancy/accuracy_drop", "60"],
    ]  # fmt: skip
    tags = MlflowClient().get_model_version("pirate", "1").tags
    assert {"base/sycophancy/accuracy", "test/sycophancy/accuracy"} <= set(tags)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--version=pirate/1", "--suite=no_such"], "there is no such suite"),
        (["--version=pirate/1", "--suite=facts", "--limit=3"], "limit is for lm_eval and inspect"),
        (["--suite=facts"], "version names what is evaluated"),
        (["--version=pirate/1"], "name a suite, such as suite=facts"),
    ],
)
def test_what_can_not_be_is_one_line(version, flags, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        evaluate(flags)
    assert "\n" not in str(error.value)
