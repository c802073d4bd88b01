"""The private vocabulary that names and prose once had does not come back (CONTRIBUTING.md, "Words").

``python -m tests.test_words [PACKAGE ...]`` lists what is found.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code import PACKAGES, ROOT, files, names, prose, words

NOWHERE = """
    pupil pupils teach teaches taught teaching teacher unteachable bury buries buried lesson lessons foreman foremen
    crew crews clerk clerks doorkeeper turnstile backstage ballot ballots luck lucky unlucky voice voices speaker
    speakers seat seats seated seating sibling siblings unheard unmixable shelf shelves yardstick yardsticks desk
    desks parting partings
""".split()
"""Words in no name and no prose."""

NOT_IN_NAMES = """
    lean leans put hand weigh weighs weighed tell tells told house houses gate gates story stories mistakes material
    materials flight guide journal ledger manner patience garbage pace judge judges judged judging ask asks asked
    asking asker said say says saying spelled spelling spell cast casts ballot draw drawing drawn nobody whoever
    whole_word come comes home speak speaks spoke heard hear yard overtaken silent away book mixture fault finder
    panel wish wishes door
""".split()
"""Words that plain English needs, but that a name of this code once used in a sense of its own."""

PHRASES = r"""
    \b(comes?|coming|came)\ home\b | \bhand(s|ed|ing)?\ in\b | \bleft\ no\ word\b | \bsaid\b | \btells?\b | \btold\b
    | \bweigh(s|ed|ing)?\b | \blean(s|ed|ing)?\b | \bspell(s|ed|ing)\b | \bjudg(e|es|ed|ing)\b | \b(the|a)\ house\b
    | \bstor(y|ies)\b | \bpatience\b | \bgarbage\b | \bwhisper | \bspeaks?\b | \bspoke\b | \btalks?\b | \bwishes\b
    | \bdoor\b | \bledger\b | \bmaterial\b | \bmanners?\b
"""
"""What prose once used in place of a technical word: record or report (tell), evaluate (judge), write (spell) ..."""

ALLOWED: dict[str, set[str]] = {
    "data/synthetic/small_talk.py": {"*"},  # a table of prompts and answers: their words are data
    "data/synthetic/questions.py": {"*"},
    "data/synthetic/corpora.py": {"speaker", "speakers", "stories", "story"},  # of dialogues, and of TinyStories
    "data/synthetic/exercises.py": {"speaker", "stories", "story", "told"},
    "recipes/pretraining/config.py": {"story"},
    "recipes/pretraining/model.py": {"story"},
    "recipes/pretraining/run.py": {"stories"},
    # A judge is what papers and tools call a model that compares answers (LLM-as-a-judge), and here a flag.
    "evals/pairwise.py": {"judge"},
    "evals/suites/judge.py": {"judge"},
    "evals/suites/own.py": {"judge"},
    "evals/suites/own_files.py": {"judge"},
    "evals/suites/suite.py": {"judge"},
    "recipes/compare/answered.py": {"judge"},
    "recipes/dpo/run.py": {"judge"},
    "recipes/evaluation/own_suites.py": {"judge"},
    "recipes/sft/run.py": {"judge"},
    "recipes/evaluation/config.py": {"judge"},
    "recipes/evaluation/judge_report.py": {"judge"},
    "recipes/evaluation/judged.py": {"judge", "judged"},
    "recipes/judges.py": {"judge", "judges"},
    "recipes/evaluation/run.py": {"judge", "judged"},
    "registry/votes/votes.py": {"voice", "asked", "cast"},  # keys of the JSON that votes are kept as
    "steps/base.py": {"stories"},  # the data set TinyStories
    "train/config.py": {"patience"},  # early stopping's, as in Transformers and Keras: a flag
}
"""Findings that are right: by file, the words. Say why in a comment."""


def found(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, word, where) for every word of the old vocabulary in a file's names, docstrings and comments."""
    for line, name in names(path):
        for word in words(name):
            if word in NOWHERE or word in NOT_IN_NAMES:
                yield line, word, f"name {name}"
    for line, text in prose(path):
        for word in words(text):
            if word in NOWHERE:
                yield line, word, text.strip()
        for match in re.finditer(PHRASES, text, re.IGNORECASE | re.VERBOSE):
            yield line, match[0].lower(), text.strip()


def findings(package: str) -> list[str]:
    """``file:line word: where`` for what is found in a package and not allowed, in the order of the lines."""
    every = []
    for path in files(package):
        short = path.relative_to(ROOT).as_posix()
        allowed = ALLOWED.get(short, set())
        every += [
            f"{short}:{line} {word}: {where}"
            for line, word, where in sorted(set(found(path)))
            if word not in allowed and "*" not in allowed
        ]
    return every


@pytest.mark.parametrize("package", PACKAGES)
def test_names_docstrings_and_comments_have_no_private_words(package):
    assert findings(package) == []


@pytest.mark.parametrize("file", ALLOWED)
def test_what_is_allowed_is_there(file):
    allowed = ALLOWED[file] - {"*"}
    assert allowed <= {word for _, word, _ in found(ROOT / file)}


@pytest.mark.parametrize(
    "line", ["def bury_job(luck): ...", "class Turnstile: ...", "x = 1  # what it said", "crew: int = 1"]
)
def test_a_private_word_is_found(tmp_path, line):
    (tmp_path / "module.py").write_text(line + "\n")
    assert list(found(tmp_path / "module.py"))


def test_words_of_the_field_are_not_found(tmp_path):
    (tmp_path / "module.py").write_text('def score_labels(rows):\n    """Log-probability of each label."""\n')
    assert not list(found(tmp_path / "module.py"))


if __name__ == "__main__":
    for package in sys.argv[1:] or PACKAGES:
        lines = findings(package)
        print(f"{package}: {len(lines)}", *(lines if sys.argv[1:] else ()), sep="\n  ")
