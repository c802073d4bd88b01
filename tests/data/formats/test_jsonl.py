"""Files of any format, packed or not, are read; whatever is broken is one clear line, never a traceback."""

import gzip
import json
import random

import pytest

from data.formats import files, jsonl
from data.formats.records import Record


def no_header_faults(header, where):
    return []


def test_json_lines_are_streamed_packed_or_not(tmp_path):
    text = '{"a": 1}\n\n{"a": 2}\n'
    (tmp_path / "x.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.write(text)
    problems = []
    for name in ("x.jsonl", "x.jsonl.gz"):
        assert list(jsonl.stream(tmp_path / name, problems)) == [
            Record(f"{name} row 1", {"a": 1}), Record(f"{name} row 2 (line 3)", {"a": 2})
        ]  # fmt: skip
    assert problems == []


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.json", "x.jsonl", "x.csv.gz", "x.json.gz"])
def test_every_format_gives_the_same_records(tmp_path, name):
    kind = files.suffix_of(tmp_path / name)
    tab = "\t" if kind == ".tsv" else ","
    text = {".json": '[{"a": "1", "b": "2"}]', ".jsonl": '{"a": "1", "b": "2"}'}.get(kind, f"a{tab}b\n1{tab}2\n")
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    place = f"{name} row 1 (line 2)" if kind in (".csv", ".tsv") else f"{name} row 1"
    assert files.parse_file(tmp_path / name, no_header_faults) == ([Record(place, {"a": "1", "b": "2"})], [])


def test_broken_places_are_named_and_the_others_still_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\xff\n{"a": 2}\n')
    problems = []
    assert [record.where for record in jsonl.stream(path, problems)] == ["x.jsonl row 1", "x.jsonl row 4"]
    assert len(problems) == 2
    assert problems[0].startswith("x.jsonl row 2: broken JSON") and "row 3: byte 1 is not UTF-8" in problems[1]


def test_a_file_of_nothing_but_faults_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("oops\n" * 5000)
    problems = []
    assert list(jsonl.stream(path, problems)) == [] and len(problems) == jsonl.MOST_PROBLEMS


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        (
            "x.jsonl.gz",
            gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)[:-20],
            "the gzip data is cut off; fetch the file again",
        ),
        ("x.csv.gz", gzip.compress(b"a\n1\n", mtime=0)[:-6], "the gzip data is cut off"),
        ("x.jsonl.gz", b'{"a": 1}\n', "the gzip data is damaged"),
        ("x.json.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 40, "the gzip data"),
        ("x.jsonl.gz", b"", "the file is empty"),
        ("x.jsonl", b"\n\n", "the file is empty"),
        ("x.txt", b"a", "can't tell its format"),
        ("x.gz", b"a", "can't tell its format"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_clear_line(tmp_path, name, raw, said):
    (tmp_path / name).write_bytes(raw)
    found, problems = files.parse_file(tmp_path / name, no_header_faults)
    assert len(problems) == 1 and problems[0].startswith(name) and said in problems[0], problems


def test_a_missing_file_and_a_folder_are_clear_lines(tmp_path):
    assert "there is no such file" in files.parse_file(tmp_path / "no.csv", no_header_faults)[1][0]
    assert "this is a folder" in files.parse_file(tmp_path, no_header_faults)[1][0]


def test_damage_at_any_place_of_a_packed_file_is_a_problem_or_does_no_harm(tmp_path):
    whole = b"".join(
        json.dumps({"text": f"row {i} {'x' * (i % 40)}", "label": i % 2}).encode() + b"\n" for i in range(300)
    )
    packed = gzip.compress(whole)
    path, rng = tmp_path / "x.jsonl.gz", random.Random(0)
    for _ in range(120):
        raw = bytearray(packed)
        if rng.random() < 0.5:
            del raw[rng.randrange(len(raw)) :]
        else:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(raw)
        problems: list[str] = []
        found = list(jsonl.stream(path, problems))
        if not problems:  # a flipped bit of the header's time or name
            assert len(found) == 300
        assert all(line.startswith("x.jsonl.gz") for line in problems)


def test_a_name_tells_a_file_from_a_data_set(tmp_path):
    (tmp_path / "plain").write_text("")
    assert files.is_file("no/such.csv.GZ") and files.is_file(str(tmp_path / "plain"))
    assert not files.is_file("owner/name")
