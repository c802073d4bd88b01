"""Problems of one kind are one line that names the rows."""

import pytest

from data.errors import DataError, grouped, ranges


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([7], "7"), ([3, 2], "2 and 3"), ([1, 2, 3], "1 to 3"), ([9, 1, 2, 3, 5], "1 to 3, 5 and 9"),
     (range(1, 100, 2), "1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 40 more")],
)  # fmt: skip
def test_numbers_are_ranges_in_words(numbers, words):
    assert ranges(numbers) == words


def test_three_problems_of_one_kind_are_one_line_where_the_first_stood():
    problems = [
        "a.csv row 1 (line 2): the response is blank",
        "a.csv row 2 (line 3): it has 3 fields, but the header has 2",
        "a.csv row 4 (line 5): the response is blank",
        "a.csv row 9 (line 10): the response is blank",
        "b.csv row 5: the response is blank",
        "the file is empty",
    ]
    assert grouped(problems) == [f"{problems[0]} (likewise rows 4 and 9)", problems[1], *problems[4:]]


@pytest.mark.parametrize("first", ["message 2 has the role 'bot'", "it has 3 fields", 'the labels decode to "a\'b"'])
def test_quoted_texts_and_numbers_make_no_other_kind(first):
    last = first.replace("bot", "it is").replace("3", "12").replace("a'b", "c")
    problems = [f"a.json row {i}: {first if i < 3 else last}" for i in range(1, 4)]
    assert grouped(problems) == [f"{problems[0]} (likewise rows 2 and 3)"]


def test_places_with_lines_and_bytes_are_grouped_too():
    broken = [f"a.jsonl row {i}, line {2 * i} column 3: broken JSON (Extra data)" for i in range(1, 5)]
    latin = [f"a.csv byte {70 * i} (line {i}): 0xe{i} is not UTF-8" for i in range(1, 5)]
    assert grouped(broken + latin) == [f"{broken[0]} (likewise rows 2 to 4)", f"{latin[0]} (likewise lines 2 to 4)"]


def test_an_error_keeps_every_problem_and_shows_twenty_kinds():
    problems = [f"{chr(97 + i)}.json row {row}: wrong" for i in range(22) for row in range(1, 5)]
    error = DataError(problems)
    lines = str(error).splitlines()
    assert error.problems == problems and len(lines) == 21 and lines[-1] == "... and 2 more problems."
