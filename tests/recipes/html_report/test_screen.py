"""The table of metrics for a terminal."""

from evals.paired import Difference
from recipes.html_report.facts import metric_lines
from recipes.html_report.screen import metrics_table


def test_a_suite_without_a_headline_metric_is_shown_with_all_that_it_has():
    n = {"spread/copy_rate": 60, "spread/loop_rate": 60, "facts/accuracy": 200, "everyday/perplexity": 200}
    changes = {name: Difference(items, 0.2, 0.1, -0.1, -0.2, 0.1, "by hand") for name, items in n.items()}
    before, after = dict.fromkeys(changes, 0.2), dict.fromkeys(changes, 0.1)
    shown = metrics_table(metric_lines(before, after, changes), ("base", "tuned"), "retention suites", of_suites=True)
    assert [line.split("  ")[0] for line in map(str.strip, shown.splitlines())] == [
        "retention suites",
        "perplexity of everyday English",
        "facts right",
        "training responses as answers to unrelated prompts",
        "answers to unrelated prompts that repeat themselves",
    ]

    changes["spread/lexicon_rate"] = changes["spread/copy_rate"]
    lines = metric_lines({**before, "spread/lexicon_rate": 0.2}, {**after, "spread/lexicon_rate": 0.1}, changes)
    shown = metrics_table(lines, ("base", "tuned"), "retention suites", of_suites=True)
    assert "trained style" in shown and "training responses" not in shown
