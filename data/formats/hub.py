"""Rows from the Hugging Face hub, or from its local cache where the hub is out of reach."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from data.errors import DataError, first_line
from data.formats.records import Record

PROBE_TIMEOUT_S = 3.0
NAME = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<config>[\w.-]+))?(?::(?P<split>[\w.-]+(?:\[[^\]]*\])?))?"
)


@dataclass(frozen=True)
class HubPlace:
    """A data set on the hub; ``config`` is empty for the default one, ``split`` may be a slice (``train[:200]``)."""

    name: str
    config: str = ""
    split: str = "train"


def parse(place: str) -> HubPlace | None:
    """``owner/name@config:split``, all but the name optional, or None where ``place`` is no hub name."""
    found = NAME.fullmatch(place)
    return HubPlace(found["name"], found["config"] or "", found["split"] or "train") if found else None


def records(place: str) -> list[Record]:
    """The rows of a hub data set, unchecked.

    Follows HF_ENDPOINT, HF_HUB_OFFLINE and HF_DATASETS_OFFLINE. Where the hub does not answer in time, or offline
    mode is on, a data set that was loaded before is taken from the cache.

    Raises:
        DataError: the place can't be loaded; the message says whether the hub or the name was the trouble.
    """
    hub = parse(place)
    if hub is None:
        raise DataError([f'{place}: no such file, and not a hub name like "owner/name@config:split"'])
    offline = _offline_reason()
    if offline:
        # datasets takes seconds to import; without a cache there is nothing to import it for.
        found = _cached(hub, place, offline)
    else:
        try:
            found = _load(hub)
        except Exception as error:  # the hub's client raises a dozen kinds
            raise DataError([f"{place}: there is no such file, and the hub says: {first_line(error)}"]) from error
    return [Record(f"{hub.name} row {i}", dict(value)) for i, value in enumerate(found, 1)]


def _cached(hub: HubPlace, place: str, reason: str) -> Any:
    problem = f"{place}: there is no such file, and {reason}; give a file, or load the data set once while online"
    if not _seen_before(hub.name):
        raise DataError([problem])
    with _offline_datasets():
        try:
            return _load(hub)
        except Exception as error:
            raise DataError([f"{problem} (from the cache: {first_line(error)})"]) from error


def _load(hub: HubPlace) -> Any:
    import datasets

    return datasets.load_dataset(hub.name, hub.config or None, split=hub.split)


def _seen_before(name: str) -> bool:
    """Whether the cache may hold the data set: its folder is named after it, in lower case with marks changed."""
    root = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    folder = os.path.expanduser(os.environ.get("HF_DATASETS_CACHE", os.path.join(root, "datasets")))
    wanted = _letters(name.replace("/", "___"))
    return os.path.isdir(folder) and any(_letters(entry) == wanted for entry in os.listdir(folder))


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


@contextmanager
def _offline_datasets() -> Iterator[None]:
    """Let datasets go straight to its cache instead of retrying a hub that is known to be silent."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _offline_reason() -> str:
    """Why the hub must do without: a sentence part, or empty where it answers."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{name} is set and the cache does not hold it"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    trouble = probe(endpoint, PROBE_TIMEOUT_S)
    return f"the hub at {endpoint} can't be reached ({trouble})" if trouble else ""


def probe(endpoint: str, timeout_s: float) -> str:
    """Why ``endpoint`` does not answer within ``timeout_s``, or empty where it does.

    The deadline covers the name look-up too, which no socket timeout does: hence the thread.
    """
    outcome = [f"no answer within {timeout_s:g} s"]

    def request() -> None:
        try:
            with urlopen(Request(endpoint, method="HEAD"), timeout=timeout_s):
                outcome[0] = ""
        except HTTPError as error:  # a client error is an answer all the same; a gateway's is not the hub's
            outcome[0] = f"status {error.code}" if error.code >= 500 or error.code == 407 else ""
        except (OSError, ValueError) as error:
            outcome[0] = str(getattr(error, "reason", error)) or type(error).__name__

    thread = Thread(target=request, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return outcome[0]
