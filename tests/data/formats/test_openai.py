"""Chat JSONL is what OpenAI takes, the same bytes each time, and written without holding its rows."""

import gzip
import json
import tracemalloc
from hashlib import sha256

import pytest

from data.corruption import Noise, corrupt, stream
from data.errors import DataError
from data.formats import openai
from data.labelled import ANSWERS, SENTIMENTS, LabelledRow, QuestionRow
from data.prompts import BARE, QUESTION, REVIEW, messages

AWKWARD = 'quote " slash \\ brace {text} line\nbreak \u2028 \u00e9 \U0001f600 tab\t\x7f'


def rows(n=20, text="film {i}"):
    return [LabelledRow(text.replace("{i}", str(i)), i % 2, f"r-{i + 1}", i) for i in range(n)]


@pytest.mark.parametrize("template", [REVIEW, BARE])
def test_each_line_holds_the_messages_of_its_row(tmp_path, template):
    found = [*rows(), LabelledRow(AWKWARD, 1, "r-99", 98)]
    written = openai.write(found, tmp_path / "chat.jsonl", SENTIMENTS, template)
    raw = (tmp_path / "chat.jsonl").read_bytes()
    lines = raw.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [{"messages": messages(r, SENTIMENTS, template)} for r in found]
    assert (written.rows, written.size_bytes, written.sha256) == (21, len(raw), sha256(raw).hexdigest())
    assert list(openai.problems(tmp_path / "chat.jsonl")) == []


def test_a_line_is_spelt_as_json_spells_it():
    row = LabelledRow(AWKWARD, 0, "r-1", 0)
    expected = json.dumps({"messages": messages(row, SENTIMENTS, REVIEW)}, ensure_ascii=False) + "\n"
    assert openai.line(row, SENTIMENTS, REVIEW) == expected


def test_questions_are_written_with_the_answer_that_is_taught():
    row = QuestionRow("Why?", "So", ("So",), ("No",), "q-1", 0)
    taught = corrupt([row], Noise("best_swapped", 1.0)).rows[0]
    line = json.loads(openai.line(taught, ANSWERS, QUESTION))
    assert line["messages"][-1] == {"role": "assistant", "content": "No"}


def test_text_and_label_change_together(tmp_path):
    taught = corrupt(rows(200), Noise(rate=0.5))
    openai.write(taught.rows, tmp_path / "chat.jsonl", SENTIMENTS, REVIEW)
    lines = [json.loads(line)["messages"] for line in (tmp_path / "chat.jsonl").open()]
    said = {line[1]["content"]: line[2]["content"] for line in lines}
    assert all(said[REVIEW.user_text(r.text)] == SENTIMENTS[r.label] for r in taught.rows)
    assert sum(said[REVIEW.user_text(r.text)] != SENTIMENTS[r.label] for r in rows(200)) == sum(taught.flipped)


def test_a_packed_file_holds_the_same_and_has_the_same_bytes_each_time(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz", "c.jsonl"):
        written = openai.write(rows(), tmp_path / name, SENTIMENTS, REVIEW)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes()[3:8] == bytes(5), "no name and no time in its header"
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "c.jsonl").read_bytes()
    assert openai.write(rows(), tmp_path / "d.jsonl.gz", SENTIMENTS, REVIEW).sha256 == written.sha256


def test_rows_are_written_as_they_come_in_constant_memory(tmp_path):
    def peak(n):
        many = (LabelledRow("x" * 1000 + str(i), i % 2, f"r-{i}", i) for i in range(n))
        taught = (row for row, _ in stream(many, Noise()))
        tracemalloc.start()
        openai.write(taught, tmp_path / f"{n}.jsonl", SENTIMENTS, REVIEW)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(300), peak(9000)
    assert many - few < 200_000  # 9,000 rows are 9 MB; eight bytes a row are the draws


def test_a_file_that_is_not_finished_does_not_appear(tmp_path):
    def broken():
        yield from rows()
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        openai.write(broken(), tmp_path / "chat.jsonl", SENTIMENTS, REVIEW)
    with pytest.raises(DataError, match="chat.jsonl: 9 rows are too few; OpenAI trains on 10 or more"):
        openai.write(rows(9), tmp_path / "chat.jsonl", SENTIMENTS, REVIEW)
    assert list(tmp_path.iterdir()) == []


GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 1}]}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"prompt": "a"}, "row 11: it is no object with messages"),
        (["a"], "row 11: it is no object with messages"),
        ({"messages": []}, "row 11: messages is an empty list"),
        ({"messages": [{"role": "user", "content": "a"}]}, "row 11: the last message is by user"),
        ({"messages": [*GOOD["messages"][:1], {"role": "assistant", "content": " "}]}, "is blank"),
        ({"messages": [*GOOD["messages"][:1], {"role": "bot", "content": "b"}]}, "has the role 'bot'"),
        ({"messages": [*GOOD["messages"][:1], {**GOOD["messages"][1], "weight": 2}]}, "has the weight 2"),
        ({"messages": [*GOOD["messages"][:1], {**GOOD["messages"][1], "wieght": 1}]}, "unknown key 'wieght'"),
    ],
)
def test_what_openai_would_refuse_is_found_before(tmp_path, bad, said):
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [GOOD] * 10 + [bad]))
    (problem,) = openai.problems(path)
    assert said in problem
    path.write_text(json.dumps(GOOD) + "\n{oops\n")
    assert [line.partition(": ")[0] for line in openai.problems(path)] == ["chat.jsonl row 2", "chat.jsonl"]
