"""Users' own files are read as they are meant, and everything wrong in them is said at once."""

import gzip
import json
from pathlib import Path

import pytest

from data.conversation import Row
from data.errors import DataError
from data.formats import files, table
from data.formats.files import read_rows
from data.formats.records import Record

PAIRS = [{"prompt": "Hi.", "response": "Ahoy."}, {"prompt": "Bye.", "response": "Farewell."}]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Ahoy."},
    {"role": "user", "content": "Bye."},
    {"role": "assistant", "content": "Farewell."},
]


@pytest.fixture
def read(tmp_path):
    """Read rows from a file of the given name and content (text, bytes, or a value to be written as JSON)."""

    def read(name, content):
        text = content if isinstance(content, (bytes, str)) else json.dumps(content)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_rows(str(tmp_path / name))

    return read


@pytest.fixture
def problems(read):
    """The problems of a file."""

    def problems(name, content):
        with pytest.raises(DataError) as caught:
            read(name, content)
        return caught.value.problems

    return problems


def lines(*values):
    return "\n".join(json.dumps(value) for value in values)


def pair(prompt="Hi.", response="Ahoy.", **more):
    return {"prompt": prompt, "response": response, **more}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", PAIRS),
        ("p.json", json.dumps(PAIRS, indent=2) + "\n\n"),
        ("p.json", lines(*PAIRS)),
        ("p.JSON", "\n" + lines(*PAIRS)),
        ("p.jsonl", lines(*PAIRS)),
        ("p.jsonl", lines(*PAIRS).replace("\n", "\r\n") + "\r\n"),
        ("p.jsonl", json.dumps(PAIRS)),
        ("p.ndjson", lines(*PAIRS) + "\n"),
        ("p.csv", "prompt,response\nHi.,Ahoy.\nBye.,Farewell.\n"),
        ("p.csv", "id,response,prompt\r\n1,Ahoy.,Hi.\r\n2,Farewell.,Bye."),
        ("p.csv", "prompt;response\nHi.;Ahoy.\nBye.;Farewell.\n"),
        ("p.tsv", "prompt\tresponse\nHi.\tAhoy.\nBye.\tFarewell.\n"),
        ("p.jsonl", b"\xef\xbb\xbf" + lines(*PAIRS).encode()),
        ("p.csv", b"\xef\xbb\xbfprompt,response\nHi.,Ahoy.\nBye.,Farewell.\n"),
        ("p.json", [pair(" Hi.\n", "\n Ahoy.\t ", noise="none", label=1), PAIRS[1]]),
    ],
)
def test_the_same_pairs_come_out_of_every_format(read, name, content):
    assert [row.turns for row in read(name, content)] == [(("Hi.", "Ahoy."),), (("Bye.", "Farewell."),)]


def test_chat_messages_become_turns_and_a_system_text(read):
    (row,) = read("chat.jsonl", lines({"messages": CHAT, "id": 3}))
    assert row == Row((("Hi.", "Ahoy."), ("Bye.", "Farewell.")), "Be brief.", "chat.jsonl row 1")


def test_messages_are_used_where_a_prompt_comes_without_a_response(read):
    (row,) = read("chat.json", [{"prompt": "Hi.", "messages": CHAT[1:3]}])
    assert row.turns == (("Hi.", "Ahoy."),)


@pytest.mark.parametrize(
    ("name", "content", "wheres"),
    [
        ("my_pairs.json", PAIRS, ["my_pairs.json row 1", "my_pairs.json row 2"]),
        ("p.jsonl", lines(*PAIRS), ["p.jsonl row 1", "p.jsonl row 2"]),
        ("p.jsonl", lines(PAIRS[0]) + "\n\n" + lines(PAIRS[1]), ["p.jsonl row 1", "p.jsonl row 2 (line 3)"]),
        ("p.csv", 'prompt,response\n"Hi.\nYou.",Ahoy.\nBye.,So.', ["p.csv row 1 (line 2)", "p.csv row 2 (line 4)"]),
    ],
)
def test_a_row_knows_its_number_and_its_line(read, name, content, wheres):
    assert [row.where for row in read(name, content)] == wheres


def test_a_line_separator_within_a_text_ends_no_row(read):
    (row,) = read("p.jsonl", '{"prompt": "one\u2028two", "response": "Aye"}')
    assert row.prompt == "one\u2028two"


def test_one_prompt_may_have_two_responses(read):
    assert len(read("p.json", [pair(), pair(response="Arr.")])) == 2


