"""Comparisons that the page starts: real processes, which go on without it and are found again."""

from demo import held_out
from demo.comparisons import Comparisons, phase
from demo.held_out_tab import EMPTY, HeldOutTab
from tests.processes import wait_until
from tests.small_version import register_adapter

FILTERS = ("all", "all", "row", "", 1)
PAIR = ("pirate/1", "pirate/2")


def test_a_comparison_goes_on_without_its_page_and_says_why_it_failed(store, tiny_base, tmp_path, monkeypatch):
    monkeypatch.setattr(held_out, "_runs", {})  # what a test before has found in another store
    for seed in (1, 2):
        register_adapter(tiny_base, tmp_path, seed=seed)
    first = HeldOutTab([], None, Comparisons(tmp_path / "outputs"))
    shown = str(first.compare(*PAIR, *FILTERS)[1])
    assert "pirate/2" in shown and "starting, " in shown, "there is something to see before the process has printed"
    another = HeldOutTab([], None, Comparisons(tmp_path / "outputs"))  # the page was loaded again
    assert another.look(*PAIR, *FILTERS)[3] == PAIR and another.look("pirate/1:base", "pirate/1", *FILTERS)[1] == EMPTY
    first.compare(*PAIR, *FILTERS)  # one that is under way is not started twice
    wait_until(lambda: not another.comparisons.running(*PAIR), "the end of the comparison", pause_s=0.2)
    notice, rest, _, pair, _, timer = another.follow(PAIR, *FILTERS)
    assert "the run of pirate/1 keeps no held-out rows" in notice
    assert (rest, pair, timer.active) == (EMPTY, ("", ""), False)


def test_a_comparison_that_is_stopped_before_it_has_printed_shows_as_stopped(tmp_path):
    comparisons = Comparisons(tmp_path)
    comparisons.start(*PAIR)
    comparisons.stop(*PAIR)
    wait_until(lambda: not comparisons.running(*PAIR), "the end of the comparison")
    assert comparisons.outcome(*PAIR) == ("stopped", "the comparison of pirate/2 with pirate/1 was stopped")


def test_what_a_comparison_does_now_is_read_from_what_it_printed():
    printed = [
        "Run 12",
        "Compare pirate/1 with pirate/2",
        "Answers pirate/2, 2 of 2 versions, 45 rows",
        "Rows    45: x",
    ]
    said = [phase("\n".join(printed[:count])) for count in range(5)]
    assert said[:3] == ["starting", "starting", "reading the versions"]
    assert said[3:] == ["answers of pirate/2, 2 of 2 versions, 45 rows", "comparing them row by row"]
