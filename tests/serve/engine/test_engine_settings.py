"""How an answer is drawn, where it ends, and what is told of its tokens."""

from collections.abc import Callable

import pytest
import torch

from data.chat_template import plain_ids
from inference.detokenizer import Detokenizer
from inference.loading import load_tokenizer
from serve.engine.engine import BadRequest, Request
from tests.inference import tiny
from tests.serve.conftest import PROMPTS, Said, all_at_once, asking, one

PROMPT = PROMPTS[0]


def logits_of(shelf, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return tiny.plain(shelf.base, shelf.folders["large/1"])(torch.tensor([tokens])).logits[0, -1]


def greedy_by(shelf, count: int, change: Callable[[torch.Tensor, list[int]], None]) -> list[int]:
    """The likeliest tokens of large/1 where ``change`` is made to the logits, given what was said so far."""
    said: list[int] = []
    for _ in range(count):
        logits = logits_of(shelf, shelf.ids(PROMPT) + said).clone()
        change(logits, said)
        said.append(int(logits.argmax()))
    return said


def test_a_bias_bans_tokens_and_makes_others_sure(shelf, engine):
    plain = shelf.alone("large/1", shelf.ids(PROMPT), 8)
    banned = one(engine, asking("large/1", PROMPT, 8, logit_bias=dict.fromkeys(plain, -100.0)))

    def ban(logits: torch.Tensor, said: list[int]) -> None:
        logits[plain] -= 100

    assert banned.spelled == shelf.spelled(greedy_by(shelf, 8, ban))
    sure = one(engine, asking("large/1", PROMPT, 5, logit_bias={300: 100.0}, temperature=1.0))
    assert sure.spelled == shelf.spelled([300] * 5)


@pytest.mark.parametrize(("presence", "frequency"), [(1.5, 0.0), (0.0, 2.0), (2.0, 1.1), (-1.0, -0.5)])
def test_penalties_follow_the_formula(shelf, engine, presence, frequency):
    def penalise(logits: torch.Tensor, said: list[int]) -> None:
        for token in set(said):
            logits[token] -= presence + frequency * said.count(token)

    wanted = greedy_by(shelf, 25, penalise)
    request = asking("large/1", PROMPT, 25, presence_penalty=presence, frequency_penalty=frequency)
    beside = [asking(reference, PROMPTS[1], 9) for reference in shelf.folders]
    assert all_at_once(engine, [*beside, request])[-1].spelled == shelf.spelled(wanted)


def test_log_probabilities_are_the_models_own_whatever_is_drawn(shelf, engine):
    asked = asking("large/1", PROMPT, 6, temperature=1.7, top_p=0.8, seed=3, top_logprobs=20, logit_bias={9: 3.0})
    said = one(engine, asked)
    detokenizer, read = shelf.detokenizer, shelf.ids(PROMPT)
    for i, token in enumerate(said.tokens):
        logprobs = logits_of(shelf, read).log_softmax(-1)
        top = logprobs.topk(20)
        assert [p for _, p, _ in token.top] == pytest.approx(top.values.tolist(), abs=1e-4)
        if any(earlier.bytes for earlier in said.tokens[:i]):  # before, they are shown without the template's blank
            assert [bytes(raw) for _, _, raw in token.top] == [detokenizer.token_bytes(t) for t in top.indices.tolist()]
        chosen = next(t for t in range(len(logprobs)) if abs(logprobs[t] - token.logprob) < 1e-4)
        read = [*read, chosen]
    assert b"".join(bytes(token.bytes) for token in said.tokens).decode("utf-8", "replace") == said.text


def test_as_many_alternatives_are_told_as_are_asked_for(shelf, engine):
    counts = (None, 0, 1, 5)
    found = all_at_once(engine, [asking("small/1", PROMPT, 3, top_logprobs=count) for count in counts])
    assert [[len(token.top) for token in said.tokens] for said in found] == [[], [0] * 3, [1] * 3, [5] * 3]
    assert len({said.text for said in found}) == 1
    best = found[3].tokens[1]
    assert (best.text, best.logprob, best.bytes) == best.top[0]


def test_a_stop_string_ends_the_answer_and_is_not_shown(shelf, engine):
    whole = one(engine, asking("small/1", PROMPT, 30)).text
    parts = [whole[at : at + length] for at in range(2, len(whole), 9) for length in (1, 3, 6)]
    parts = [part for part in parts if "\ufffd" not in part]  # bytes that are no character can't be written
    assert len(parts) > 5
    for stop in parts:
        said = one(engine, asking("small/1", PROMPT, 30, stop=("never", stop)))
        assert said.ended == "stop"
        assert said.text == whole[: whole.index(stop)]
        assert b"".join(bytes(token.bytes) for token in said.tokens).decode("utf-8", "replace") == said.text
    assert one(engine, asking("small/1", PROMPT, 30, stop=("never",))).text == whole


def test_an_answer_ends_with_its_end_token_and_that_is_no_text(shelf, engine, tiny_base, tmp_path):
    tokens = shelf.alone("full/1", shelf.ids(PROMPT), 12)
    folder = tiny.stirred(tiny_base, tmp_path / "ends", 2, ends=[tokens[6]])
    at = tokens.index(tokens[6])
    said = one(engine, asking(f"base:{folder}", PROMPT, 12))
    assert (said.ended, said.completion_tokens, said.text) == ("stop", at, shelf.text(tokens[:at]))
    assert said.spelled == shelf.spelled(tokens[:at])


def test_an_answer_ends_where_the_models_positions_do(shelf, engine, tiny_base, tmp_path):
    folder = tiny.rope("llama", tiny_base, tmp_path / "short", positions=24)
    room = 24 - len(shelf.ids("Go."))
    for wanted in (None, 100):
        said = one(engine, asking(f"base:{folder}", "Go.", wanted))
        assert (said.ended, said.completion_tokens) == ("length", room)
    said = one(engine, asking(f"base:{folder}", "Go.", 3))
    assert (said.ended, said.completion_tokens) == ("length", 3)


def test_a_prompt_that_leaves_no_room_is_refused_in_one_line(shelf, engine):
    with pytest.raises(BadRequest, match=r"the messages take \d+ tokens, and this model has 256") as refused:
        one(engine, asking("small/1", "the boat " * 300))
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


def test_a_long_prompt_is_read_in_parts_and_answered_exactly(shelf, tiny_base, tmp_path, engine):
    folder = tiny.rope("llama", tiny_base, tmp_path / "long", positions=3000)
    prompt = "the boat and the sea " * 200
    asked = [
        asking(f"base:{folder}", "Go.", 40),
        asking(f"base:{folder}", prompt, 8),
        asking(f"base:{folder}", "Hi.", 9),
    ]
    long = shelf.ids(prompt)
    assert len(long) > 1000  # more than one part
    found = all_at_once(engine, asked)
    assert found[1].spelled == shelf.spelled(tiny.greedy(folder, None, long, 8))
    assert found[0].spelled == shelf.spelled(tiny.greedy(folder, None, shelf.ids("Go."), 40))


def test_turns_are_read_as_they_are_trained(shelf, engine):
    turns = (("Hello.", "Hi there"), ("Go on.", "And the sea"))
    messages = sum(((("user", a), ("assistant", b)) for a, b in turns), ())
    said = one(engine, Request("small/1", (*messages, ("user", PROMPT)), 10, 0.0, top_logprobs=0))
    ids = shelf.ids(PROMPT, *turns)
    assert (said.prompt_tokens, said.spelled) == (len(ids), shelf.spelled(shelf.alone("small/1", ids, 10)))


@pytest.mark.parametrize(
    "messages",
    [
        (("system", "Be kind."), ("user", "Go.")),
        (("user", "One."), ("user", "Two.")),
        (("user", "One."), ("assistant", "Two.")),
        (("system", "Be kind."), ("system", "Be short."), ("user", "Go.")),
        (("user", "One."), ("assistant", ""), ("user", "Go.")),
    ],
)
def test_any_order_of_roles_is_read_as_the_template_has_it(shelf, engine, messages):
    said = one(engine, Request("small/1", messages, 10, 0.0, top_logprobs=0))
    text = shelf.tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in messages], tokenize=False, add_generation_prompt=True
    )
    ids = shelf.encode(text)
    assert (said.prompt_tokens, said.spelled) == (len(ids), shelf.spelled(shelf.alone("small/1", ids, 10)))


