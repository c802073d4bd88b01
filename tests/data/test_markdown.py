"""Markdown tables stay tables, whatever is in their cells."""

from data.markdown import bullets, plain, properties, table


def test_numbers_are_aligned_right_and_the_first_column_left():
    assert table(["metric", "base"], [("loss", 1)]) == ["| metric | base |", "| --- | ---: |", "| loss | 1 |"]
    assert table(["step", "text"], [], left=[1])[1] == "| ---: | --- |"


def test_pipes_and_line_breaks_do_not_break_a_cell():
    assert table(["text"], [["a | b\n\nc"]])[2] == r"| a \| b c |"


def test_lists_have_one_line_for_each_item():
    assert bullets(["one", "two"]) == ["- one", "- two"]
    assert properties({"rate": 0.5, "seed": 7}) == "- rate: 0.5\n- seed: 7"


def test_the_sentences_of_a_page_are_left_for_a_terminal():
    page = ["# Wrong labels", "", "![plots](x.png)", "", "**left out: 1.** They `hurt`.", "", "By cell:", "",
            "| a | b |", "| - | - |", "", "```", "code", "```", "## Claims", "- one"]  # fmt: skip
    assert plain("\n".join(page)) == "Wrong labels\n\nleft out: 1. They hurt.\n\nClaims\n- one"
