"""The page shows rows by rule, holds whatever text they have, loads nothing and says what it can't show."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from evals.metrics import changes
from recipes.html_report import examples, page
from recipes.html_report.commands import commands
from recipes.html_report.facts import MOST_ITEMS, Figure, ReportFacts, flags, make_items, metric_lines, row_values
from recipes.html_report.limits import limits
from recipes.sft.config import TuneConfig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROWS = 12
SCORES = [50.0, 10.0, 90.0, 90.0, 30.0, 40.0, 60.0, None, 20.0, 70.0, 80.0, 5.0]
FLAGGED = {1: ("loop", "cut"), 5: ("echo",), 11: ("copied",)}


def shares(hits):
    return np.stack([np.array(hits, dtype=float), np.ones(len(hits))], axis=-1)


@pytest.fixture
def facts() -> ReportFacts:
    """A run of twelve rows, three of whose tuned answers are flagged."""
    before, after = shares([0] * ROWS), shares([0] + [1] * 11)
    lines = metric_lines({"lexicon_rate": 0.0}, {"lexicon_rate": 11 / 12},
                         changes({"lexicon_rate": before}, {"lexicon_rate": after}))  # fmt: skip
    texts = [(f"prompt {i}", f"reference {i}", f"before {i}", f"after {i}") for i in range(ROWS)]
    items = make_items(texts, ([25.0] * ROWS, SCORES), ([()] * ROWS, [FLAGGED.get(i, ()) for i in range(ROWS)]))
    return ReportFacts(
        title="pirate/1: toy fine-tuned on clean", subtitle="LoRA", sides=("base", "tuned"), verdict="not_learned",
        reasons=("it fell by less than 10%",), primary="lexicon_rate", metrics=lines, rows=ROWS, items=items,
        order="chrF", lowest_is_best=False, figures=(Figure("Training curve", "the loss falls", "aGk="),),
        lineage=(("run", "abc"),), commands=("mlflow run . -e pirate",), notes=(),
        limits=limits(lines[0], ROWS, items, "One seed.", "the set's own test rows"),
    )  # fmt: skip


def words(html):
    """The text of a page as a reader sees it, blanks as one."""
    found = []
    reader = HTMLParser()
    reader.handle_data = found.append  # type: ignore[method-assign]
    reader.feed(html)
    return " ".join(" ".join(found).split())


def test_best_median_and_worst_are_taken_by_the_score_of_the_tuned_answer(facts):
    chosen = examples.choose(facts).chosen
    assert [(rule, item.number) for rule, item in chosen] == [("best", 3), ("median", 1), ("worst", 12)]


def test_where_a_low_score_is_good_the_lowest_is_the_best(facts):
    chosen = examples.choose(replace(facts, lowest_is_best=True)).chosen
    assert chosen[0] == ("best", facts.items[11]) and chosen[-1][1].after_score == 90.0


def test_every_failure_is_shown_and_every_other_row_once(facts):
    found = examples.choose(facts)
    assert [item.number for item in found.failures] == [2, 6, 12]
    shown = [item.number for item in (*(item for _, item in found.chosen), *found.failures, *found.others)]
    assert set(shown) == set(range(1, ROWS + 1))
    assert {item.number for item in found.others}.isdisjoint([2, 6, 12, 3, 1])


def test_one_failure_is_written_as_one(facts):
    alone = replace(facts, items=[each for each in facts.items if each.number not in (2, 6)])
    assert "3 failures among" in words(page.html(facts)) and "1 failure among" in words(page.html(alone))


def test_the_rule_is_written_on_the_page(facts):
    text = words(page.html(facts))
    assert "the best, the median and the worst of 11 rows by chrF" in text and "every failure" in text
    assert "3 failures among 12 answers" in text and "1 loop (repeats itself)" in text


def test_without_any_score_the_page_still_shows_every_row(facts):
    items = tuple(replace(item, after_score=None, after_flags=()) for item in facts.items)
    found = examples.choose(replace(facts, items=items))
    assert found.chosen == found.failures == () and len(found.others) == ROWS
    assert "0 failures" in words(page.html(replace(facts, items=items)))


def test_one_row_is_best_median_and_worst_at_once(facts):
    [(rule, _)] = examples.choose(replace(facts, items=facts.items[:1])).chosen
    assert rule == "best and median and worst"


def test_the_page_has_its_sections_in_order(facts):
    html = page.html(facts)
    wanted = ["Verdict", "Before and after", "Metrics", "Training curve", "Data and lineage", "How to reproduce",
              "What this can&#39;t show"]  # fmt: skip
    places = [html.find(f'aria-label="{name}"') for name in wanted[:-1]]
    assert -1 not in places and places == sorted(places)
    assert "not learned" in html and "+0.92" in html


def test_the_page_loads_nothing_from_anywhere(facts):
    html = page.html(replace(facts, is_comparison=True))
    assert re.findall(r"(?:src|href|url\(|@import|action)\W*\s*https?:", html) == []
    assert not re.search(r"<(?:link|iframe|object|embed|base|form)\b", html)
    assert set(re.findall(r'src="([^":]*):', html)) == {"data"}
    assert "default-src 'none'" in html


def test_a_page_without_filters_has_no_script(facts):
    assert "<script" not in page.html(facts)


@pytest.mark.parametrize("field", ["prompt", "reference", "before", "after"])
@pytest.mark.parametrize("is_comparison", [False, True])
def test_markup_in_a_row_is_shown_and_not_run(facts, field, is_comparison):
    bad = "</p><script>alert(1)</script><img src=x onerror=alert(2)>"
    items = tuple(replace(item, **{field: bad}) for item in facts.items)
    html = page.html(replace(facts, items=items, is_comparison=is_comparison))
    assert "<script>alert" not in html and "<img src=x" not in html and "&lt;script&gt;alert(1)" in html


def test_markup_in_names_and_reasons_is_shown_and_not_run(facts):
    bad = '"><script>alert(1)</script>'
    html = page.html(replace(facts, title=bad, sides=(bad, bad), reasons=(bad,), lineage=((bad, bad),), commands=(bad,),
                             verdict=bad, notes=(bad,), limits=(bad,), subtitle=bad, is_comparison=True))  # fmt: skip
    assert "<script>alert" not in html


def test_the_record_is_json_and_has_no_number_that_json_lacks(facts):
    broken = replace(facts.items[0], after_score=float("nan"))
    record = json.loads(json.dumps(replace(facts, items=(broken,)).record(), allow_nan=False))
    assert record["items"][0]["after_score"] is None and record["metrics"][0]["outcome"] == "better"


def test_winners_are_decided_by_the_score_and_sorted_by_the_margin(facts):
    won = examples.winners(facts)
    assert [each.item.number for each in won][:3] == [3, 4, 11] and won[-1].item.number == 12
    assert won[0].winner == "tuned" and won[0].margin == 65.0 and won[-1].winner == "base"
    assert examples.counts(won, facts) == {"tuned": 8, "base": 3, "tie": 1}


def test_a_comparison_has_a_filter_for_each_winner_and_every_row_has_its_margin(facts):
    html = page.html(replace(facts, is_comparison=True))
    assert re.findall(r'data-choice="(\w*)"', html) == ["", "tuned", "base", "tie"]
    assert len(re.findall(r'data-winner="tuned" data-margin="[\d.]+"', html)) == 8


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_filter_shows_the_rows_of_one_winner_by_its_own_margin(facts, tmp_path):
    from playwright.sync_api import sync_playwright

    place = tmp_path / "report.html"
    place.write_text(page.html(replace(facts, is_comparison=True)))
    shown = "[...document.querySelectorAll('[data-winner]')].filter(e => !e.hidden).map(e => Number(e.dataset.margin))"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(place.as_uri())
        every = tab.evaluate(shown)
        tab.click("[data-choice=base]")
        of_base = tab.evaluate(shown)
        tab.fill("#least", str(of_base[1]))
        large = tab.evaluate(shown)
        tab.fill("#least", "0")
        tab.click("[data-choice='']")
        assert tab.evaluate(shown) == every
        browser.close()
    assert len(every) == ROWS and of_base == sorted(every[-3:], reverse=True) and len(set(of_base)) == 3
    assert large == of_base[:2]


def test_flags_come_from_the_statistics_of_rows():
    statistics = {"stop_rate": shares([1, 0, 1]), "loop_rate": shares([0, 1, 0]), "echo_rate": shares([0, 0, 1])}
    assert flags(statistics, 3) == [(), ("loop", "cut"), ("echo",)]


def test_the_value_of_a_row_is_the_metric_of_that_row_alone():
    rows = np.array([[2.0, 2.0], [0.0, 0.0]])
    assert row_values("perplexity", {"perplexity": rows}, 2) == [pytest.approx(np.e), None]
    assert row_values("chrf", {}, 2) == [None, None]


def test_metrics_that_were_named_are_headlines():
    values = {"chrf": 1.0, "loss": 2.0, "everyday/perplexity": 3.0}
    assert [line.headline for line in metric_lines(values, values, {})][:2] == [True, False]
    named = metric_lines(values, values, {}, {"loss"})
    assert [line.name for line in named if line.headline and "/" not in line.name] == ["chrf", "loss"]


def test_a_page_of_very_many_rows_shows_the_first_and_says_so(facts):
    texts, nothing = [("p", "r", "b", "a")] * (MOST_ITEMS + 5), [None] * (MOST_ITEMS + 5)
    items = make_items(texts, (nothing, nothing), ([()] * len(texts), [()] * len(texts)))
    assert len(items) == MOST_ITEMS
    assert any("first 2,000 of 2,005" in each for each in limits(None, len(texts), items, "One seed.", "rows"))


def test_what_the_page_cannot_show_is_derived_from_the_run(facts):
    text = " ".join(facts.limits)
    assert "12 held-out rows" in text and "One seed." in text and "the set's own test rows" in text
    assert "1 answer was cut at max_new_tokens" in text
    assert "No other kind of prompt" in text
    beyond = limits(facts.metrics[0], ROWS, (), "One seed.", "rows", ("facts", "spread"))
    assert any("facts, spread" in each for each in beyond) and "max_new_tokens" not in " ".join(beyond)


def test_the_command_names_every_setting_that_is_not_a_default():
    config = TuneConfig(dataset="my rows; rm.json", epochs=3, seed=11)
    checkout, command = commands("pirate", config, {"git_commit": "abc", "git_dirty": "false"})
    assert checkout == "git checkout abc"
    assert command == "mlflow run . -e pirate --env-manager local -P epochs=3 -P seed=11 -P 'dataset=my rows; rm.json'"


def test_code_that_was_not_committed_is_named_and_unknown_code_is_left_out():
    dirty, _ = commands("pirate", TuneConfig(), {"git_commit": "abc", "git_dirty": "true"})
    assert "not committed" in dirty
    assert len(commands("pirate", TuneConfig(), {"git_commit": "unknown", "git_dirty": "unknown"})) == 1