def test_a_template_that_takes_no_such_conversation_says_so(engine, shelf, tmp_path):
    folder = tiny.copy_with(shelf.base, tmp_path / "strict", "config.json")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
        "{{ m['content'] }}{% endfor %}"
    )
    assert load_tokenizer(folder).chat_template.startswith("{% for m")
    with pytest.raises(BadRequest, match="no system here") as refused:
        one(engine, Request(f"base:{folder}", (("user", "Go."), ("system", "Be kind."))))
    assert refused.value.param == "messages" and "\n" not in str(refused.value)


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_control_token_in_a_text_is_read_as_plain_text(shelf, engine, role):
    messages = (("system", "Be kind."), ("user", "One."), ("assistant", "Two."), ("user", "Go."))
    spoiled = tuple((each, f"{text}<|user|>" if each == role else text) for each, text in messages)
    ids = plain_ids(shelf.tokenizer, spoiled)
    control = shelf.tokenizer.convert_tokens_to_ids("<|user|>")
    assert ids.count(control) == plain_ids(shelf.tokenizer, messages).count(control)
    spelled = [each for each, _ in messages].count(role)
    assert shelf.tokenizer.decode(ids).count("<|user|>") == ids.count(control) + spelled
    said = one(engine, Request("small/1", spoiled, 8, 0.0, top_logprobs=0))
    assert (said.prompt_tokens, said.spelled) == (len(ids), shelf.spelled(shelf.alone("small/1", ids, 8)))


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("max_tokens", 0),
        ("top_logprobs", 21),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -3.0),
        ("logit_bias", {5: 101.0}),
        ("logit_bias", {600: 1.0}),
        ("messages", ()),
    ],
)
def test_a_setting_out_of_range_is_named(engine, param, value):
    with pytest.raises(BadRequest, match=param) as refused:
        one(engine, Request(**{"reference": "small/1", "messages": (("user", "Go."),), param: value}))
    assert refused.value.param == param


def test_half_characters_are_whole_again_in_the_text(shelf, engine):
    """Random weights say many bytes that are no characters; the text has what a decoder makes of all of them."""
    detokenizer = Detokenizer(shelf.tokenizer)
    bytes_only = [
        t for t in range(4, 600) if len(detokenizer.token_bytes(t)) == 1 and detokenizer.token_bytes(t)[0] > 127
    ]
    bias = {token: 12.0 for token in bytes_only}
    said: Said = one(engine, asking("small/1", PROMPT, 40, logit_bias=bias, temperature=1.0, seed=4))
    raw = b"".join(bytes(token.bytes) for token in said.tokens)
    assert "\ufffd" in said.text and said.text == raw.decode("utf-8", "replace")
    assert said.completion_tokens == len(said.tokens) == 40
