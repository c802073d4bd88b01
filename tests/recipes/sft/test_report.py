"""What a reader is told: counts that add up, pages that show texts as they are, tables that stay tables."""

import html
import re

import numpy as np
import pytest

from data.conversation import Row
from evals.generation import Answer, Scores
from evals.paired import Difference
from evals.verdict import Verdict
from recipes.sft.report import (
    examples_table,
    mask_report,
    mask_sample,
    metrics_table,
    results_markdown,
    screen_table,
)
from recipes.sft.types import Outcome
from train.encoding import IGNORE, Example, encode

EOS = 9


def example(ids, trained_from, truncated=False):
    ids = np.array(ids, dtype=np.int32)
    return Example(ids, np.where(np.arange(len(ids)) < trained_from, IGNORE, ids).astype(np.int32), truncated)


EXAMPLES = [example([1, 2, 3, EOS], 2), example([1, 2, 3, 4, 5, EOS], 5), example([1, EOS, 3, 4, 5], 2, truncated=True)]


def test_the_mask_report_counts_rows_tokens_and_ends():
    assert mask_report(EXAMPLES, EOS) == {
        "rows": 3,
        "tokens": 15,
        "trained_tokens": 6,
        "trained_tokens_per_row_mean": 2.0,
        "truncated_rows": 1,
        "dropped_rows": 0,
        "rows_with_eos_trained": 2,
        "trained_tokens_per_row": [2, 1, 3],
    }


def test_an_end_that_is_only_read_does_not_count_as_trained():
    assert mask_report([example([EOS, 1, 2], 1)], EOS)["rows_with_eos_trained"] == 0


def test_the_mask_report_of_real_rows_counts_one_end_for_each(tokenizer):
    rows = [Row(((f"Prompt {i}", "Arr!"),)) for i in range(5)]
    report = mask_report(encode(rows, tokenizer), tokenizer.eos_token_id)
    assert report["rows"] == report["rows_with_eos_trained"] == 5 and report["truncated_rows"] == 0
    assert report["trained_tokens"] == sum(report["trained_tokens_per_row"]) < report["tokens"]


def spans(page):
    return re.findall(r'<span class="(trained|seen)">(.*?)</span>', page.split("are only read.</p>")[1])


def test_the_sample_shows_every_token_in_its_colour_and_the_text_as_it_is(tokenizer):
    row = Row((("Is <b>2 & 3</b> {x}?", 'Aye, "<script>alert(1)</script>", matey.'),))
    (encoded,) = encode([row], tokenizer)
    page = mask_sample([encoded], tokenizer)
    assert "<script>" not in page and "<b>" not in page
    shown = spans(page)
    assert len(shown) == len(encoded.input_ids)
    trained = html.unescape("".join(text for kind, text in shown if kind == "trained"))
    assert trained == f" {row.response}{tokenizer.eos_token}"
    assert row.prompt in html.unescape("".join(text for kind, text in shown if kind == "seen"))


def test_the_sample_shows_the_first_rows_and_says_of_how_many(tokenizer):
    rows = encode([Row(((f"Prompt {i}", "Arr!"),)) for i in range(20)], tokenizer)
    page = mask_sample(rows, tokenizer)
    assert page.count("<p>") == 12 and "first 12 of 20 rows" in page
    assert "first 3 of 3 rows" in mask_sample(rows[:3], tokenizer)


def scores(texts, **values):
    return Scores({"loss": 1.0, "chrf": 50.0, **values}, [Answer(text, True) for text in texts])


ROWS = [Row((("Hi", "Ahoy"), ("A | B?", "Aye | nay"))), Row((("Two\nlines", "Arr"),))]
BASE, TUNED = scores(["one", "two"], loop_rate=0.5), scores(["x|y", "a\n\n| b |"], loop_rate=0.0)


LOOPING = Verdict("looping", ("why",))


def outcome(base, tuned, verdict=LOOPING):
    changes = {"loop_rate": Difference(45, 0.5, 0.0, -0.5, -0.9, 0.1, "by hand")}
    return Outcome(None, base, tuned, verdict, changes)  # type: ignore[arg-type]  (nothing was trained)


def test_the_table_pairs_each_row_with_both_answers():
    assert examples_table(ROWS, BASE, TUNED) == [
        {"prompt": "A | B?", "reference": "Aye | nay", "base": "one", "tuned": "x|y"},
        {"prompt": "Two\nlines", "reference": "Arr", "base": "two", "tuned": "a\n\n| b |"},
    ]


def test_tables_of_different_length_are_an_error():
    with pytest.raises(ValueError):
        examples_table(ROWS, BASE, scores(["only one"]))


def test_pipes_and_line_breaks_do_not_break_the_markdown_table():
    page = results_markdown(
        outcome(BASE, TUNED, Verdict("healthy", ("fine", "good"))), examples_table(ROWS, BASE, TUNED)
    )
    lines = page.splitlines()
    assert lines[0] == "# Evaluation: healthy" and "- fine" in lines and "- good" in lines
    start = lines.index("| prompt | reference | base | tuned |")
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[start:]]
    assert len(cells) == 4 and all(len(row) == 4 for row in cells)
    assert [cell.strip() for cell in cells[2]] == [r"A \| B?", r"Aye \| nay", "one", r"x\|y"]
    assert [cell.strip() for cell in cells[3]] == ["Two lines", "Arr", "two", r"a \| b \|"]


def test_the_markdown_page_has_every_metric_of_both_sides():
    page = results_markdown(outcome(BASE, TUNED), [])
    assert "| loss |  | 1 | 1 |  |" in page and "| chrf |  | 50 | 50 |  |" in page
    assert "| loop_rate | 45 | 0.5 | 0 | -0.50 (-0.90 to +0.10) |" in page


def test_the_screen_shows_base_tuned_and_change_of_what_both_have():
    base, tuned = scores(["a"], lexicon_rate=0.02, stop_rate=1.0), scores(["b"], lexicon_rate=0.94)
    lines = [line.split() for line in metrics_table(outcome(base, tuned), 45).splitlines()]
    assert lines == [
        ["45", "held-out", "rows", "base", "tuned", "change", "(95", "%", "interval)"],
        ["pirate", "lexicon", "0.02", "0.94"],
        ["chrF", "50.0", "50.0"],
    ]


def test_the_screen_shows_a_few_rows_of_the_whole_table_cut_to_its_width():
    table = [{"prompt": f"p{i} " + "x" * 300, "base": "b\nb", "tuned": "t"} for i in range(45)]
    shown = screen_table(table, shown=5, width=60).splitlines()
    prompts = [line for line in shown if line.startswith("  prompt")]
    assert [line.split()[1] for line in prompts] == ["p0", "p9", "p18", "p27", "p36"]
    assert all(len(line) <= 60 + 10 for line in shown) and all(line.endswith("...") for line in prompts)
    assert shown.count("  base    b b") == 5


def test_the_screen_shows_all_of_a_short_table():
    table = [{"prompt": f"p{i}", "base": "b", "tuned": "t"} for i in range(3)]
    assert screen_table(table).count("prompt") == 3 and screen_table([]) == ""
