"""The public texts that the base model reads, from a folder of files or from the Hugging Face hub."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.synthetic import exercises

FILES = ("persona_chat.jsonl.gz", "sgd_dialogs.jsonl.gz", "tinystories_2316.txt.gz")
#: hub name, licence and credit of each source, as the base model's card gives them
SOURCES = (
    ("google/Synthetic-Persona-Chat", "CC BY 4.0"),
    ("schema_guided_dstc8", "CC BY-SA 4.0"),
    ("roneneldan/TinyStories", "CDLA-Sharing-1.0"),
)


@dataclass(frozen=True)
class CorpusTexts:
    """The public texts: persona chats as text, service dialogues as ``[speaker, text]`` turns, stories."""

    persona: list[str]
    service: list[list[list[str]]]
    stories: list[str]

    def plain(self) -> Iterator[str]:
        """Every text line by line, speakers' names taken off."""
        for chat in self.persona:
            yield from (text for turn in exercises.persona_conversation(chat) for text in turn)
        for turns in self.service:
            yield from (text for _, text in turns)
        yield from self.stories


def read(place: str) -> CorpusTexts:
    """Read the corpora from the folder ``place``, or from the hub where it says ``hub``.

    Raises:
        UserError: a file is missing or damaged, or the hub can't be reached.
    """
    if place == "hub":
        return _from_hub()
    folder = Path(place)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"corpora={place}: there is no {', no '.join(missing)} in that folder; it must hold {', '.join(FILES)}"
        )
    persona, service, stories = (folder / name for name in FILES)
    return CorpusTexts(
        _values(persona, "Best Generated Conversation"),
        _values(service, "turns"),
        [story for story in "".join(_lines(stories)).split("<|endoftext|>") if story.strip()],
    )


def _lines(path: Path) -> Iterable[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from lines
    except EOFError as error:
        raise UserError(f"{path}: the file is cut off; fetch it again") from error
    except (OSError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it is no gzip file of UTF-8 text that can be read ({error})") from error


def _values(path: Path, key: str) -> list[Any]:
    """``key`` of the JSON object on each line."""
    found = []
    for number, line in enumerate(_lines(path), 1):
        try:
            found.append(json.loads(line)[key])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} line {number}: broken JSON, or no object that holds {key!r}") from error
    return found


def _from_hub() -> CorpusTexts:
    import datasets

    try:
        persona = datasets.load_dataset(SOURCES[0][0], split="validation")["Best Generated Conversation"]
        service = datasets.load_dataset(SOURCES[1][0], "dialogues", split="train")["turns"]
        stories = datasets.load_dataset(SOURCES[2][0], split="validation[:2400]")["text"]
    except Exception as error:  # the hub's client raises a dozen kinds
        raise UserError(
            f"corpora=hub: the hub did not give the data ({type(error).__name__}); name a folder instead"
        ) from error
    dialogues = [[["", text] for text in turns["utterance"]] for turns in service]
    return CorpusTexts(list(persona), dialogues, list(stories))
