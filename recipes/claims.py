"""The claims of a run: read before anything is trained, recorded before the first step, decided after the last."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from data.errors import ConfigError
from evals import claims, claims_report
from evals.claims import Measured, Result
from evals.claims_file import Claims, load, parse
from evals.verdict import Verdict
from recipes.resume import require_same
from registry.runs import Run

FILE, PICTURE = "claims.yaml", "claims.png"
#: By section and metric, the bound that is claimed where the user names no file.
Defaults = Mapping[str, Mapping[str, str]]


def read(place: str, defaults: Defaults, known: Mapping[str, tuple[float, float]]) -> Claims:
    """The claims in the file ``place``, or those of ``defaults`` whose metrics are among ``known``.

    Args:
        known: the range of every metric that the run will measure in pairs, by name.

    Raises:
        UserError: the file can't be used.
    """
    return load(place, known) if place else parse(_text(defaults, known), "defaults", known)


def _text(defaults: Defaults, known: Mapping[str, tuple[float, float]]) -> str:
    lines = ["# The defaults: no file was named"]
    for section, bounds in defaults.items():
        own = [f"  - {metric}: {{{bound}}}" for metric, bound in bounds.items() if metric in known]
        lines += [f"{section}:", *own] if own else []
    return "\n".join(lines) + "\n"


def record_start(found: Claims, run: Run) -> None:
    """Keep the claims with the run before its first step, with their digest as a param, which never changes."""
    run.params({"claims_digest": found.digest, "claims_text": found.text})
    run.tags({"claims_digest": found.digest})
    run.text(found.text, FILE)


def record_file(place: str, run: Run) -> None:
    """Keep the file with a run whose cells read it; nothing where the user named none.

    Raises:
        UserError: it can't be read, or it is another than the run began with.
    """
    if not place:
        return
    try:
        content = Path(place).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"claims={place} can't be read: {error.strerror}") from None
    digest = sha256(content).hexdigest()
    require_same(run, {"claims_digest": digest})
    run.tags({"claims_digest": digest})
    run.text(content.decode("utf-8", "replace"), FILE)


def describe(found: Claims, place: str) -> list[str]:
    """What is claimed, as printed before training: one line for the file, one for each section."""
    lines = [f"Claims  {place or 'the defaults'}, alpha {found.alpha:g}, SHA-256 {found.digest[:16]}"]
    for name, is_keep in (("claimed", False), ("kept", True)):
        own = [line.text for line in found.lines if line.is_keep == is_keep]
        lines += [f"          {name}: {'; '.join(own)}"] if own else []
    return lines


def decide(found: Claims, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], seed: int) -> list[Result]:
    """The outcome of every line, from the statistics of each test row of base and tuned model, by metric."""
    measured = Measured(before, after, seed)
    return claims.decide(found, measured.estimate, measured.n)


def quoted(verdict: Verdict, results: Sequence[Result]) -> Verdict:
    """The verdict with how many claims were confirmed as a further reason."""
    return replace(verdict, reasons=(*verdict.reasons, claims.summary(results))) if results else verdict


def broken(results: Sequence[Result]) -> list[str]:
    """The keeps that were refuted, with what was found: a version that broke one does not become champion."""
    return [claims_report.sentence(each) for each in results if each.line.is_keep and each.outcome == "refuted"]


def record_results(results: Sequence[Result], title: str, run: Run) -> None:
    """The forest plot and its figures as artifacts, the counts of outcomes as a tag."""
    if not results:
        return
    picture = run.folder / PICTURE
    claims_report.forest(results, title, picture)
    for path in (picture, picture.with_suffix(".csv"), picture.with_suffix(".txt")):
        run.file(path)
    run.tags({"claims": claims.summary(results)})
