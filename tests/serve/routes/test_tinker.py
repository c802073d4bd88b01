"""Tinker's protocol, with its real SDK: a supervised loop and a policy-gradient loop, saved weights, errors."""

import numpy as np
import pytest
import tinker
from tinker import types

from data.chat_format import answer_directly
from recipes.run_names import shown_name
from registry import versions
from tests.serve.served import KEY
from train.config import FinetuneConfig
from train.encoding import encode
from train.finetune import finetune, load_base
from train.resume import StateFolder

RANK, LR, STEPS, SEED = 4, 5e-3, 3, 11


@pytest.fixture(scope="module")
def service(served):
    with tinker.ServiceClient(base_url=served.address, api_key=f"tml-{KEY}") as client:
        yield client


@pytest.fixture(scope="module")
def rows(weights):
    """Training rows of the base, as examples."""
    from data import pirate
    from inference.loading import load_tokenizer

    tokenizer = load_tokenizer(weights["base"])
    answer_directly(tokenizer)
    return encode(pirate.named_rows("clean")[:8], tokenizer, "response", 128)


@pytest.fixture(scope="module")
def data(rows):
    """The rows as data: the trained tokens of all of them have weights that add up to 1."""
    share = 1 / sum(row.trained for row in rows)
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(row.input_ids[:-1].tolist()),
            loss_fn_inputs={
                "target_tokens": row.input_ids[1:].astype(np.int64),
                "weights": ((row.labels[1:] >= 0) * share).astype(np.float32),
            },
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def trained(service, weights, data):
    """A client of an adapter after some steps, the losses of these, and where it was saved after them."""
    base = shown_name(str(weights["base"]))
    client = service.create_lora_training_client(base_model=base, rank=RANK, seed=SEED).result()
    losses = []
    for _ in range(STEPS):
        passed = client.forward_backward(data, "cross_entropy")
        client.optim_step(types.AdamParams(learning_rate=LR, eps=1e-8)).result()
        losses.append(passed.result().metrics["loss:sum"])
    path = client.save_state("after-three", user_metadata={"why": "test"}).result().path
    return client, losses, path


def version_of(served, path):
    """The version that is registered for weights at ``path``."""
    from mlflow.tracking import MlflowClient

    store = MlflowClient(f"sqlite:///{served.folder / 'mlflow.db'}")
    found = store.search_model_versions(f"tags.tinker_path = '{path}'")
    assert len(found) == 1
    return found[0]


def test_a_supervised_loop_has_the_losses_of_the_training_loop_on_the_same_batches(
    trained, weights, rows, notebook, tmp_path
):
    config = FinetuneConfig(
        base_model=str(weights["base"]), epochs=STEPS, batch_size=len(rows), lr=LR, schedule="constant", warmup=0.0,
        weight_decay=0.0, clip=0.0, beta2=0.95, rank=RANK, seed=SEED,
    )  # fmt: skip
    log = notebook()
    finetune(rows, rows[:1], load_base(config), config, log, StateFolder(tmp_path))
    assert trained[1] == pytest.approx(list(log.values("train/loss").values()), abs=1e-5)


def test_what_a_model_is_and_its_tokenizer_are_had_by_the_sdk(trained, weights):
    client = trained[0]
    info = client.get_info()
    assert (info.lora_rank, info.model_data.model_name) == (RANK, shown_name(str(weights["base"])))
    assert client.get_tokenizer().decode(client.get_tokenizer()("the boat")["input_ids"]) == "the boat"


def test_saved_weights_are_a_registered_version_with_its_lineage(served, trained):
    client, _, path = trained
    version = version_of(served, path)
    wanted = {"kind": "lora", "step": str(STEPS), "user_metadata": '{"why": "test"}'}
    assert {name: version.tags.get(name) for name in wanted} == wanted
    assert {"base_model", "base_digest", "dataset_digest", "git_commit"} <= set(version.tags)
    assert client.model_id in path and version.run_id


