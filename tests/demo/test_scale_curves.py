"""What the page shows of a version by the scale of its adapter, while it is measured and afterwards."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from demo import scale_curves
from demo.scale_curves import ScaleCurves, ScaleMeasurements
from demo.scales_box import ScalesBox
from demo.step_process import FOLDER, LOG
from demo.view import scale_curves as view
from registry import report_files


def point(scale, value, low=None, high=None):
    bar = None if low is None or not scale else (10 + low, 10 + high)
    return {"scale": scale, "value": value, "before": 10.0, "change": value - 10, "low": low, "high": high, "bar": bar}


RECORD = {
    "version": "pirate/1",
    "curves": [
        {"name": "chrf", "label": "<b>chrF", "on_rows": True, "n": 24,
         "points": [point(0.0, 10.0, 0.0, 0.0), point(0.5, 20.0, -1.0, 21.0), point(1.0, 40.0, 20.0, 40.0)]},
        {"name": "everyday/perplexity", "label": "everyday/perplexity", "on_rows": False, "n": 60,
         "points": [point(0.0, 10.0, 0.0, 0.0), point(0.5, 10.5), point(1.0, 12.0)]},
    ],
}  # fmt: skip


def printed(folder, text):
    place = folder / FOLDER / "scales of pirate%2F1"
    place.mkdir(parents=True)
    (place / "process").write_text("1")
    (place / LOG).write_text(text)


@pytest.fixture
def kept(monkeypatch):
    """``kept(run_id)`` is the run that measured the version last."""
    monkeypatch.setattr(scale_curves, "_record", lambda run_id: RECORD)
    return lambda run_id: monkeypatch.setattr(report_files, "find_scales", lambda reference: run_id)


def test_the_newest_result_is_found_by_its_run_and_a_failed_attempt_shows_its_last_line(tmp_path, kept):
    kept("")
    measurements = ScaleMeasurements(tmp_path)
    assert measurements.find("pirate/1").state == "absent"
    printed(tmp_path, f"Run {'a' * 32}\nVersion pirate/1\n\ntest_dataset: no held-out prompts; give a file\n")
    found = measurements.find("pirate/1")
    assert (found.state, found.error) == ("failed", "test_dataset: no held-out prompts; give a file")
    kept("b" * 32)
    found = measurements.find("pirate/1")
    assert found.state == "failed" and found.record is RECORD, "an older result is still shown"
    kept("a" * 32)
    assert measurements.find("pirate/1").state == "finished"


def test_progress_is_counted_by_the_scales_that_are_done():
    process = SimpleNamespace(text="Run a\nVersion pirate/1\n")
    assert scale_curves._progress(process) == (0.0, "loading the version")
    process.text += "Scales  0, 1\nAnswers 48\nScale   0 measured, 1 of 7\n"
    share, phase = scale_curves._progress(process)
    assert 0.5 < share < 0.6 and phase == "measuring scale 2 of 7"


def test_curves_and_table_show_n_and_intervals_and_nothing_of_them_is_markup():
    shown = str(view.card(ScaleCurves("pirate/1", "finished", record=RECORD)))
    ElementTree.fromstring(shown.replace("<br>", "<br/>"))
    assert "&lt;b&gt;chrF" in shown and shown.count("<svg") == 2
    assert shown.count('class="parley-scale-bar"') == 2, "no bar at the base, nor where no interval is known"
    assert "+20.0 to +40.0" in shown and "too few for an interval" in shown and "n = 24" in shown
    assert "mlflow run . -e evaluate -P version=pirate/1 -P scales=auto -P limit=24" in shown
    waiting = str(view.card(ScaleCurves("pirate/1", "running", 0.6, "measuring scale 2 of 7", 75.0)))
    assert "measuring scale 2 of 7, 1 min 15 s" in waiting and 'aria-valuenow="60"' in waiting


def test_the_panel_is_hidden_for_versions_without_an_adapter(tmp_path):
    def details(reference):
        return SimpleNamespace(version=SimpleNamespace(name="pirate", number=1), kind=reference.partition("/")[0]), None

    box = ScalesBox(ScaleMeasurements(tmp_path), SimpleNamespace(details=details), [], None)
    assert box.close("lora/1")[1].visible and not box.close("full/1")[1].visible and not box.close("x:base")[1].visible