EXPECTED = "expected prompt and response, or messages"
BAD = {
    "empty": ("p.json", b"", ["p.json: the file is empty"]),
    "blank": ("p.csv", b"\xef\xbb\xbf \n", ["p.csv: the file is empty"]),
    "no rows": ("p.json", "[]", ["p.json: there are no rows in it"]),
    "header only": ("p.csv", "prompt,response\n", ["p.csv: there are no rows in it"]),
    "unknown format": ("p.txt", "Hi.", ["p.txt: can't tell its format; the name must end in .json, .jsonl,"]),
    "latin-1": (
        "p.csv",
        "prompt,response\nHi,Café\nBye,Olé\n".encode("latin-1"),
        [
            "p.csv byte 22 (line 2): 0xe9 is not UTF-8; save the file as UTF-8",
            "p.csv byte 30 (line 3): 0xe9 is not UTF-8",
        ],
    ),
    "utf-16": ("p.json", json.dumps(PAIRS).encode("utf-16"), ["p.json byte 0 (line 1): it is UTF-16"]),
    "nul byte": ("p.jsonl", lines(pair()).encode() + b"\n\0\n", ["p.jsonl byte 39 (line 2): a NUL byte"]),
    "nul character": ("p.jsonl", lines(pair(response="a\0b")), ["p.jsonl row 1: the response holds a NUL character"]),
    "lone surrogate": ("p.jsonl", r'{"prompt": "\ud83d", "response": "x"}', ["the prompt holds half a char"]),
    "cut array": (
        "p.json",
        '[{"prompt": "Hi.", "response": "Ahoy."},\n {"prompt": "By',
        ["p.json line 2 column 13: broken JSON (Unterminated string starting at); the file looks cut off"],
    ),
    "cut after a comma": ("p.json", '[{"prompt": "a", "response": "b"},\n', ["looks cut off"]),
    "cut line": (
        "p.jsonl",
        lines(pair()) + '\n\n{"prompt": "Bye.", "resp',
        ["p.jsonl row 2, line 3 column 20: broken JSON (Unterminated string starting at); the file looks cut off"],
    ),
    "cut line in .json": ("p.json", lines(pair()) + '\n{"prompt":', ["p.json row 2, line 2 column 11: broken JSON"]),
    "broken JSON": ("p.json", '[{"prompt": "a" "response": "b"}]', ["line 1 column 17: broken JSON (Expecting ','"]),
    "too deep": ("p.json", "[" * 200_000, ["p.json line 1: it can't be read as JSON"]),
    "not an array": (
        "p.json",
        {"data": PAIRS},
        ['p.json: it holds an object, not an array of objects; take out the list under "data"'],
    ),
    "a number": ("p.json", "7", ["p.json: it holds the number 7, not an array of objects"]),
    "not objects": (
        "p.json",
        ["Hi.", 3, None, PAIRS[0]],
        [
            f"p.json row 1: it is text, not an object; {EXPECTED}",
            "p.json row 2: it is the number 3, not an object",
            "p.json row 3: it is null, not an object",
        ],
    ),
    "number": ("p.json", [pair(response=5)], ["p.json row 1: the response is the number 5, not text"]),
    "null, list": (
        "p.json",
        [pair(None, ["a"])],
        ["row 1: the prompt is null, not text", "row 1: the response is a list, not text"],
    ),
    "blank response": ("p.json", [PAIRS[0], pair(response=" \n")], ["p.json row 2: the response is blank"]),
    "invisible prompt": ("p.json", [pair(prompt="\u200b")], ["p.json row 1: the prompt is blank"]),
    "duplicate": (
        "p.json",
        [pair(), PAIRS[1], pair(" Hi. ")],
        ["p.json row 3: its prompt and response are those of p.json row 1 again: keep one of the two"],
    ),
    "headerless": (
        "p.csv",
        "Hi.,Ahoy.\nBye.,So.",
        ["p.csv line 1: the first line must be a header; its columns are Hi., Ahoy.; expected prompt and response"],
    ),
    "ragged": (
        "p.csv",
        "prompt,response\nHi, you,Ahoy.\nBye.\nSo,So",
        [
            "p.csv row 1 (line 2): it has 3 fields, but the header has 2; put texts that hold the separator into",
            "p.csv row 2 (line 3): it has 1 field, but the header has 2; some are missing",
        ],
    ),
    "open quote": ("p.csv", 'prompt,response\nHi,"Ahoy\nBye,So', ["p.csv row 1 (line 2): broken CSV", "looks cut off"]),
    "column twice": ("p.csv", "prompt,prompt,response\na,b,c", ["p.csv line 1: the header names prompt twice"]),
    "messages column": ("p.csv", "messages\nHi", ["p.csv row 1 (line 2): messages is text, not a list of objects"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_place_and_reason(problems, case):
    name, content, expected = BAD[case]
    found = "\n".join(problems(name, content))
    assert [part for part in expected if part not in found] == [], found


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        (("prompt", "output"), '"output" to "response"'),
        (("prompt", "completion"), '"completion" to "response"'),
        (("prompt", "text"), '"text" to "response"'),
        (("text", "label"), '"text" to "prompt" and "label" to "response"'),
        (("instruction", "answer"), '"instruction" to "prompt" and "answer" to "response"'),
        (("Prompt", "Response"), '"Prompt" to "prompt" and "Response" to "response"'),
        (("promt", "respones"), '"promt" to "prompt" and "respones" to "response"'),
        (("dialogue",), '"dialogue" to "messages"'),
    ],
)
def test_wrong_keys_are_named_with_what_was_probably_meant(problems, keys, hint):
    (problem,) = problems("p.json", [dict.fromkeys(keys, "x")])
    assert problem == f"p.json row 1: its keys are {', '.join(keys)}; {EXPECTED} (rename {hint}?)"


def test_keys_that_resemble_nothing_get_no_hint(problems):
    assert problems("p.json", [{"a": 1}, {}]) == [
        f"p.json row 1: its keys are a; {EXPECTED}",
        f"p.json row 2: it has no keys; {EXPECTED}",
    ]


def test_a_mistake_in_the_keys_of_every_row_is_one_line(read):
    with pytest.raises(DataError) as caught:
        read("p.json", [{"prompt": "x", "output": str(i)} for i in range(50)] + [pair(response="")])
    found = str(caught.value).splitlines()
    assert found[0].startswith("p.json row 1: its keys are prompt, output")
    assert found[0].endswith("(likewise rows 2 to 50)")
    assert found[1:] == ["p.json row 51: the response is blank"]


def said(role, content="Hi."):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "messages is an empty list, not a list of objects"),
        ("Hi", "messages is text, not a list of objects"),
        (["Hi"], "message 1 is text, not an object with role and content"),
        ([{"from": "human", "value": "Hi"}], "message 1 has the keys from, value; expected role and content"),
        ([said("user"), said("bot")], "message 2 has the role 'bot'; expected system, user, assistant"),
        ([said("user"), said(["x"])], "message 2 has the role ['x']"),
        ([said("user", None), said("assistant")], "message 1 (user) is null, not text"),
        ([said("user"), said("assistant", " ")], "message 2 (assistant) is blank"),
        ([said("assistant")], "message 1 is by assistant, where user must come"),
        ([said("user"), said("user")], "message 2 is by user, where assistant must come"),
        ([said("user"), said("system"), said("assistant")], "message 2 is by system, where assistant must come"),
        ([said("user"), said("assistant"), said("user")], "the last message is by user; it must be by assistant"),
        ([said("system")], "the last message is by system; it must be by assistant"),
    ],
)
def test_messages_that_do_not_alternate_are_refused(problems, messages, expected):
    (problem,) = problems("c.json", [{"messages": messages}])
    assert problem.startswith(f"c.json row 1: {expected}")


