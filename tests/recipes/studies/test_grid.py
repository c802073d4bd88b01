"""Which cells a study has, by what they are known, and which settings are refused."""

import dataclasses

import pytest

from data.errors import ConfigError
from recipes.studies.config import StudyConfig
from recipes.studies.grid import cells


def places(config):
    return [dict(cell.coordinates) for cell in cells(config)]


def test_the_grid_is_the_product_and_one_clean_control_a_learner_and_seed():
    config = StudyConfig(kinds="symmetric,one_sided", rates="0,.1,.3", seeds="1,2", learners="tfidf,lora")
    found = places(config)
    assert len(found) == 2 * 2 * (2 * 2 + 1)
    controls = [(place["learner"], place["seed"]) for place in found if place["rate"] == 0]
    assert controls == [("tfidf", 1), ("tfidf", 2), ("lora", 1), ("lora", 2)]
    assert all((place["kind"] == "clean") == (place["rate"] == 0) for place in found)


def test_a_clean_control_is_always_in_the_grid():
    assert [place["rate"] for place in places(StudyConfig(kinds="symmetric", rates=".3", seeds="1"))] == [0, 0.3]


def test_a_seed_draws_rows_flips_labels_and_seeds_the_training():
    cell = cells(StudyConfig(seeds="5"))[0]
    assert (cell.config.seed, cell.config.noise_seed) == (5, 5)  # type: ignore[attr-defined]


def test_the_pirate_grid_is_sets_by_lengths_by_labels():
    found = cells(StudyConfig(grid="pirate", seeds="7"))
    assert len(found) == 3 * 4 * 2
    assert {cell.config.dataset for cell in found} == {"tiny", "clean", "noisy"}  # type: ignore[attr-defined]
    assert {cell.config.epochs for cell in found} == {3, 8, 20, 60}


def test_a_digest_tells_cells_apart_and_not_where_they_run():
    config = StudyConfig(seeds="1,2", learners="tfidf,full")
    digests = [cell.digest for cell in cells(config)]
    assert len(set(digests)) == len(digests)
    elsewhere = dataclasses.replace(config, engine="ray", jobs=7, register_as="other")
    assert [cell.digest for cell in cells(elsewhere)] == digests
    assert not {cell.digest for cell in cells(dataclasses.replace(config, n_train=9))} & set(digests)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"kinds": "symetric"}, "kinds"),
        ({"rates": "0.1,1.5"}, "rates"),
        ({"rates": "nan"}, "rates"),
        ({"seeds": "one"}, "seeds"),
        ({"seeds": ","}, "seeds"),
        ({"learners": "tfidf,bert"}, "learners"),
        ({"lengths": "0"}, "lengths"),
        ({"jobs": -1}, "jobs"),
        ({"grid": "pirate", "learners": "tfidf"}, "pirate"),
        ({"grid": "preference", "learners": "tfidf"}, "preference"),
        ({"losses": "dpo,kdo"}, "losses"),
        ({"losses": "ipo:0.1"}, "label_smoothing"),
        ({"losses": "dpo:0.6"}, "label_smoothing"),
        ({"start": "pirate/1"}, "start"),
        ({"word": "plot"}, "word"),
        ({"ray_address": "auto"}, "ray_address"),
        ({"kinds": "trigger"}, "word"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, flag):
    with pytest.raises(ConfigError, match=flag):
        cells(StudyConfig(**settings))


def test_the_preference_grid_is_rates_by_losses_and_chooses_no_checkpoint():
    found = cells(StudyConfig(grid="preference", rates=".3", seeds="5", losses="dpo,dpo:0.1,ipo", start="wordy/1"))
    assert [(c.config.loss, c.config.label_smoothing, c.config.rate) for c in found] == [  # type: ignore[attr-defined]
        (loss, smoothing, rate) for rate in (0, 0.3) for loss, smoothing in (("dpo", 0), ("dpo", 0.1), ("ipo", 0))
    ]
    for config in (cell.config for cell in found):
        assert (config.dataset, config.start) == ("terse", "wordy/1")  # type: ignore[attr-defined]
        assert (config.restore, config.seed, config.noise_seed) == ("last", 5, 5)  # type: ignore[attr-defined]


def test_a_study_of_preferences_names_the_set_that_its_cells_train_on():
    config = StudyConfig(grid="preference", losses="dpo", rates="0", seeds="1")
    assert config.run_name == "study terse lora dpo 0" and cells(config)[0].config.dataset == "terse"
    assert StudyConfig(grid="preference", dataset="my_pairs.jsonl").run_name.startswith("study my_pairs")
