"""Any version as a speaker: every way of computing says what the version says alone, and proves which model spoke."""

import gc
import json
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from data.errors import UserError
from inference import generation, model_group
from inference.loading import load_tokenizer
from inference.lora import CONFIG
from inference.model_pool import FairLock, ModelGroup, ModelPool
from inference.transcript import Exchange, Reply, Sampling
from inference.weights import weights_digest
from registry import resolver
from registry.resolver import Resolver
from tests.inference import tiny
from tests.processes import free_port, wait_until

GREEDY = Sampling(temperature=0, max_new_tokens=10)
HOT = Sampling(temperature=1.2, top_p=0.95, max_new_tokens=20, seed=7)
PROMPT = "Where is the boat?"
PLAIN = {
    "small": {"r": 2},
    "large": {"r": 8, "lora_alpha": 4, "target_modules": ["c_attn", "c_fc", "c_proj"]},
    "rslora": {"r": 3, "use_rslora": True, "target_modules": ["c_fc"]},
}
BEYOND = {
    "dora": ({"use_dora": True}, "DoRA"),
    "saved": ({"modules_to_save": ["ln_f"]}, "whole layers of its own"),
    "bias-all": ({"bias": "all"}, "biases of its own"),
    "bias-lora": ({"bias": "lora_only"}, "biases of its own"),
    "ranks": ({"rank_pattern": {"h.1.attn.c_attn": 2}}, "ranks by layer"),
    "pissa": ({"init_lora_weights": "pissa"}, "a base changed by pissa"),
    "tokens": ({"trainable_token_indices": [5, 6]}, "token embeddings of its own"),
    "embedding": ({"target_modules": ["wte"]}, "it holds"),
}


@dataclass(frozen=True)
class Shelf:
    """A registry with bare folders as versions: ``folders`` by the version's name."""

    base: Path
    tokenizer: Any
    folders: dict[str, Path]

    def ids(self, prompt: str, *turns: tuple[str, str]) -> list[int]:
        """The prompt's tokens, spelled out: what its template makes of it, each answer encoded on its own."""
        encode: Callable[[str], list[int]] = lambda text: self.tokenizer(text)["input_ids"]  # noqa: E731
        found: list[int] = []
        for asked, said in turns:
            found += encode(f"<|user|> {asked}<|assistant|>") + encode(f" {said}") + [self.tokenizer.eos_token_id]
        return found + encode(f"<|user|> {prompt}<|assistant|>")

    def alone(self, name: str, ids: Sequence[int], count: int = 10) -> list[int]:
        """What the version says to ``ids`` by plain ``generate``, greedily."""
        ends = [self.tokenizer.eos_token_id]
        if name == "base" or name.startswith("full"):
            return tiny.greedy(self.folders.get(name, self.base), None, ids, count, ends)
        return tiny.greedy(self.base, self.folders[name], ids, count, ends)


def register(name: str, folder: Path, **tags: str) -> str:
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, str(folder), tags=tags)
    return f"{name}/{made.version}"


