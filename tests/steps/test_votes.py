"""The votes step tells how versions stand and writes what can be learned, and says plainly where there is nothing."""

import json

import pytest
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from data.formats.files import read_rows
from inference.transcript import ModelInfo, Reply, Sampling
from registry.votes import store as vote_store
from registry.votes.votes import Side, Vote
from steps.votes import votes


def cast(number, choice="right", blind=True, ended="end"):
    """A vote on the bundled base (left) against pirate/1, kept in the store."""
    left, right = (
        Side(
            ModelInfo(reference, "lora", "ab", "bundled", "cd", 9), Reply(f"{text} {number}.", (1, 2), ended, 0.1, 0.5)
        )
        for reference, text in (("pirate/1:base", "Hello"), ("pirate/1", "Ahoy"))
    )
    vote_store.record(Vote(f"e{number}", "v", choice, blind, f"Hi {number}", left, right, Sampling(), 1_700_000_000.0))


def test_no_votes_are_one_clear_line(store, tmp_path, capsys):
    votes(["--output", "votes.jsonl"])
    assert capsys.readouterr().out == (
        "There are no votes on pirate yet: open make demo, compare two versions and vote.\n"
    )
    assert not (tmp_path / "votes.jsonl").exists()


def test_the_standings_and_the_pairs_come_out_of_the_votes(store, tmp_path, capsys):
    for number, choice in enumerate(["right", "right", "left", "tie"]):
        cast(number, choice)
    cast(4, "left", blind=False)
    cast(5, ended="length")
    votes(["--output", "votes.jsonl"])
    ends = "win rate (95 % interval)  sign test p  more votes to decide"
    assert capsys.readouterr().out.splitlines() == [
        "Votes on pirate: 5 blind, 1 with the versions shown",
        "",
        "Blind          wins  losses  ties  both bad  win rate (95 % interval)",
        "pirate/1          3       1     1         0  0.75 (0.30 to 0.95)",
        "pirate/1:base     1       3     1         0  0.25 (0.05 to 0.70)",
        "",
        f"Head to head              wins  losses  ties  both bad  {ends}",
        f"pirate/1 : pirate/1:base     3       1     1         0  0.75 (0.30 to 0.95)     {0.625:13.3f}{12:22}",
        "",
        "Versions shown  wins  losses  ties  both bad  win rate (95 % interval)",
        "pirate/1:base      1       0     0         0  1.00 (0.21 to 1.00)",
        "pirate/1           0       1     0         0  0.00 (0.00 to 0.79)",
        "",
        f"Head to head              wins  losses  ties  both bad  {ends}",
        f"pirate/1:base : pirate/1     1       0     0         0  1.00 (0.21 to 1.00)     {1:13.3f}{3:22}",
        "",
        "Wrote   votes.jsonl: 3 preference pairs of 5 blind votes; 1 with the versions shown not used; left out: "
        "1 x no answer was preferred, 1 x the preferred answer was cut off",
    ]
    rows = [json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines()]
    assert [row["preferred"] for row in rows] == ["pirate/1", "pirate/1", "pirate/1:base"]
    assert [row.response for row in read_rows("votes.jsonl")] == ["Ahoy 0.", "Ahoy 1.", "Hello 2."]


def test_votes_with_the_versions_shown_become_pairs_only_where_they_are_asked_for(store, tmp_path):
    cast(0, blind=False)
    with pytest.raises(UserError, match=r"output: no vote makes a preference pair \(pairs=all takes"):
        votes(["--output", "votes.jsonl"])
    assert list(tmp_path.glob("*.jsonl")) == []
    votes(["--output", "votes.jsonl", "--pairs", "all"])
    assert len(read_rows("votes.jsonl")) == 1


def test_the_votes_on_other_models_are_told_apart(store, capsys):
    cast(0)
    votes(["--register_as", "parrot"])
    assert capsys.readouterr().out.startswith("There are no votes on parrot yet; there are on pirate (register_as)")
    votes(["--register_as", ""])
    assert capsys.readouterr().out.startswith("Votes: 1 blind, 0 with the versions shown")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("votes.csv", "output must end in .jsonl, not '.csv'"),
        ("here.jsonl", "output=here.jsonl exists already; remove it or name another file"),
        ("gone/votes.jsonl", "output=gone/votes.jsonl: there is no folder gone; make it first"),
    ],
)
def test_an_output_that_can_not_be_is_refused_before_anything_is_read(tmp_path, monkeypatch, output, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://there")
    (tmp_path / "here.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match=reason):
        votes(["--output", output])
    assert (tmp_path / "here.jsonl").read_text() == "mine"


def test_the_run_that_mlflow_made_for_it_is_no_experiment_and_goes(store, monkeypatch):
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setattr("registry.run_finalizer.later", lambda *_: None)
    monkeypatch.setattr("registry.project_run.atexit.register", lambda *_: None)
    votes([])
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