def test_saved_weights_answer_by_the_chat_routes_and_to_samplers_alike(served, service, trained, client):
    version = version_of(served, trained[2])
    prompt = "The boat"
    sampler = service.create_sampling_client(model_path=trained[2]).result()
    tokens = trained[0].get_tokenizer()(prompt)["input_ids"]
    greedy = types.SamplingParams(max_tokens=6, temperature=0)
    found = sampler.sample(types.ModelInput.from_ints(tokens), 1, greedy).result().sequences[0]
    ids = [version.tags[versions.OPENAI_ID], f"{version.name}/{version.version}"]
    texts = [
        client.completions.create(model=each, prompt=prompt, max_tokens=6, temperature=0).choices[0].text
        for each in ids
    ]
    assert texts == [trained[0].get_tokenizer().decode(found.tokens)] * 2
    assert ids[0] in [model.id for model in client.models.list()]


def test_a_saved_state_goes_on_as_the_model_itself_does(service, trained, data):
    client, _, path = trained
    other = service.create_training_client_from_state_with_optimizer(path).result()
    found = []
    for each in (client, other):
        passed = each.forward_backward(data, "cross_entropy")
        each.optim_step(types.AdamParams(learning_rate=LR, eps=1e-8)).result()
        after = each.forward(data, "cross_entropy").result()
        found.append([passed.result().metrics["loss:sum"], after.metrics["loss:sum"]])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0][1] < found[0][0]


def test_a_policy_gradient_loop_makes_rewarded_tokens_likelier(service, weights):
    base = shown_name(str(weights["base"]))
    client = service.create_lora_training_client(base_model=base, rank=RANK, seed=SEED).result()
    prompt, rewarded = [5, 17, 9], range(300)
    before = probability(client, prompt, rewarded)
    for step in range(6):
        sampler = client.save_weights_and_get_sampling_client().result()
        params = types.SamplingParams(max_tokens=1, seed=step)
        found = sampler.sample(types.ModelInput.from_ints(prompt), 32, params).result().sequences
        rewards = np.array([each.tokens[0] in rewarded for each in found], dtype=float)
        batch = [policy_datum(prompt, each, gain) for each, gain in zip(found, rewards - rewards.mean(), strict=True)]
        passed = client.forward_backward(batch, "importance_sampling")
        client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        for each, output in zip(batch, passed.result().loss_fn_outputs, strict=True):  # the ratios are 1
            own = each.loss_fn_inputs["logprobs"].to_numpy()[2:]
            assert output["logprobs"].to_numpy()[2:] == pytest.approx(own, abs=1e-4)
    assert probability(client, prompt, rewarded) > before + 0.03


def probability(client, prompt, tokens):
    """The probability that one of ``tokens`` follows ``prompt``."""
    data = [
        types.Datum(types.ModelInput.from_ints(prompt), {"target_tokens": np.array([*prompt[1:], token])})  # pyright: ignore
        for token in tokens
    ]
    found = client.forward(data, "cross_entropy").result().loss_fn_outputs
    return sum(float(np.exp(each["logprobs"].to_numpy()[-1])) for each in found)


def policy_datum(prompt, sequence, advantage):
    tokens, before = [*prompt, *sequence.tokens], [0.0] * (len(prompt) - 1)
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={  # pyright: ignore[reportArgumentType]  (the SDK converts arrays)
            "target_tokens": np.array(tokens[1:]),
            "logprobs": np.array([*before, *sequence.logprobs], dtype=np.float32),
            "advantages": np.array([*before, *[advantage] * len(sequence.tokens)], dtype=np.float32),
        },
    )


