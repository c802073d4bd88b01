"""The card says what a version is, where it comes from and how it did."""

import dataclasses

import pytest

from registry.model_card import CardFacts, write_card


@pytest.fixture
def facts() -> CardFacts:
    return CardFacts(
        title="pirate: distilgpt2 taught with clean",
        kind="LoRA adapter",
        base="distilgpt2",
        base_digest="0123456789abcdef",
        base_source="the hub's cache",
        settings={"lr": 0.003, "epochs": 8},
        lineage={"dataset_digest": "fedcba9876543210", "git_commit": "abc123", "git_dirty": "false", "torch": "2.13.0"},
        rows={"trained": 250, "validation": 15, "test": 45},
        base_scores={"chrf": 12.0, "echo_rate": 0.5},
        scores={"chrf": 47.25, "echo_rate": 0.0, "only_tuned": 1.0},
        changes={"chrf": "+35.2 (+30.1 to +40.2)"},
        counts={"chrf": 45},
        verdict="healthy",
        reasons=("held-out loss 4.10 -> 1.20", "nothing above its limit"),
        examples=[{"prompt": f"Prompt {i}", "base": "a|b", "tuned": "Aye,\nmatey."} for i in range(7)],
        run_id="0f" * 16,
        step=96,
    )


def test_the_card_holds_every_fact(facts):
    card = write_card(facts)
    for text in ("# pirate: distilgpt2 taught with clean",
                 "LoRA adapter on distilgpt2 (weights 0123456789abcdef; the hub's cache)",
                 "the weights of step 96", "**Verdict: healthy.** held-out loss 4.10 -> 1.20; nothing above its limit.",
                 "250 trained, 15 validation, 45 test", f"- run: {facts.run_id}"):  # fmt: skip
        assert text in card
    for key, value in {**facts.settings, **facts.lineage}.items():
        assert f"- {key}: {value}\n" in card


def test_scores_stand_side_by_side_where_both_models_have_them(facts):
    card = write_card(facts)
    assert "| chrf | 45 | 12.000 | 47.250 |" in card and "| echo_rate |  | 0.500 | 0.000 |" in card
    assert "only_tuned" not in card


def test_what_is_not_known_leaves_out_the_suites_that_were_measured(facts):
    assert "on rows of the same kind. Nothing is known" in write_card(facts)
    sides = {"facts/accuracy": 0.5, "everyday/perplexity": 20.0, "everyday/text_perplexity": 21.0}
    card = write_card(dataclasses.replace(facts, base_scores=sides, scores=sides, counts={"facts/accuracy": 200}))
    assert "on rows of the same kind and on the suites facts, everyday. Nothing is known" in card
    assert "| facts/accuracy | 200 | 0.500 |" in card


def test_a_few_examples_are_shown_one_line_each(facts):
    rows = [line for line in write_card(facts).splitlines() if line.startswith("| Prompt")]
    assert rows == [f"| Prompt {i} | a\\|b | Aye, matey. |" for i in range(5)]


def test_a_card_without_examples_is_still_a_card(facts):
    assert "## Where it comes from" in write_card(dataclasses.replace(facts, examples=[]))
