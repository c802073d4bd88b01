"""The panel shows verdict, figures and lineage in words, links only to web pages, and escapes all of it."""

import re
from xml.etree import ElementTree

import pytest

from demo.view.details import VERDICTS, badge, empty_registry, is_web_address, notice, number, origin, quality
from evals import verdict


def text(markup):
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def panel(**changes):
    values = {
        "title": "pirate/3",
        "verdict": "healthy",
        "reasons": ["held-out loss 5.20 -> 1.53"],
        "scores": [("pirate lexicon", 0.02, 0.94), ("perplexity", 181.4, 4.62), ("loop", None, 0.0)],
        "lineage": [("dataset", "clean")],
        "run_url": "http://127.0.0.1:5000/#/experiments/1/runs/ab",
        "notes": ["Chosen at step 72."],
    }
    values |= changes
    head = {name: values[name] for name in ("title", "verdict", "reasons", "scores")}
    foot = {name: values[name] for name in ("lineage", "run_url", "notes")}
    return f"<div>{quality(**head)}{origin(**foot)}</div>"


def test_the_panel_holds_everything_in_order():
    said = text(panel())
    wanted = ["pirate/3", "healthy", "held-out loss 5.20", "pirate lexicon 0.02 0.94", "perplexity 181.4 4.62"]
    wanted += ["loop – 0.00", "dataset clean", "the run in the MLflow UI", "Chosen at step 72."]
    places = [said.index(each) for each in wanted]
    assert places == sorted(places)
    ElementTree.fromstring(panel())


def test_every_verdict_of_the_trainer_has_words_and_only_healthy_is_good():
    assert set(VERDICTS) == set(verdict.VERDICTS)
    assert [name for name, (tone, _) in VERDICTS.items() if tone == "good"] == ["healthy"]


def test_a_verdict_of_another_tool_or_none_is_shown_without_a_judgement():
    assert "parley-plain" in badge("under_review") and "under review" in badge("under_review")
    assert "no verdict" in badge("")


def test_only_shares_are_drawn_on_the_line_from_0_to_1():
    shown = panel(scores=[("a", 0.25, 0.75), ("b", 0.5, 3.0), ("c", None, 0.5)])
    assert re.findall(r"<i style=\"([^\"]*)", shown) == ["left:25.0%;width:50.0%"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.00"), (0.94, "0.94"), (0.0004, "0.0004"), (-0.5, "-0.50"),
     (42.08, "42.1"), (1234.5, "1234"), (1.23e6, "1.2e+06"), (float("inf"), "inf")],
)  # fmt: skip
def test_metrics_have_the_digits_they_are_worth(value, said):
    assert number(value) == said


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000/#/runs/a", "https://mlflow.example/x?y=1&z=2"])
def test_web_addresses_are_linked_in_a_tab_of_their_own(url):
    link = ElementTree.fromstring(panel(run_url=url)).find(".//a")
    assert link is not None and link.get("href") == url
    assert link.get("target") == "_blank" and "noopener" in (link.get("rel") or "")


@pytest.mark.parametrize(
    "url",
    ["", "javascript:alert(1)", "JaVaScRiPt://x/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "//host/x",
     "http://", "http:///x", "ht\ntp://x", "http://x/ y", " http://x", "http://x\x00", "http://[x", "vbscript:x"],
)  # fmt: skip
def test_everything_else_is_not(url):
    assert not is_web_address(url)
    assert "<a " not in panel(run_url=url)


def test_nothing_from_the_registry_becomes_markup():
    evil = "</section><script>alert(1)</script>\"'>"
    shown = panel(title=evil, verdict=evil, reasons=[evil], scores=[(evil, 0.1, 0.2)], lineage=[(evil, evil)],
                  run_url=f"http://x/{evil}", notes=[evil])  # fmt: skip
    assert {"script"}.isdisjoint(element.tag for element in ElementTree.fromstring(shown).iter())


def test_an_empty_registry_says_how_to_make_the_first_version():
    said = text(empty_registry())
    assert "make pirate" in said and "mlflow run . -e pirate" in said and "Refresh" in said


def test_a_notice_is_one_line_however_long_the_error():
    shown = notice("error", "gone:\n<b>" + "x" * 1000)
    assert "\n" not in shown and len(text(shown)) < 330 and "&lt;b&gt;" in shown
    assert 'role="alert"' in shown and 'role="status"' in notice("warn", "w") and "parley-plain" in notice("info", "i")
