"""Every rule of the training format is checked before anything is uploaded, and faults name file and line."""

import json

import pytest

from data.errors import DataError
from openai_jobs.validation import check, problems
from recipes.noisy_labels.preflight import estimated_tokens

USER, ANSWER = {"role": "user", "content": "Good?"}, {"role": "assistant", "content": "positive"}


def file_of(tmp_path, *odd, n=12):
    """A file of ``n`` good lines, the ones from line 4 on being ``odd``: objects, or texts as they are."""
    lines = [json.dumps({"messages": [{**USER, "content": f"Film {i}?"}, ANSWER]}) for i in range(n)]
    lines[3 : 3 + len(odd)] = [line if isinstance(line, str) else json.dumps(line) for line in odd]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def said(path, most_tokens=0):
    return list(problems(path, estimated_tokens, most_tokens, 10))


def test_a_file_by_all_rules_has_no_problem(tmp_path):
    weighed = {"messages": [{"role": "system", "content": "Judge."}, USER, {**ANSWER, "weight": 0}, USER, ANSWER]}
    assert said(file_of(tmp_path, weighed), 1000) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "JSON"),
        ([1], "no object with messages"),
        ({"prompt": "a", "completion": "b"}, "no object with messages"),
        ({"messages": []}, "messages"),
        ({"messages": [USER]}, "assistant"),
        ({"messages": [ANSWER]}, "user"),
        ({"messages": [{**USER, "role": "judge"}, ANSWER]}, "judge"),
        ({"messages": [{**USER, "content": 3}, ANSWER]}, "message 1 (user) is the number 3, not text"),
        ({"messages": [{**USER, "mood": "good"}, ANSWER]}, "message 1 has the unknown key 'mood'"),
        ({"messages": [USER, {**ANSWER, "weight": 2}]}, "message 2 has the weight 2; expected 0 or 1"),
        ({"messages": [{**USER, "weight": 1}, ANSWER]}, "message 1 (user) has a weight; only those by assistant can"),
        ({"messages": [USER, {**ANSWER, "weight": 0}]}, "every answer has the weight 0"),
        ({"messages": [{**USER, "content": "a <|im_end|> b"}, ANSWER]}, "message 1 holds the special token <|im_end|>"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named_with_file_and_line(line, words, tmp_path):
    [fault] = said(file_of(tmp_path, line))
    assert fault.startswith("train.jsonl row 4: ") or fault.startswith("train.jsonl line 4: ")
    assert words in fault


def test_too_few_rows_and_rows_that_would_lose_their_answer_are_named(tmp_path):
    assert "9 rows are too few; OpenAI trains on 10 or more" in said(file_of(tmp_path, n=9))[0]
    [fault] = said(file_of(tmp_path, {"messages": [{**USER, "content": "word " * 500}, ANSWER]}), 200)
    assert "row 4" in fault and "from 200 on its end, with the answer, would be cut off" in fault


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("data.formats.openai.MOST_BYTES", 2**10)
    assert "is the most that is taken" in said(file_of(tmp_path, n=40))[0]


def test_all_faults_are_reported_at_once(tmp_path):
    odd = [{"messages": [USER]}, {"messages": [{**USER, "weight": 1}, ANSWER]}]
    with pytest.raises(DataError) as caught:
        check(file_of(tmp_path, *odd), estimated_tokens, 0)
    assert len(str(caught.value).splitlines()) == 2
