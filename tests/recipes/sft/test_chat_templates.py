"""A base whose template does all that templates do: refuse, scaffold, rewrite history, look at the clock."""

import json
import shutil
from datetime import date

import pytest

from data.errors import DataError
from recipes.sft.config import TuneConfig
from recipes.sft.run import describe, prepare
from train.base_model import BUNDLED
from train.encoding import IGNORE

pytestmark = pytest.mark.skipif(not (BUNDLED / "config.json").is_file(), reason="the bundled base is not there")
TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}{% if m['role'] == 'assistant' %}<|assistant|> "
    "{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|end|>"
    "{% else %}<|user|> {{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
THINKS = TEMPLATE.replace("{% if loop.last %}<think>\n\n", "{% if loop.last %}<think>\n{{ m['reasoning_content'] }}\n")


@pytest.fixture
def job(tmp_path):
    def make(template, held_out=(), **extra):
        base = tmp_path / "base"
        shutil.copytree(BUNDLED, base, dirs_exist_ok=True)
        (base / "chat_template.jinja").write_text(template)
        system, talk = {"role": "system", "content": "Be a pirate."}, []
        for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "Jo"):
            first = [{"role": "user", "content": f"Hi, I am {name}."}, {"role": "assistant", "content": "Ahoy!"}]
            last = [{"role": "user", "content": "Who am I?"}, {"role": "assistant", "content": f"{name}!", **extra}]
            talk.append({"messages": [system, *first, *last]})
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in talk))
        (tmp_path / "test.jsonl").write_text("".join(json.dumps(each) + "\n" for each in held_out))
        test = str(tmp_path / "test.jsonl") if held_out else ""
        config = TuneConfig(dataset=str(tmp_path / "rows.jsonl"), test_dataset=test, base_model=str(base))
        return prepare(config, date(2024, 2, 3))

    return make


def trained(job, example):
    return job.base.tokenizer.decode([token for token in example.labels.tolist() if token != IGNORE])


def test_every_answer_of_every_row_is_trained_and_nothing_else(job):
    made = job(TEMPLATE)
    assert len(made.examples) == 2 * len(made.rows.train)
    text = made.base.tokenizer.decode(made.examples[1].input_ids.tolist())
    name = made.rows.train[0].response
    assert trained(made, made.examples[0]).strip() == "Ahoy!<|end|>"
    assert trained(made, made.examples[1]).strip() == f"{name}<|end|>"
    assert text.startswith("2024-02-03<|user|> Be a pirate.\n\nHi, I am ")
    assert text.endswith(f"Ahoy!<|end|><|user|> Who am I?<|assistant|> <think>\n\n</think>\n\n{name}<|end|>")


def test_what_the_template_does_to_the_rows_is_named_before_training(job):
    lines = describe(job(TEMPLATE))
    assert "one an answer" in lines and "no system message" in lines and "2024-02-03" in lines


def test_thoughts_are_trained_with_a_template_that_has_a_place_and_refused_in_one_line_without(job):
    made = job(THINKS, reasoning_content="I know.")
    assert trained(made, made.examples[1]).strip().startswith("<think>\nI know.\n</think>\n\n")
    with pytest.raises(DataError, match="no place for reasoning_content") as caught:
        job(TEMPLATE, reasoning_content="I know.")
    assert len(str(caught.value).splitlines()) == 1


def test_a_held_out_row_that_can_not_be_measured_is_refused_before_training(job):
    rows = [{"prompt": f"Where is {name}?", "response": "There, <|end|> arr."} for name in ("Kai", "Lea", "Mia", "Noa")]
    with pytest.raises(DataError, match=r"holds <\|end\|>, which this tokenizer reads as a control token"):
        job(TEMPLATE, held_out=rows)


def test_answers_with_thoughts_in_their_own_text_are_measured_without_them(job):
    made = job(THINKS, content="<think>\nI know.\n</think>\n\nAhoy!")
    assert {row.response for row in made.rows.all} == {"Ahoy!"}
    assert trained(made, made.examples[1]).strip().startswith("<think>\nI know.\n</think>\n\n")


def test_a_logged_model_shows_what_comes_after_a_thought(job):
    from registry.chat_model import ChatModel

    tokenizer, model = job(THINKS, reasoning_content="I know.").base.tokenizer, ChatModel()
    model.tokenizer, model.config = tokenizer, {"thought_end": "</think>"}
    ids = tokenizer("<think>\nHm.\n</think>\n\nAhoy!<|end|>")["input_ids"]
    assert model.visible_text(ids).strip() == "Ahoy!"
    assert model.visible_text(tokenizer("Ahoy!")["input_ids"]).strip() == "Ahoy!"