def test_samples_have_log_probabilities_ends_and_those_of_the_prompt(service, weights):
    sampler = service.create_sampling_client(base_model=shown_name(str(weights["base"]))).result()
    prompt = types.ModelInput.from_ints([5, 17, 9, 30])

    def sample(**settings):
        params = types.SamplingParams(**{"max_tokens": 5, "temperature": 0, **settings})
        return sampler.sample(prompt, 1, params, include_prompt_logprobs=True, topk_sample_logprobs=2).result()

    whole = sample()
    first = whole.sequences[0]
    assert (len(first.tokens), first.stop_reason) == (5, "length")
    assert [top[0] for top in first.topk_logprobs] == list(zip(first.tokens, first.logprobs, strict=True))
    assert whole.prompt_logprobs[0] is None and whole.prompt_logprobs == sampler.compute_logprobs(prompt).result()
    stopped = sample(stop=[first.tokens[2]]).sequences[0]
    end = first.tokens.index(first.tokens[2]) + 1
    assert (stopped.tokens, stopped.stop_reason) == (first.tokens[:end], "stop")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client, data: client.forward_backward(data, "dro"), "no loss 'dro' here; there is cross_entropy"),
        (lambda client, data: client.forward_backward(data, "ppo"), "lacks logprobs, advantages"),
        (lambda client, data: client.save_state("after-three"), "choose another name, or overwrite=True"),
        (lambda client, data: client.save_state("../x"), "letters, digits"),
        (lambda client, data: client.save_state("x", ttl_seconds=3600), "ttl_seconds is not supported"),
        (lambda client, data: client.optim_step(types.AdamParams(learning_rate=-1.0)), "greater than or equal to 0"),
        (lambda client, data: client.optim_step(types.AdamParams()), "call forward_backward before it"),
        (lambda client, data: client._load_state_impl("tinker://no/weights/x", False, None), "no weights at"),
    ],
)
def test_what_can_not_be_done_is_an_error_in_words_and_the_model_goes_on(trained, data, call, words):
    with pytest.raises((tinker.RequestFailedError, tinker.APIStatusError), match=words):
        call(trained[0], data).result()
    assert trained[0].forward(data[:1], "cross_entropy").result().metrics


def test_unknown_bases_keys_paths_and_losses_of_memory_are_named(served, service, trained):
    with pytest.raises(tinker.NotFoundError, match="no base 'Qwen/Qwen3-8B' here. There is"):
        service.create_lora_training_client(base_model="Qwen/Qwen3-8B").result()
    with pytest.raises(tinker.RequestFailedError, match="rank|train"):
        service.create_lora_training_client(base_model="gpt-4o", train_mlp=False).result()
    with pytest.raises(tinker.BadRequestError, match="rank must be from 1 to 256"):
        service.create_lora_training_client(base_model="gpt-4o", rank=10_000).result()
    with pytest.raises(tinker.AuthenticationError):
        tinker.RestClient(base_url=served.address, api_key="tml-wrong").get_server_capabilities().result()
    bearer = {"authorization": f"Bearer {KEY}"}
    reply = served.http("").post("/api/v1/retrieve_future", json={"request_id": "session-x:train:0:1"}, headers=bearer)
    assert reply.status_code == 401  # the SDK's header has the key
    headers = {"x-api-key": f"tml-{KEY}"}
    for path, body in (("optim_step", {"model_id": "session-x:train:0", "seq_id": 1, "adam_params": {}}),
                       ("retrieve_future", {"request_id": "session-x:train:0:1"})):  # fmt: skip
        reply = served.http().post(f"/api/v1/{path}", json=body, headers=headers)
        assert reply.status_code == 404 and "the server was started again since" in reply.json()["error"]["message"]
    reply = served.http().post("/api/v1/save_weights_external", json={}, headers=headers)
    assert reply.status_code == 404 and "mlflow run . -e export" in reply.json()["error"]["message"]


def test_a_request_that_is_sent_again_is_not_repeated(served, trained):
    client, headers = trained[0], {"x-api-key": f"tml-{KEY}"}
    body = {"model_id": client.model_id, "seq_id": 10_000, "path": "again"}
    with served.http() as http:
        ids = [http.post("/api/v1/save_weights", json=body, headers=headers).json()["request_id"] for _ in range(2)]
        replies = [
            http.post("/api/v1/retrieve_future", json={"request_id": each}, headers=headers).json() for each in ids
        ]
    assert ids[0] == ids[1] and replies[0] == replies[1] and replies[0]["path"].endswith("/weights/again")
    assert version_of(served, replies[0]["path"])


def test_the_list_of_bases_has_their_positions(served, weights):
    found = tinker.RestClient(base_url=served.address, api_key=f"tml-{KEY}").get_server_capabilities().result()
    lengths = {each.model_name: each.max_context_length for each in found.supported_models}
    assert lengths[shown_name(str(weights["base"]))] == lengths["gpt-4o-mini"]
