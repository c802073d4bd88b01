"""A file of claims: a sign makes a bound one on the change, and whatever is wrong is said with its line."""

import hashlib
import math

import pytest

from data.errors import ConfigError, DataError
from evals import claims_file
from evals.metrics import METRICS

KNOWN = {name: METRICS[name].range for name in ("lexicon_rate", "content_rate", "perplexity", "chrf", "stop_rate")}

EXAMPLE = """claims:
  - lexicon_rate: {at_least: +0.50}          # effect of tuning
  - content_rate: {above: 0.85}
  - perplexity: {of: change, below: 3}
  - chrf: {at_least: +10, at_most: +40}
keeps:
  - perplexity: {within: 5%}
  - stop_rate: {not_below: -0.03}
  - lexicon_rate: {within: 0.02}
alpha: 0.01
"""


def read(text):
    return claims_file.parse(text, "claims.yaml", KNOWN)


def test_every_form_of_a_bound_is_read():
    found = read(EXAMPLE)
    assert found.alpha == 0.01
    assert [(line.metric, line.quantity, line.low, line.high) for line in found.lines] == [
        ("lexicon_rate", "change", 0.5, math.inf),
        ("content_rate", "level", 0.85, math.inf),
        ("perplexity", "change", -math.inf, 3.0),
        ("chrf", "change", 10.0, 40.0),
        ("perplexity", "relative", -0.05, 0.05),
        ("stop_rate", "change", -0.03, math.inf),
        ("lexicon_rate", "change", -0.02, 0.02),
    ]
    assert [line.is_keep for line in found.lines] == [False] * 4 + [True] * 3
    assert found.lines[0].text == "lexicon_rate at_least +0.50"


def test_a_sign_makes_a_change_and_its_absence_a_level_unless_words_say_otherwise():
    quantities = {
        "{above: 0}": "level",
        "{above: +0}": "change",
        "{above: '+0'}": "change",
        "{above: +5%}": "relative",
        "{of: level, above: +0.5}": "level",
        "{of: change, above: 0.5}": "change",
        "{of: change, above: 5%}": "relative",
    }
    assert {form: read(f"claims:\n  - chrf: {form}\n").lines[0].quantity for form in quantities} == quantities


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claims:\n  - chrff: {above: +1}\n", "line 2: no metric 'chrff' is measured in pairs here; there is lexicon"),
        (
            "keeps:\n  - facts/accuracy: {not_below: -0.1}\n",
            "line 2: no metric 'facts/accuracy' is measured in pairs here: facts is none of this run's suites, which",
        ),
        ("claims:\n  - chrf: {above: +1}\n  - chrf: {above: +1}\n", "line 3: chrf above +1 stands twice"),
        ("claims:\n  - chrf: {above: much}\n", "line 2: a bound is a number such as +0.50"),
        ("claims:\n  - chrf: {within: 5%}\n", "line 2: claims take at_least, at_most, above, below, not 'within'"),
        ("keeps:\n  - chrf: {above: +1}\n", "line 2: keeps take within, not_below, not_above, not 'above'"),
        ("keeps:\n  - chrf: {within: -1}\n", "line 2: within is the most that the change may be either way"),
        ("claims:\n  - chrf: {}\n", "line 2: chrf has no bound"),
        ("claims:\n  - chrf: {above: 5%}\n", "line 2: 5% is relative to the base, so it needs a sign"),
        ("claims:\n  - chrf: {above: +1, at_most: 90}\n", "line 2: chrf has bounds of different kinds"),
        ("claims:\n  - chrf: {at_least: +9, at_most: +1}\n", "line 2: chrf can't be at least 9 and at most 1"),
        ("claims:\n  - lexicon_rate: {above: 50}\n", "line 2: 50 is no bound on a value that lies between 0 and 1"),
        ("claims:\n  - lexicon_rate: {above: +50}\n", "line 2: +50 is no bound on a change that lies between -1 and 1"),
        ("claims:\n  - chrf: {of: it, above: 1}\n", "line 2: of is change (tuned less base) or level"),
        ("claims:\n  - chrf: {above: 1, above: 2}\n", "line 2: above stands twice"),
        ("claim:\n  - chrf: {above: +1}\n", "line 1: there is no 'claim'; there are claims, keeps and alpha"),
        ("claims: chrf\n", "line 1: claims is a list of"),
        ("- chrf\n", "line 1: here belongs claims, keeps and alpha"),
        ("claims:\n  - chrf: [\n", "line 3: "),
        ("claims:\n  - chrf: {above: +1}\nalpha: 5\n", "line 3: alpha is from 0.001 to 0.2, not 5"),
        ("", "there is no claim and no keep in it"),
        ("alpha: 0.05\n", "there is no claim and no keep in it"),
    ],
)
def test_a_fault_is_one_line_with_file_and_line(text, said):
    with pytest.raises(DataError) as error:
        read(text)
    assert str(error.value).startswith("claims.yaml") and said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_all_faults_are_said_at_once():
    with pytest.raises(DataError) as error:
        read("claims:\n  - chrff: {above: +1}\n  - chrf: {over: +1}\nalpha: x\n")
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        f"claims.yaml line {n}" for n in (2, 3, 4)
    ]


def test_the_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_bytes(EXAMPLE.encode())
    assert claims_file.load(str(path), KNOWN).digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_not_there_names_the_flag(tmp_path):
    with pytest.raises(ConfigError, match="claims=.*none.yaml can't be read: No such file"):
        claims_file.load(str(tmp_path / "none.yaml"), KNOWN)
