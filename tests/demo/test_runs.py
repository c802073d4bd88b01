"""The tab Runs over a real store, the list of versions, and what is shown of votes that can be trained on."""

import json
from datetime import UTC, datetime

import pytest

from data.errors import UserError
from demo import runs
from demo.training import Trainings
from demo.view import picker, votes_training
from demo.view import runs as view
from registry.version_details import CatalogEntry
from registry.versions import Version
from registry.votes.votes import PairSelection, Standing

CHANGE = {"change": 66.1, "low": 60.25, "high": 71.0}
LINE = {"name": "chrf", "label": "chrF", "before": 16.0, "after": 82.1, "change": CHANGE, "outcome": "better"}
REPORT = {"primary": "chrf", "rows": 45, "metrics": [{**LINE, "name": "bleu"}, LINE], "items": []}


@pytest.fixture(scope="module")
def trainings(settle, tmp_path_factory):
    """A store with three runs: finished, interrupted, and the cell of a study; and the trainings of its folder."""
    from registry import runs as store

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        whole = store.start("clean lora e8 s7", folder / "outputs", {"entry": "pirate", "base": "bundled"})
        whole.params({"epochs": 8, "dataset": "clean", "lr": 0.003})
        for step in range(5):
            whole.log(step, {"train/loss": 4.0 - step, "eval/loss": 4.5 - step, "epoch": step / 2})
        whole.tags({"verdict": "healthy", "registered_version": "pirate/1", "base_name": "bundled", "data": "clean"})
        whole.text(json.dumps(REPORT), "report.json")
        whole.finish()
        half = store.start("<i>terse</i> dpo", folder / "outputs", {"entry": "dpo"})
        half.params({"base_model": "auto", "epochs": 4, "dataset": "terse", "lr": 0.003})
        half.log(1, {"train/loss": 0.7, "epoch": 0.5, "train/trained_tokens": 100})
        half.flush()
        (folder / "outputs" / half.run_id).mkdir(parents=True)
        (folder / "outputs" / half.run_id / "config.json").write_text("{}")
        store.start("cell", folder / "outputs", {"entry": "noisy", "study_cell": "1"}).finish()
        store.start("export", folder / "outputs", {"entry": "export"}).finish()
        yield Trainings(folder / "outputs")


def test_runs_are_listed_the_newest_first_with_state_curve_and_the_primary_metric(trainings):
    found = runs.find("", trainings)
    assert [(row.record.name, row.state) for row in found.rows] == [
        ("<i>terse</i> dpo", "interrupted"),
        ("clean lora e8 s7", "finished"),
    ]
    assert (found.fitting, found.cells) == (2, 1)
    half, whole = found.rows
    assert half.base == "", "auto has not chosen one"
    assert (whole.line, whole.rows, whole.base, whole.data) == (LINE, 45, "bundled", "clean")
    assert [point.value for point in whole.eval_loss] == [4.5, 3.5, 2.5, 1.5, 0.5]


def test_every_word_of_a_search_must_fit(trainings):
    assert [row.record.entry for row in runs.find("LORA healthy", trainings).rows] == ["pirate"]
    assert not runs.find("lora terse", trainings).rows


def test_the_list_shows_intervals_and_sparklines_and_nothing_of_a_run_is_markup(trainings):
    found = runs.find("", trainings)
    text = str(view.listed(found, {found.rows[1].record.run_id}))
    assert "&lt;i&gt;terse" in text and "<i>terse" not in text
    assert "+66.1" in text and "(+60.2 to +71.0)" in text and text.count(" checked") == 1
    assert text.count("<polyline") == 2 and "validation loss 4.50 to 0.50" in text
    assert 'data-pair="pirate/1:base pirate/1"' in text and "1 cells of studies" in text


def test_two_runs_are_compared_by_what_differs(trainings):
    one, other = (row.record for row in runs.find("", trainings).rows)
    first, second = runs.pair(f"{one.run_id} {other.run_id}", trainings)
    assert runs.different_settings(first.record, second.record) == [
        ("base_model", "auto", "–"),
        ("dataset", "terse", "clean"),
        ("epochs", "4", "8"),
    ]
    text = str(view.compared(first, second, "http://127.0.0.1:5000"))
    assert "/#/compare-runs?runs=" in text and "Settings that differ" in text
    assert "compare-runs" not in str(view.compared(first, second, "javascript:x"))
    with pytest.raises(UserError, match="choose two runs to compare, not 1"):
        runs.pair(one.run_id)


def entry(number, verdict="healthy", kind="lora", run="r", base="d1"):
    version = Version("pirate", number, f"{run}{number}", "", {"base_digest": base}, ("champion",) * (number == 2))
    return CatalogEntry(version, kind, verdict, "chrF 0.9", datetime(2026, 11, 28, tzinfo=UTC))


def test_each_version_is_listed_once_with_its_checkpoints_and_cells_are_folded():
    entries = [entry(3, "looping"), entry(2), entry(1, kind="tfidf", base="d2")]
    text = str(picker.tree(entries, {"r3"}, {"r2": (8, 16, 24)}, "pirate/2"))
    assert text.count("<strong>pirate/2</strong>") == 1 and "@champion" in text and "28 Nov 2026" in text
    assert 'data-choice="1 pirate/2:16"' in text and "1 cell of studies" in text
    rows = text.split('class="parley-pick-row"')
    assert 'data-chats="1" data-healthy="1" data-same="1"' in rows[1]
    assert 'data-chats="0" data-healthy="1" data-same="0"' in rows[2]
    assert 'data-healthy="0"' in rows[3], "the cell stands last, folded"


def test_votes_that_are_too_few_say_how_many_are_missing_and_what_would_decide():
    standing = Standing("pirate/2", wins=6, losses=3, ties=1, rival="pirate/1")
    few = PairSelection(({},) * 7, 10, 2, 10, (("no answer was preferred", 3),))
    text = str(votes_training.summary(few, [standing], True))
    assert "7 usable pairs" in text and "3 more pairs are needed" in text and "3 × no answer was preferred" in text
    assert f"{standing.more_votes} more votes, if the rate stays" in text and "0.67 (0.35 to 0.88)" in text
    enough = PairSelection(({},) * 12, 12, 0, 12, ())
    assert "Enough to train on" in str(votes_training.summary(enough, [], True))