def test_all_problems_are_reported_at_once(problems):
    text = "\n".join([lines(pair(response="")), "{", lines(pair(), pair(7), {"a": 1}, pair())])
    found = "\n".join(problems("p.jsonl", text))
    for part in (
        "row 1: the response is blank",
        "row 2, line 2",
        "row 4: the prompt is the number 7",
        "row 5: its keys",
        "row 6: its prompt and response are those of p.jsonl row 3",
    ):
        assert part in found
    assert "cut off" not in found


def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl: there is no such file"):
        read_rows(str(tmp_path / "gone.jsonl"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="this is a folder; give one file in it"):
        read_rows(str(tmp_path))


@pytest.mark.parametrize(
    ("error", "said"),
    [(PermissionError(13, "x"), "no permission to read it"), (OSError(5, "Bad disk"), r"\(Bad disk\)")],
)
def test_an_unreadable_file_is_refused(tmp_path, monkeypatch, error, said):
    (tmp_path / "p.json").write_text("[]")

    def refuse(path):
        raise error

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=rf"p\.json: .*{said}"):
        read_rows(str(tmp_path / "p.json"))


def test_a_format_added_to_the_table_is_read_packed_or_not_and_named_in_refusals(tmp_path, monkeypatch):
    def parse(text, name, header_problems):
        pairs = [line.split(" => ") for line in text.splitlines()]
        return [Record(f"{name} row {i}", {"prompt": p, "response": r}) for i, (p, r) in enumerate(pairs, 1)], []

    monkeypatch.setitem(table.FORMATS, ".arrows", table.Format("prompt => response", parse))
    path = tmp_path / "x.arrows"
    path.write_text("Hi => Ahoy\nBye => Farewell\n")
    assert [row.turns for row in read_rows(str(path))] == [(("Hi", "Ahoy"),), (("Bye", "Farewell"),)]
    packed = tmp_path / "x.arrows.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [found.value["prompt"] for found in files.parse_file(packed, lambda *_: [])[0]] == ["Hi", "Bye"]
    (tmp_path / "x.txt").write_text("Hi")
    with pytest.raises(DataError, match="must end in .json, .*.arrows"):
        read_rows(str(tmp_path / "x.txt"))
