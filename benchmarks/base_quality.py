"""How good the bundled base model is: copying, everyday answers, and what it knows of pirates.

Run from the project's root::

    python -m benchmarks.base_quality [--model data/base] [--corpora FOLDER]

Copying is measured on sentences that no training row held: the pirate set's prompts, and with ``--corpora`` also
sentences of the corpora that a fixed hash keeps out of every exercise.
"""

import argparse
from pathlib import Path
from random import Random

from spellchecker import SpellChecker

from data import pirate
from data.conversation import Row
from data.synthetic import corpora, exercises
from evals.generation import Answer, Decoding, answer
from evals.repetition import is_loop
from evals.words import words
from train import base_model

PROMPTS = Path(__file__).with_name("everyday_prompts.txt")


def main() -> None:
    """Print each bound with what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--corpora", default="")
    parser.add_argument("--show", action="store_true", help="print every everyday answer")
    args = parser.parse_args()
    found = base_model.resolve(args.model)
    model, tokenizer = base_model.load(found, "cpu")

    def ask(prompts: list[str], tokens: int = 60) -> list[Answer]:
        return answer(model, tokenizer, [Row(((p, ""),)) for p in prompts], Decoding(tokens))

    unseen = {"pirate set's prompts": [r.prompt for r in pirate.named_rows("clean") + pirate.test_rows()]}
    if args.corpora:
        held_out = [s for s in exercises.sentences(corpora.read(args.corpora).plain()) if exercises.is_held_out(s)]
        unseen["held-out corpus sentences"] = Random(7).sample(held_out, 300)
    print(f"base {found.digest}, {sum(p.numel() for p in model.parameters()):,} parameters")
    for name, sentences in unseen.items():
        answers = ask([f"Repeat: {s}" for s in sentences])
        exact = sum(a.text == s for a, s in zip(answers, sentences, strict=True)) / len(sentences)
        print(f"Repeat: X exact           {exact:.3f}  (bound .98; {len(sentences)} {name})")
    prompts = PROMPTS.read_text().splitlines()
    answers = ask(prompts)
    loop_rate = sum(is_loop(a.text) for a in answers) / len(answers)
    print(f"loop rate                 {loop_rate:.3f}  (bound .04)")
    print(f"known English words       {known_share([a.text for a in answers]):.3f}  (bound .97)")
    print(f"stopped by itself         {sum(a.stopped for a in answers) / len(answers):.3f}")
    print(f"answers that speak pirate {sum(pirate.has_pirate_words(a.text) for a in answers) / len(answers):.3f}")
    one_each = all(
        len(tokenizer(w, add_special_tokens=False)["input_ids"]) == 1
        for w in (" positive", " negative", "positive", "negative")
    )
    print(f"positive, negative        {'one token each' if one_each else 'NOT one token each'}")
    if args.show:
        for prompt, said in zip(prompts, answers, strict=True):
            print(f"\n> {prompt}\n{said.text}")


def known_share(texts: list[str]) -> float:
    """Share of all words of ``texts`` that the spelling dictionary knows; numbers are left out."""
    known = SpellChecker()
    stripped = [word.removesuffix("'s").strip("'") for text in texts for word in words(text)]
    plain = [word for word in stripped if word.replace("'", "").isalpha()]
    return sum(word in known for word in plain) / max(1, len(plain))


if __name__ == "__main__":
    main()