@pytest.fixture(scope="module")
def shelf(tiny_base, settle, tmp_path_factory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        base = tiny.stirred(tiny_base, folder / "base", seed=1)
        settings = {**PLAIN, **{name: each for name, (each, _) in BEYOND.items()}}
        made = {name: tiny.adapter(base, folder / name, at, **each) for at, (name, each) in enumerate(settings.items())}
        made |= {name: tiny.stirred(tiny_base, folder / name, seed) for name, seed in (("full", 2), ("full2", 3))}
        for name, place in made.items():
            register(name, place, **({"base_model": str(base)} if name.startswith("full") else {}))
        yield Shelf(base, load_tokenizer(base), made)


def find_base(name: str) -> Path:
    if not Path(name).is_dir():
        raise UserError(f"there is no base {name}")
    return Path(name)


@pytest.fixture(scope="module")
def pool(shelf) -> ModelPool:
    return ModelPool(Resolver(find_base).look)


def last(panel: ModelGroup, prompt: str = PROMPT, sampling: Sampling = GREEDY, *args: Any, **more: Any) -> Exchange:
    *_, exchange = panel.generate(prompt, sampling, *args, **more)
    return exchange


def tokens(exchange: Exchange) -> list[list[int]]:
    return [list(reply.token_ids) for reply in exchange.replies]


def test_base_and_adapters_in_one_batch_answer_as_each_does_alone_over_several_turns(shelf, pool):
    names = ["small", "large", "rslora"]
    panel = pool.open(["small/1:base", *(f"{name}/1" for name in names)])
    assert panel.way == "one batch, 3 adapters"
    assert len({id(speaker.model) for speaker in panel.loaded}) == 1
    history: list[Exchange] = []
    for prompt in (PROMPT, "Tell me of the sea, my old friend.", "Go."):
        said = last(panel, prompt, GREEDY, history)
        for i, name in enumerate(["base", *names]):
            turns = [(each.prompt, each.replies[i].text) for each in history]
            assert tokens(said)[i] == shelf.alone(name, shelf.ids(prompt, *turns)), (name, prompt)
        assert {reply.ended for reply in said.replies} == {"length"}
        history.append(said)
    assert len({reply.text for reply in history[0].replies}) == 4


@pytest.mark.parametrize("name", BEYOND)
def test_an_adapter_that_can_not_be_mixed_answers_as_it_does_alone(shelf, pool, name):
    panel = pool.open([f"{name}/1:base", f"{name}/1", "small/1"])
    said = last(panel)
    assert tokens(said) == [shelf.alone(each, shelf.ids(PROMPT)) for each in ("base", name, "small")]
    assert said.replies[0].text != said.replies[1].text
    assert panel.way.startswith(f"2 models in lockstep ({name}/1: ") and BEYOND[name][1] in panel.way
    before = tiny.plain(shelf.base).state_dict()
    now = panel.loaded[0].model.state_dict()
    assert all(torch.equal(tensor, before[key]) for key, tensor in now.items())  # PEFT worked on a base of its own


def test_full_models_go_in_lockstep(shelf, pool):
    panel = pool.open(["full/1", "full/1:base", "full2/1", "small/1"])
    assert tokens(last(panel)) == [shelf.alone(each, shelf.ids(PROMPT)) for each in ("full", "base", "full2", "small")]
    assert panel.way == "3 models in lockstep (full/1 is a full model; full2/1 is a full model)"


def test_learned_prompts_are_refused_in_one_line(shelf, pool, tmp_path):
    from peft import PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(shelf.base)
    get_peft_model(model, PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")).save_pretrained(tmp_path)
    panel = pool.open([register("prompts", tmp_path), "small/1"])
    assert panel.loaded[0].error == "it is an adapter of learned prompts; those can't be compared here"
    said = last(panel)
    assert said.replies[0].ended == "error" and said.replies[0].error == panel.loaded[0].error
    assert tokens(said)[1] == shelf.alone("small", shelf.ids(PROMPT))


def test_the_same_weights_with_another_scale_or_tokenizer_are_another_voice(shelf, pool, tmp_path):
    louder = tiny.copy_with(shelf.folders["small"], tmp_path / "louder", CONFIG, lora_alpha=64)
    panel = pool.open(["small/1", register("louder", louder)])
    assert panel.models[0].digest == panel.models[1].digest
    said = last(panel)
    assert tokens(said)[1] == tiny.greedy(shelf.base, louder, shelf.ids(PROMPT), 10) != tokens(said)[0]
    spoken = tiny.copy_with(shelf.folders["full"], tmp_path / "spoken", "tokenizer_config.json")
    (spoken / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %} :")
    other = pool.open(["full/1", register("spoken", spoken)])
    assert other.loaded[0].model is other.loaded[1].model
    assert tokens(last(other))[1] == tiny.greedy(spoken, None, shelf.tokenizer(f"{PROMPT} :")["input_ids"], 10)


def test_voices_say_exactly_which_weights_speak(shelf, pool):
    panel = pool.open(["small/1:base", "small/1", "full/1", "full/1:base", "dora/1"])
    base, digest = str(shelf.base), weights_digest(shelf.base)
    assert [(v.reference, v.kind, v.digest, v.base_model, v.base_digest) for v in panel.models] == [
        ("small/1:base", "base", digest, base, digest),
        ("small/1", "lora", weights_digest(shelf.folders["small"]), base, digest),
        ("full/1", "full", weights_digest(shelf.folders["full"]), base, ""),
        ("full/1:base", "base", digest, base, digest),
        ("dora/1", "lora", weights_digest(shelf.folders["dora"]), base, digest),
    ]
    assert panel.models[1].bytes == (shelf.folders["small"] / "adapter_model.safetensors").stat().st_size
    for speaker, name in zip(panel.loaded, ["base", "small", "full", "base", "dora"], strict=True):
        if speaker.adapter or name == "dora":
            continue
        expected = tiny.plain(shelf.folders.get(name, shelf.base)).state_dict()
        assert all(torch.equal(t, expected[key]) for key, t in speaker.model.state_dict().items())


def test_aliases_are_resolved_in_the_label(shelf, pool):
    MlflowClient().set_registered_model_alias("small", "champion", "1")
    assert [v.reference for v in pool.open(["small@champion", "models:/small@champion"]).models] == ["small/1"] * 2


def test_the_same_voice_twice_says_the_same_at_any_heat(pool):
    for reference in ("small/1:base", "small/1", "full/1", "dora/1"):
        said = last(pool.open([reference, reference]), sampling=HOT)
        assert said.replies[0].text == said.replies[1].text and said.divergences == (None, None)
    one = last(pool.open(["small/1", "full/1"]), sampling=HOT)
    assert tokens(one)[0] == tokens(last(pool.open(["small/1"]), sampling=HOT))[0]


def test_a_parting_is_the_first_token_that_differs_with_both_sides_likeliest(shelf, pool):
    panel = pool.open(["small/1:base", "small/1", "full/1", "small/1:base"])
    said = last(panel)
    assert said.divergences[0] is None and said.divergences[3] is None
    for i, name in ((1, "small"), (2, "full")):
        parting, theirs, ours = said.divergences[i], tokens(said)[0], tokens(said)[i]
        assert parting
        assert parting.at == next(at for at in range(10) if theirs[at] != ours[at])
        assert parting.chosen == (
            shelf.tokenizer.decode([theirs[parting.at]]),
            shelf.tokenizer.decode([ours[parting.at]]),
        )
        models = (
            tiny.plain(shelf.base),
            tiny.plain(*((shelf.folders[name],) if i == 2 else (shelf.base, shelf.folders[name]))),
        )
        for model, before, top in zip(models, (theirs, ours), parting.tops, strict=True):
            read = shelf.ids(PROMPT) + before[: parting.at]
            with torch.inference_mode():
                likely = model(input_ids=torch.tensor([read])).logits[0, -1].softmax(-1).topk(5)
            assert [text for text, _ in top] == [shelf.tokenizer.decode([token]) for token in likely.indices]
            assert [share for _, share in top] == pytest.approx(likely.values.tolist(), abs=2e-4)


@pytest.fixture(scope="module")
def ending(shelf, tiny_base, tmp_path_factory) -> tuple[Path, int]:
    """A full model whose own settings name a second end token, and how many tokens it then answers with."""
    said = shelf.alone("full", shelf.ids(PROMPT))
    at = next(at for at in range(2, 10) if said[at] not in said[:at])
    folder = tmp_path_factory.mktemp("ending") / "ending"
    tiny.stirred(tiny_base, folder, seed=2, ends=[shelf.tokenizer.eos_token_id, said[at]])
    return folder, at + 1


def test_an_answer_ends_with_any_end_token_that_its_model_names(shelf, pool, ending):
    folder, count = ending
    panel = pool.open([register("ending", folder), "full/1"])
    said = last(panel)
    assert tokens(said)[0] == tokens(said)[1][:count]
    assert [reply.ended for reply in said.replies] == ["end", "length"]
    assert said.replies[0].text == shelf.tokenizer.decode(tokens(said)[0][:-1]).strip()
    assert said.divergences[1] and said.divergences[1].at == count - 1  # one ends with that token, the other says it
    assert said.divergences[1].chosen[0] == said.divergences[1].chosen[1]


def test_both_ending_with_another_end_token_is_no_parting(shelf, pool, ending):
    folder, count = ending
    panel = pool.open(["full/1", register("ending", folder)])
    first, other = panel.loaded
    end = tokens(last(panel))[1][-1]
    step = generation.Step([first.tokenizer.eos_token_id, end], {}, {})
    asked = generation.Generation((first, other), PROMPT, GREEDY, (), lambda: False, 60, "")
    asked._panes = [0, 1]
    asked._take(step)
    assert asked.divergences == [None, None] and {reply.ended for reply in asked.replies} == {"end"}


def test_stop_ends_every_answer_between_two_tokens(pool):
    panel, calls = pool.open(["small/1:base", "full/1"]), []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 4

    said = last(panel, stop=stop)
    assert [(reply.ended, len(reply.token_ids)) for reply in said.replies] == [("stopped", 4)] * 2
    never = last(panel, stop=lambda: True)
    assert [(reply.ended, reply.token_ids, reply.first_token_s) for reply in never.replies] == [
        ("stopped", (), None)
    ] * 2


class Clock:
    """A clock that goes one second further each time somebody looks."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1
        return self.now


def test_the_time_limit_ends_every_answer(pool, monkeypatch):
    panel = pool.open(["small/1:base", "small/1"])
    monkeypatch.setattr(generation, "time", Clock())
    said = last(panel, limit_s=12)
    assert {reply.ended for reply in said.replies} == {"time"}
    assert all(0 < len(reply.token_ids) < 10 and reply.seconds <= 12 for reply in said.replies)


def test_answers_grow_side_by_side_and_the_last_is_whole(pool, monkeypatch):
    monkeypatch.setattr(model_group, "FRAME_S", 0.0)
    seen = list(pool.open(["small/1:base", "small/1"]).generate(PROMPT, GREEDY))
    lengths = [tuple(len(reply.token_ids) for reply in each.replies) for each in seen]
    assert lengths == [(0, 0), *((n, n) for n in range(1, 11)), (10, 10)]
    assert [bool(reply.ended) for reply in seen[-2].replies + seen[-1].replies] == [False, False, True, True]
    for i in (0, 1):
        reply = seen[-1].replies[i]
        assert reply.first_token_s and 0 < reply.first_token_s < reply.seconds and reply.tokens_per_s > 0
        assert reply.seconds == seen[-2].replies[i].seconds  # of the last token, not of whoever read it


def test_a_broken_model_ends_its_own_pane_only(shelf, pool, monkeypatch):
    panel = pool.open(["full2/1", "small/1"])
    monkeypatch.setattr(panel.loaded[0].model, "forward", lambda **_: 1 / 0)
    said = last(panel)
    assert (said.replies[0].ended, said.replies[0].error) == ("error", "ZeroDivisionError: division by zero")
    assert tokens(said)[1] == shelf.alone("small", shelf.ids(PROMPT))


def test_control_tokens_are_refused_wherever_they_stand(shelf, pool):
    panel, end = pool.open(["small/1"]), shelf.tokenizer.eos_token
    [said] = last(panel, f"Hello {end} there").replies
    assert said.error == f"the prompt holds {end}, which this model reads as a control token"
    assert last(panel, system=f"Be {end}").replies[0].ended == "error"
    before = Exchange(f"x {end}", (Reply("Hi", (5,), "end", 0.1, 0.1),), (None,))
    assert last(panel, PROMPT, GREEDY, [before]).replies[0].ended == "error"


def test_empty_and_failed_replies_in_the_history_do_no_harm(shelf, pool):
    panel = pool.open(["small/1:base", "small/1"])
    empty, failed = Reply("", (0,), "end", 0.1, 0.1), Reply("", (), "error", None, 0.1, "it broke")
    said = last(panel, PROMPT, GREEDY, [Exchange("Hi.", (empty, failed), (None, None))])
    whole = f"<|user|> Hi.<|assistant|> <|end|><|user|> {PROMPT}<|assistant|>"
    assert tokens(said)[0] == shelf.alone("base", shelf.tokenizer(whole)["input_ids"])
    assert tokens(said)[1] == shelf.alone("small", shelf.ids(PROMPT))


def test_a_history_of_other_speakers_is_refused(pool):
    panel = pool.open(["small/1:base", "small/1"])
    one = last(pool.open(["small/1"]))
    with pytest.raises(UserError, match="the history is of other models than these 2"):
        last(panel, PROMPT, GREEDY, [one])


@pytest.mark.parametrize("turns", [(), (("Hi.", ""),)])
def test_a_tokenizer_that_begins_with_a_token_of_its_own_does_so_once(shelf, turns):
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer(shelf.base)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    bos = tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    ids = generation.chat_ids(tiny.speaker(None, tokenizer), turns, PROMPT)
    assert ids[0] == bos and ids.count(bos) == 1
    own = (
        "{% for m in messages %}{{ bos_token }}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}:{% endif %}"
    )
    spoken = generation.chat_ids(tiny.speaker(None, tokenizer, template=own), (), PROMPT)
    assert spoken[0] == bos and spoken.count(bos) == 1
    assert tokenizer.chat_template != own


def test_a_tokenizer_of_another_model_is_told(shelf, pool, tmp_path):
    folder = tiny.copy_with(shelf.folders["full"], tmp_path / "odd", "tokenizer_config.json")
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["boat"])
    tokenizer.save_pretrained(folder)
    assert last(pool.open([register("odd", folder)])).replies[0].error.startswith("its tokenizer is not its model's")


def test_an_abandoned_answer_leaves_the_model_and_the_lock_free(shelf, pool):
    panel = pool.open(["small/1", "large/1"])
    started = panel.generate(PROMPT, Sampling(0, 1, 500))
    for _ in range(3):
        next(started)
    expected = shelf.alone("base", shelf.ids(PROMPT))
    base = pool.open(["small/1:base"])  # while the other one waits half-way
    assert tokens(last(base)) == [expected]
    threading.Thread(target=started.close).start()
    assert tokens(last(base)) == [expected]
    assert not any(module._forward_hooks for module in base.loaded[0].model.modules())


def test_many_threads_on_one_model_take_turns_and_get_right_answers(shelf, pool):
    names = ["base", "small", "large", "rslora"]
    panels = [pool.open(["small/1:base" if name == "base" else f"{name}/1"]) for name in names]
    model = panels[0].loaded[0].model
    inside, most, said = [], [], {}
    hook = model.register_forward_pre_hook(lambda *_: (inside.append(1), most.append(len(inside)))[2:])
    unhook = model.register_forward_hook(lambda *_: inside.clear())
    sampling = Sampling(0, 1, 40)

    def ask(i: int) -> None:
        said[i] = [tokens(last(panels[i], sampling=sampling))[0] for _ in range(2)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hook.remove()
    unhook.remove()
    assert max(most) == 1
    for i, name in enumerate(names):
        assert said[i] == [shelf.alone(name, shelf.ids(PROMPT), 40)] * 2


def test_a_lock_lets_those_who_wait_through_in_turn():
    turnstile, order = FairLock(), []

    def work(name: str) -> None:
        for _ in range(3):
            with turnstile:
                order.append(name)
                if len(order) == 1:
                    other.start()
                    wait_until(turnstile._queue.locked, "the other one waits")

    other = threading.Thread(target=work, args=("b",))
    work("a")
    other.join()
    assert sorted(order) == list("aaabbb") and order[:2] == ["a", "b"]


def memory(pool: ModelPool) -> set[str]:
    return {key[0] for key in pool._entries}


def test_each_further_adapter_costs_about_its_file(shelf):
    pool = ModelPool(Resolver(find_base).look)
    pool.open(["small/1:base"])
    for name in PLAIN:
        before = pool.bytes
        pool.open([f"{name}/1"])
        file = shelf.folders[name] / "adapter_model.safetensors"
        assert 0.5 * file.stat().st_size < pool.bytes - before <= file.stat().st_size


def test_what_was_used_longest_ago_makes_room_and_what_is_needed_stays(shelf):
    one = ModelPool(Resolver(find_base).look)
    one.open(["full/1"])
    model_bytes = one.bytes
    pool = ModelPool(Resolver(find_base).look, capacity_bytes=int(2.5 * model_bytes))
    seen = {}
    for name in ("full", "full2", "full"):
        seen[name] = weakref.ref(pool.open([f"{name}/1"]).loaded[0].model)
    pool.open(["small/1:base"])
    gc.collect()
    assert seen["full"]() is not None and seen["full2"]() is None
    assert pool.bytes <= pool.capacity_bytes
    panel = pool.open(["full2/1", "full/1", "small/1:base", "small/1"])  # more than fits, but all needed
    assert not any(speaker.error for speaker in panel.loaded)
    assert panel.loaded[1].model is seen["full"]()  # it was there, and was not thrown out for the first
    pool.open(["full2/1"])
    pool.open(["dora/1"])
    assert pool.bytes <= pool.capacity_bytes


def test_a_model_packs_only_where_its_copies_fit(shelf):
    size = sum(p.numel() * 4 for p in tiny.plain(shelf.base).parameters())
    tight = ModelPool(Resolver(find_base).look, capacity_bytes=int(1.5 * size))
    panel = tight.open(["small/1:base"])
    assert tight.bytes == size
    assert torch.equal(
        panel.loaded[0].model(torch.tensor([[5, 6]])).logits, tiny.plain(shelf.base)(torch.tensor([[5, 6]])).logits
    )
    assert tokens(last(panel)) == [shelf.alone("base", shelf.ids(PROMPT))]


def test_a_version_deleted_while_it_is_open_says_so_and_leaves_the_others(shelf, pool):
    reference = register("passing", shelf.folders["small"])
    assert not pool.open([reference]).loaded[0].error
    MlflowClient().delete_model_version("passing", "1")
    panel = pool.open([reference, "small/1"])
    assert panel.loaded[0].error.startswith("there is no version passing/1 in the registry at sqlite:")
    assert panel.models[0].reference == reference and panel.models[0].digest == ""
    assert tokens(last(panel))[1] == shelf.alone("small", shelf.ids(PROMPT))


def test_files_that_are_gone_are_named_in_one_line(shelf, pool, tmp_path):
    folder = shutil.copytree(shelf.folders["small"], tmp_path / "gone")
    reference = register("gone", folder)
    shutil.rmtree(folder)
    assert pool.open([reference]).loaded[0].error.startswith("the files of gone/1 are missing")
    folder.mkdir()
    shutil.copy(shelf.folders["small"] / CONFIG, folder)
    assert pool.open([reference]).loaded[0].error == "gone/1 holds no weights: its artifact is missing or empty"


def test_a_base_that_moved_or_changed_is_told_and_can_be_found_by_name(shelf, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(shelf.base, old)
    made = tiny.copy_with(shelf.folders["small"], tmp_path / "made", CONFIG, base_model_name_or_path=str(old))
    reference = register("moved", made, base_model="old-name", base_digest=weights_digest(shelf.base))
    places = {"old-name": new}
    pool = ModelPool(Resolver(lambda name: find_base(str(places[name]))).look)
    assert not pool.open([reference]).loaded[0].error
    old.rename(new)
    panel = pool.open([reference, f"{reference}:base"])
    assert tokens(last(panel)) == [shelf.alone(name, shelf.ids(PROMPT)) for name in ("small", "base")]
    places["old-name"] = shelf.folders["full"]
    assert "is not the one that it was trained on" in pool.open([reference]).loaded[0].error
    places["old-name"] = tmp_path / "nowhere"
    assert pool.open([reference]).loaded[0].error.startswith("the base of moved/1 is unavailable: there is no base")


def test_an_adapter_for_another_model_leaves_the_base_beside_it_alone(shelf, pool, tiny_base, tmp_path):
    llama = tiny.rope("llama", tiny_base, tmp_path / "llama")
    made = tiny.adapter(llama, tmp_path / "made", 1, target_modules=["q_proj"])
    reference = register("strange", made, base_model=str(shelf.base))
    found = json.loads((made / CONFIG).read_text())
    (made / CONFIG).write_text(json.dumps({**found, "base_model_name_or_path": str(shelf.base)}))
    panel = pool.open(["small/1:base", reference])
    assert panel.loaded[1].error.startswith("the adapter is for another model: this one has no layer model.layers")
    assert tokens(last(panel))[0] == shelf.alone("base", shelf.ids(PROMPT))


@pytest.mark.parametrize(
    "name", ["", "small", "small/x", "nobody/1", "small/99", "small/1:x", "a" * 500, "../../etc/1"]
)
def test_a_reference_that_names_nothing_is_one_line(pool, name):
    [speaker] = pool.open([name]).loaded
    assert speaker.error and "\n" not in speaker.error and speaker.model is None


def test_a_registry_that_is_down_stops_nobody_who_is_loaded(shelf, monkeypatch):
    pool = ModelPool(Resolver(find_base).look)
    pool.open(["small/1", "small/1:base"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    panel = pool.open(["small/1", "large/1", "small/1:base"])
    assert [bool(speaker.error) for speaker in panel.loaded] == [False, True, False]
    assert panel.loaded[1].error.startswith("the registry at http://127.0.0.1:")
    assert "\n" not in panel.loaded[1].error
    assert tokens(last(panel))[0] == shelf.alone("small", shelf.ids(PROMPT))


def test_a_registry_that_is_down_is_asked_once_a_panel(shelf, monkeypatch):
    from registry.errors import TrackingUnavailable

    asked = []

    def find(reference: str, find_base: Any) -> Any:
        asked.append(reference)
        raise TrackingUnavailable("it does not answer")

    monkeypatch.setattr(resolver, "find", find)
    panel = ModelPool(Resolver(find_base).look).open(["small/1", "large/1", "full/1"])
    assert [speaker.error for speaker in panel.loaded] == ["it does not answer"] * 3 and asked == ["small/1"]


def test_an_adapter_of_scale_0_is_the_base_token_for_token_and_of_scale_1_the_version(shelf, pool):
    panel = pool.open(["large/1:base", "large/1:x0", "large/1", "large/1:x1", "large/1:x-1", "large/1:x2"])
    assert panel.way.startswith("one batch") and panel.models[5].reference == "large/1:x2"
    for sampling in (GREEDY, HOT):
        base, none, version, whole, *others = tokens(last(panel, sampling=sampling))
        assert none == base and whole == version and base not in others
    unscaled = pool.open(["full/1:x2", "dora/1:x2", "large/1:x9"]).errors
    assert "has no adapter" in unscaled[0] and "only a plain LoRA" in unscaled[1] and "from -1 to 3" in unscaled[2]
