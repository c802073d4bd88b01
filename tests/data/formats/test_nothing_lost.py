"""Whatever a file holds is read, refused by name, or named as not used; nothing is lost in silence."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.formats import conversations, records
from data.formats.files import Loaded, load
from data.formats.texts import cleaned, is_blank

NAMES = ["Ann", "Bob", "Cleo", "Dan"]
PAIRS = [{"prompt": f"Where is {name}?", "response": f"{name} be here."} for name in NAMES]
TURNS = [((pair["prompt"], pair["response"]),) for pair in PAIRS]
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path):
    """Load a file of the given name with the given content: bytes, text, or a list of values as JSON lines."""

    def read(name: str, content) -> Loaded:
        if isinstance(content, list):
            content = "\n".join(map(json.dumps, content))
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(str(tmp_path / name))

    return read


def as_table(rows, separator=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_parquet(rows):
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def as_arrow(rows, kind):
    import pyarrow

    table, out = pyarrow.Table.from_pylist(rows), io.BytesIO()
    with getattr(pyarrow.ipc, kind)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def said(*texts, system=None):
    roles = ["user", "assistant"] * len(texts)
    start = [] if system is None else [{"role": "system", "content": system}]
    return start + [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def turns(loaded):
    return [row.turns for row in loaded.rows]


# Files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", "\n".join(json.dumps(pair, indent=2) for pair in PAIRS)),
        ("p.jsonl", "\n\n".join(json.dumps(pair, indent=2) for pair in PAIRS)),
        ("p.ndjson", json.dumps(PAIRS, indent=1)),
        ("p.csv", as_table(PAIRS, "\t")),
        ("p.csv", as_table(PAIRS, ";")),
        ("p.csv", as_table(PAIRS, "|")),
        ("p.tsv", as_table(PAIRS)),
        ("p.csv", "sep=;\r\n" + as_table(PAIRS, ";")),
        ("p.csv", '\ufeff"sep=|"\n' + as_table(PAIRS, "|")),
        ("p.csv", as_table(PAIRS) + ",\n,\n"),
        ("p.csv", as_table(PAIRS).replace("\r\n", ",,\r\n")),
        ("p.parquet", as_parquet(PAIRS)),
        ("p.parquet.gz", gzip.compress(as_parquet(PAIRS), mtime=0)),
        ("p.jsonl.gz", gzip.compress("\n".join(map(json.dumps, PAIRS)).encode(), mtime=0)),
        ("p.csv", gzip.compress(as_table(PAIRS).encode(), mtime=0)),
        ("p.csv.gz", gzip.compress(gzip.compress(as_table(PAIRS).encode()), mtime=0)),
        ("p.arrow", as_arrow(PAIRS, "new_stream")),
        ("p.arrow", as_arrow(PAIRS, "new_file")),
        ("p.csv", "sep=;;\n" + as_table(PAIRS, ";")),
        ("p.csv", '"sep = \\t"\r\n' + as_table(PAIRS, "\t")),
        ("p.jsonl", "\n\ufeff".join(map(json.dumps, PAIRS))),
        ("p.jsonl", [{**pair, "messages": None, "instruction": ""} for pair in PAIRS]),
        ("p.jsonl", [{"prompt": None, "response": "", "messages": said(*pair.values())} for pair in PAIRS]),
        ("p.jsonl", [{"messages": [], "conversations": json.dumps(said(*pair.values()))} for pair in PAIRS]),
    ],
)
def test_every_way_to_write_a_file_gives_the_same_rows(read, name, content):
    loaded = read(name, content)
    assert (turns(loaded), loaded.notes) == (TURNS, ())


def test_a_separator_within_texts_does_not_mislead(read):
    rows = [{"response": "a, b, c; d, e", "prompt": f"one,two,three {i}"} for i in range(4)]
    for separator in ",;\t|":
        assert turns(read("p.csv", as_table(rows, separator)))[0] == (("one,two,three 0", "a, b, c; d, e"),)


def test_cells_of_any_length_and_with_line_ends_are_read(read):
    rows = [{"prompt": "Long?", "response": "x" * 300_000}, {"prompt": "Lines?", "response": "a\r\nb\rc\n\nd"}]
    assert turns(read("p.csv", as_table(rows)))[1] == (("Lines?", "a\nb\nc\n\nd"),)
    assert turns(read("p.jsonl", rows)) == turns(read("p.csv", as_table(rows)))


@pytest.mark.parametrize("text", ["    return x", "\treturn x", "  if x:\n    y"])
def test_the_indentation_of_code_is_kept(read, text):
    rows = [{"prompt": f"\n \n{text}", "response": f"{text}\n"}]
    assert turns(read("p.jsonl", rows)) == turns(read("p.csv", as_table(rows))) == [((text, text),)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "p.jsonl",
            ",\n".join(map(json.dumps, PAIRS)),
            "row 1, line 1 column 56: .*a comma ends the line.*rows 2 and 3",
        ),
        ("p.jsonl", "\n".join(map(str, PAIRS)), r"single quotes are no JSON.*\(likewise rows 2 to 4\)"),
        (
            "p.json",
            json.dumps(PAIRS[:1])[:-1] + ",\n]",
            "line 1 column 57: .*a comma stands before the closing bracket",
        ),
        ("p.jsonl", '{"prompt": "a", "response": "b",}', "a comma before it has nothing after it"),
        ("p.json", ",".join(json.dumps(pair, indent=1) for pair in PAIRS), "a comma stands between two objects"),
        ("p.json", json.dumps({"version": 1, "data": PAIRS}), 'take out the list under "data"'),
        ("p.jsonl", '{"prompt": "a", "response": "b", "response": "c"}', "the key 'response' stands twice"),
        ("p.json", '[{"prompt": "a", "response": "b", "prompt": "c"}]', "the key 'prompt' stands twice"),
        ("p.csv", "id,prompt,response,id\n1,a,b,2\n", "the header names id twice"),
        ("p.jsonl", "\n,".join(map(json.dumps, PAIRS)), r"no comma may stand here.*\(likewise rows 3 and 4\)"),
        ("p.jsonl", "".join(map(json.dumps, PAIRS)), "write one object a line"),
        ("p.jsonl", '{"prompt": "a", "response": None}', "no JSON but Python"),
        ("p.jsonl", "{\u201cprompt\u201d: \u201ca\u201d}", "curly quotation marks"),
        ("p.jsonl", "\n".join(json.dumps([pair]) for pair in PAIRS), "several arrays"),
        ("p.jsonl", "\n".join(json.dumps(said("a", "b")) for _ in PAIRS), 'write {"messages"'),
        ("p.json", json.dumps({"data": {"train": PAIRS}}), 'take out the list under "data.train"'),
        ("p.json", json.dumps({"messages": PAIRS}), 'take out the list under "messages"'),
        ("p.json", json.dumps({"rows": dict(enumerate(PAIRS))}), 'write the objects under "rows" as a list'),
        ("p.json", json.dumps(dict(enumerate(PAIRS))), "write its objects as a list"),
        ("p.json", '{"prompt": {"0": "a"}, "response": {"0": "b"}}', "its columns are lists.*orient='records'"),
        ("p.json", '{"prompt": ["a"], "response": ["b"]}', "its columns are lists.*orient='records'"),
        (
            "p.jsonl",
            "\n".join(json.dumps(json.dumps(pair)) for pair in PAIRS),
            "it is text that holds JSON, not an obj",
        ),
        ("p.tsv", 'prompt\tresponse\n"Hi" he said\tx\n', "a quotation mark within a quoted text must stand twice"),
        ("p.arrow", b"no table", "can't be read as Arrow"),
        ("p.jsonl", "{}".encode("utf-16-le"), "it is UTF-16 or UTF-32; save it as UTF-8"),
        ("p.csv", b"PK\x03\x04 a workbook", "it is a zip archive or an Excel workbook"),
        ("p.csv", b"\xfd7zXZ\0", "packed with xz; unpack it, or pack it with gzip"),
        ("p.jsonl.zst", b"\x28\xb5\x2f\xfd", "it is packed; unpack it, or pack it with gzip"),
        ("p.tar.gz", b"\x1f\x8b", "it is an archive; unpack it"),
        ("p.xlsx", b"PK\x03\x04", "it is a workbook; save the sheet as CSV"),
        ("p.csv", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("p.parquet", b"no table", "can't be read as Parquet"),
    ],
)
def test_what_can_not_be_read_is_one_line_with_its_reason(read, name, content, words):
    with pytest.raises(DataError, match=words) as caught:
        read(name, content)
    assert len(str(caught.value).splitlines()) == 1


# Records


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Name it.", "input": "We saw Bonn.", "output": "Bonn."},
        {"instruction": "Name it.", "context": "We saw Bonn.", "response": "Bonn."},
        {"prompt": "Name it.", "input": "We saw Bonn.", "response": "Bonn."},
        {"prompt": "Name it.", "context": "We saw Bonn.", "chosen": "Bonn."},
        {"messages": said("Name it.\nWe saw Bonn.", "Bonn.")},
        {"messages": json.dumps(said("Name it.\nWe saw Bonn.", "Bonn."))},
        {"messages": said([{"type": "text", "text": "Name it.\n"}, {"type": "text", "text": "We saw Bonn."}], "Bonn.")},
        {"conversations": [{"from": "human", "value": "Name it.\nWe saw Bonn."}, {"from": "gpt", "value": "Bonn."}]},
        {"conversations": said("Name it.\nWe saw Bonn.", "Bonn."), "tools": []},
        {"conversations": [{"from": "Human", "content": "Name it.\nWe saw Bonn."}, {"role": "bot", "value": "Bonn."}]},
        {"messages": json.dumps(json.dumps(said("Name it.\nWe saw Bonn.", "Bonn.")))},
        {"messages": said([{"type": "input_text", "text": "Name it.\nWe saw Bonn."}], "Bonn.")},
    ],
)
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_every_layout_gives_the_same_row(read, record, system):
    (row,) = read("p.jsonl", [{**record, "system": system, **({"rejected": "No."} if "chosen" in record else {})}]).rows
    assert (row.turns, row.system) == ((("Name it.\nWe saw Bonn.", "Bonn."),), system)


def test_history_and_thoughts_are_kept(read):
    row = {"instruction": "And now?", "input": "", "output": "Aye.", "thinking": "Yes.", "history": [["Hi.", "Ahoy."]]}
    messages = said("Hi.", "Ahoy.", "And now?") + [{**said("", "Aye.")[1], "reasoning_content": "Yes."}]
    sharegpt = [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Ahoy."}]
    others = [{**row, "history": history} for history in (json.dumps([["Hi.", "Ahoy."]]), sharegpt)]
    for record in (row, {"messages": messages}, *others):
        (found,) = read("p.jsonl", [record]).rows
        assert found.turns == (("Hi.", "Ahoy."), ("And now?", "Aye."))
        assert found.thoughts == ("", "Yes.")


def test_a_message_of_the_developer_is_the_system_message(read):
    chats = [said("Hi.", "Ahoy.", system="Be brief."), said("Hi.", "Ahoy.", system="Be brief.")]
    chats[1][0]["role"] = "developer"
    for tools in ({}, {"tools": [{"type": "function", "function": {"name": "f"}}]}):
        first, second = (read("p.jsonl", [{"messages": chat, **tools}]).rows[0] for chat in chats)
        assert first == second and first.system == "Be brief."


@pytest.mark.parametrize("system", ["", " ", None])
def test_an_empty_system_message_is_none(read, system):
    message = {"role": "system", "content": system}
    assert read("p.jsonl", [{"messages": [message, *said("Hi.", "Ahoy.")]}]).rows[0].system == ""


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = "it calls or offers tools"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"messages": [*said("Hi."), {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
            "calls 'f', which is none of the row's tools: it lists none, so its calls can't be trained",
        ),
        ({"messages": [*said("Hi.", "Ho."), {"role": "tool", "content": "9"}, *said("", "Aye.")[1:]]}, "3 is by tool"),
        ({"messages": said("Hi.", "Ahoy."), "tools": [{"type": "function"}]}, "tool 1 is no object of type function"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "b"}]}, TOOLS),
        ({"messages": [*said("Hi."), {**said("", "Ahoy.")[1], "weight": 0.5}]}, "message 2 has the weight 0.5"),
        ({"messages": [{**said("Hi.")[0], "weight": 1}, *said("", "Ahoy.")[1:]]}, "only those by assistant can"),
        (
            {"messages": [{**said("Hi.")[0], "thinking": "Hm."}, *said("", "Ahoy.")[1:]]},
            "has thinking; only messages by",
        ),
        ({"messages": said("Hi.", [{"type": "image_url", "image_url": {}}])}, "part of type 'image_url'; only"),
        ({"messages": said("", "Ahoy.", "Hi.", "Aye.")[1:]}, "message 1 is by assistant, where user must come"),
        ({"messages": "[{'role': 'user'}]"}, "messages is text that holds no JSON"),
        ({"messages": said("Hi.", "Ahoy.", system="Be brief."), "system": "Be long."}, "another system message"),
        (
            {"prompt": "Hi.", "response": "Ahoy.", "system": "a", "system_prompt": "b"},
            "system and system_prompt differ",
        ),
        ({"prompt": "Hi.", "response": "Ahoy.", "input": ["a"]}, "its input is a list, not text"),
        ({"prompt": "Hi.", "response": "Ahoy.", "history": "before"}, "its history is text, not a list"),
        ({"prompt": "Hi.", "response": "Ahoy.", "history": [["a", ""]]}, "its history: message 2 .* is blank"),
        ({"messages": said("Hi.", "")}, r"message 2 \(assistant\) is blank"),
        ({"messages": said("Hi.", ["Ahoy."])}, "has a part that is text, not an object with type and text"),
        ({"messages": said("Hi.", "<think>Hm. Ahoy.")}, "begins with <think> and has no </think>"),
        ({"prompt": "Hi.", "response": "<think>Hm.</think>"}, "the response holds nothing after </think>"),
        (
            {"prompt": "Hi.", "response": "<think>Hm.</think>Ahoy.", "thinking": "Hm."},
            "the response has thinking and begins with <think>; keep one",
        ),
    ],
)
def test_what_can_not_be_trained_is_refused_by_name_once_for_all_rows(read, record, words):
    with pytest.raises(DataError, match=words) as caught:
        read("p.jsonl", [record] * 5)
    assert str(caught.value).endswith("(likewise rows 2 to 5)") and len(str(caught.value).splitlines()) == 1


def test_an_empty_thought_is_no_part_of_an_answer_and_named_once(read):
    rows = [{**pair, "response": f"<think>\n\n</think>\n\n{pair['response']}"} for pair in PAIRS]
    loaded = read("p.jsonl", [*rows, {"prompt": "Why?", "response": "<think>Hm.</think>Aye."}])
    assert turns(loaded) == [*TURNS, (("Why?", "<think>Hm.</think>Aye."),)]
    assert loaded.notes == ("p.jsonl: the empty <think></think> before answers of 4 rows is no part of them",)


def test_columns_and_keys_of_messages_that_are_not_used_are_named_once(read):
    rows = [
        {"messages": [{**said("Hi.")[0], "name": "Ann"}, *said("", f"Ahoy {i}.")[1:]], "id": i, "none": None, "odd": {}}
        for i in range(3)
    ]
    assert read("p.jsonl", rows).notes == ("p.jsonl: columns not used: id", "p.jsonl: keys of messages not used: name")
    rows = [{"prompt": "Hi.", "chosen": "Ahoy.", "rejected": "No.", "score": 5}]
    assert read("p.csv", as_table(rows)).notes == ("p.csv: columns not used: rejected, score",)


# Anything

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
BLANKS = st.sampled_from([None, "", " ", []])
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": TEXTS | BLANKS},
        optional={key: TEXTS | BLANKS for key in ("name", "reasoning_content", "tool_calls", "weight", "odd")},
    ),
    max_size=4,
)
COLUMNS = (
    *{column for layout in records.LAYOUTS for column in layout},
    *(*records.PROMPT_PARTS, *records.SYSTEM_COLUMNS, *records.THOUGHT_COLUMNS, *conversations.TOOL_KEYS),
    *("history", "text", "odd"),
)
RECORDS = st.dictionaries(st.sampled_from(COLUMNS), TEXTS | BLANKS | MESSAGES, max_size=6)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for held in value.values() for leaf in leaves(held)]
    if isinstance(value, list):
        return [leaf for held in value for leaf in leaves(held)]
    return [value] if isinstance(value, str) and not is_blank(value) else []


def texts_of(row):
    return "\n".join([row.system, *row.thoughts, *(text for turn in row.turns for text in turn)])


def lost(record, row, notes):
    """The texts of a record that are neither in its row nor under a key that the notes name."""
    kept = texts_of(row)
    named = {name for note in notes for name in note.rpartition("not used: ")[2].split(", ")}
    for key, held in record.items():
        if key not in named:
            for each in held if isinstance(held, list) else [held]:
                parts = {k: v for k, v in each.items() if k not in (*named, "role")} if isinstance(each, dict) else each
                yield from (text for text in leaves(parts) if cleaned(text) not in kept)


@QUICK
@given(
    record=st.fixed_dictionaries({"prompt": TEXTS, "response": TEXTS}).flatmap(lambda a: RECORDS.map(lambda b: b | a))
)
def test_no_text_beside_a_pair_is_lost_in_silence(read, record):
    check_nothing_is_lost(read, record)


@QUICK
@given(record=RECORDS)
def test_no_text_of_any_record_is_lost_in_silence(read, record):
    check_nothing_is_lost(read, record)


@QUICK
@given(
    texts=st.lists(TEXTS.filter(lambda text: not is_blank(text)), min_size=2, max_size=6).filter(
        lambda t: len(t) % 2 == 0
    ),
    system=TEXTS,
    odd=TEXTS,
)
def test_no_text_of_a_conversation_is_lost_in_silence(read, texts, system, odd):
    messages = [{**message, "odd": odd} for message in said(*texts, system=system)]
    check_nothing_is_lost(read, {"messages": messages, "odd": odd})


def check_nothing_is_lost(read, record):
    try:
        loaded = read("p.jsonl", [record])
    except DataError as error:
        assert all(problem.startswith("p.jsonl") for problem in error.problems)
    else:
        assert list(lost(record, loaded.rows[0], loaded.notes)) == []


@QUICK
@given(
    # a table's rows of nothing but blanks are skipped
    rows=st.lists(
        st.tuples(TEXTS, TEXTS).filter(lambda row: "".join(row).strip()),
        min_size=1,
        max_size=4,
        unique_by=lambda row: tuple(map(cleaned, row)),
    ),
    separator=st.sampled_from(",;\t|"),
)
def test_a_table_and_json_lines_hold_the_same_rows_or_faults(read, rows, separator):
    pairs = [{"prompt": prompt, "response": response} for prompt, response in rows]
    found = []
    for name, content in (("p.jsonl", pairs), ("p.csv", as_table(pairs, separator)), ("p.parquet", as_parquet(pairs))):
        try:
            found.append(turns(read(name, content)))
        except DataError as error:
            found.append(len(error.problems))
    assert found[0] == found[1] == found[2]


@QUICK
@given(
    raw=st.binary(max_size=60) | TEXTS.map(str.encode),
    name=st.sampled_from(["p.json", "p.jsonl", "p.csv", "p.parquet"]),
)
def test_any_bytes_are_rows_or_one_clear_error(read, raw, name):
    try:
        read(name, raw)
    except DataError as error:
        assert all(problem.startswith(name) for problem in error.problems)
