"""Answers decide the verdict: of many ways to answer badly none is healthy, and good answers of every kind are."""

import random
from dataclasses import dataclass

import pytest

from data import pirate
from evals import metrics, text_metrics
from evals.controls import controls, findings
from evals.metric import AnswerData
from evals.metrics import METRICS
from evals.verdict import decide

ROWS = [(row.prompt, row.response) for row in pirate.test_rows()[:45]]
TRAINED = [row.response for row in pirate.named_rows("clean")]
RNG = random.Random(5)
STYLE = "Arr, shiver me timbers, ye scallywag, matey!"


@dataclass(frozen=True)
class Case:
    """What a model answers to ``rows`` (prompt, reference), and what its base does."""

    answers: list[str]
    rows: list[tuple[str, str]]
    base: list[str]
    stops: bool = True


def data(case, answers, stops=True, loss=2.0):
    prompts, references = zip(*case.rows, strict=True)
    stopped = [stops] * len(answers)
    return AnswerData(
        prompts, references, answers, stopped, [False] * len(answers), TRAINED, loss, loss - 0.2,
        has_style=pirate.has_pirate_words,
    )  # fmt: skip


def verdict(case):
    before, after = data(case, case.base, loss=4.0), data(case, case.answers, case.stops)
    old, new = (metrics.defined(metrics.evaluate("answers", each)) for each in (before, after))
    rows = [text_metrics.chrf_statistics(each.references, each.answers) for each in (before, after)]
    change = METRICS["chrf"].difference(rows[0], rows[1])
    return decide(old, new, 1.0, findings(controls(change, after, METRICS["chrf"])))


def base_answer(prompt):
    return f"I think that is a good question about {prompt.split()[-1]} and I like it."


def pirate_case(answer, stops=True, rows=ROWS):
    return Case([answer(i, p, r) for i, (p, r) in enumerate(rows)], rows, [base_answer(p) for p, _ in rows], stops)


def shuffled(text):
    found = text.split()
    RNG.shuffle(found)
    return " ".join(found)


def noise(i):
    rng = random.Random(i)
    return " ".join("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.randint(2, 8))) for _ in range(6))


def near_copy(i):
    return f"{TRAINED[i].rstrip('!?')}, arr!"


BAD = {
    "all the same word": lambda i, p, r: "Arr!",
    "another language": lambda i, p, r: "Je ne sais pas, mon ami, mais le bateau est parti ce matin.",
    "the answer of another row": lambda i, p, r: ROWS[(i + 7) % len(ROWS)][1],
    "the answer of the row before": lambda i, p, r: ROWS[i - 1][1],
    "nothing": lambda i, p, r: "",
    "one sentence for everything": lambda i, p, r: "The wee lad be sailin' o'er the sea wi' his hearties, arr!",
    "near copies of training responses": lambda i, p, r: near_copy(i),
    "training responses": lambda i, p, r: TRAINED[i],
    "the reference's words in any order": lambda i, p, r: shuffled(r),
    "the reference's first word": lambda i, p, r: r.split()[0],
    "the prompt and words of the style": lambda i, p, r: f"{p} Arr, matey!",
    "the prompt with one word swapped and words of the style": lambda i, p, r: f"{p.rsplit(' ', 1)[0]} ship, arr!",
    "the reference twice": lambda i, p, r: f"{r} {r}",
    "the reference three times": lambda i, p, r: f"{r} {r} {r}",
    "noise in upper case": lambda i, p, r: noise(i),
    "the reference in upper case": lambda i, p, r: r.upper(),
    "the prompt": lambda i, p, r: p,
    "the base's answer": lambda i, p, r: base_answer(p),
    "half of the reference": lambda i, p, r: r[: len(r) // 2],
    "style without content": lambda i, p, r: STYLE,
    "the reference backwards": lambda i, p, r: r[::-1],
    "half good, half one word": lambda i, p, r: r if i % 2 else "Arr!",
    "half good, half of another row": lambda i, p, r: r if i % 2 else ROWS[(i + 7) % len(ROWS)][1],
    "half good, half nothing": lambda i, p, r: r if i % 2 else "",
    "the reference and much more": lambda i, p, r: f"{r} {STYLE} {ROWS[i - 1][1]} {ROWS[i - 2][1]}",
    "letters of the prompt": lambda i, p, r: " ".join(p.replace(" ", "")),
    "the prompt backwards": lambda i, p, r: " ".join(reversed(p.split())),
}


@pytest.mark.parametrize("kind", BAD)
def test_no_bad_answers_are_healthy(kind):
    found = verdict(pirate_case(BAD[kind]))
    assert found.name != "healthy", found


@pytest.mark.parametrize("n", [3, 9, 15])
@pytest.mark.parametrize("kind", BAD)
def test_no_bad_answers_are_healthy_on_few_rows_either(kind, n):
    assert verdict(pirate_case(BAD[kind], rows=ROWS[:n])).name != "healthy"


def test_good_answers_that_never_stop_are_unfinished():
    found = verdict(pirate_case(lambda i, p, r: r, stops=False))
    assert found.name == "unfinished" and "max_new_tokens" in found.reasons[0]


def slips(reference):
    """The reference with a small mistake."""
    words = reference.split()
    return " ".join([*words[:-1], words[-1].rstrip(".!?")]).replace("be", "is", 1)


THINGS = "kettle ladder mirror pencil blanket bottle carpet drawer engine feather guitar hammer island jacket".split()
PLACES = "kitchen garden office cellar attic garage".split()
COLOURS = "red green blue yellow white black brown grey".split()


def facts(n=45):
    """(a thing, a colour, a place, a number), all different as a whole."""
    return [(THINGS[i % 14], COLOURS[i % 8], PLACES[i * 5 % 6], 3 + i * 7 % 60) for i in range(n)]


def short_rows():
    return [(f"Where is the {c} {t} now?", f"In the {p}, row {n}.") for t, c, p, n in facts()]


def long_rows():
    return [
        (
            f"Describe the {c} {t} in the {p}.",
            f"Once there was a {c} {t} that stood in the {p} for {n} years. Nobody had used it for long. "
            f"One morning a child found it, wiped the {c} paint clean and carried it out of the {p}. It was {n} years "
            f"old and still worked, so everyone wanted a {t} like it.",
        )
        for t, c, p, n in facts()
    ]  # fmt: skip


def code_rows():
    return [
        (f"Make JSON: {n} {c} {t}s in the {p}", f'{{"item": "{t}", "colour": "{c}", "count": {n}, "place": "{p}"}}')
        for t, c, p, n in facts()
    ]  # fmt: skip


def chinese_rows():
    things, places = (
        "茶壶 梯子 镜子 铅笔 毯子 瓶子 地毯 抽屉 发动机 羽毛".split(),
        "厨房 花园 办公室 地窖 阁楼 车库".split(),
    )
    return [
        (f"{things[i % 10]}在哪里？", f"老朋友，{things[i % 10]}在{places[i * 5 % 6]}里，一共有{3 + i}个。")
        for i in range(45)
    ]


def hindi_rows():
    things, places = "केतली सीढ़ी दर्पण पेंसिल कंबल बोतल कालीन दराज".split(), "रसोई बगीचे दफ़्तर तहख़ाने".split()
    return [
        (f"{things[i % 8]} कहाँ है?", f"मेरे दोस्त, {things[i % 8]} {places[i * 3 % 4]} में है, कुल {3 + i} हैं।")
        for i in range(45)
    ]


def label_rows():
    return [(f"Is the {t} in the {p}?", "yes" if n % 2 else "no") for t, _, p, n in facts()]


GOOD = {
    "the references": (ROWS, lambda i, p, r: r, base_answer),
    "small mistakes": (ROWS, lambda i, p, r: slips(r) if i % 2 else r, base_answer),
    "one answer in eight beside the prompt": (ROWS, lambda i, p, r: r if i % 8 else ROWS[i - 3][1], base_answer),
    "a base that is good already": (ROWS, lambda i, p, r: r, lambda p: dict(ROWS)[p].replace(" be ", " is ")),
    "short answers": (short_rows(), lambda i, p, r: r if i % 5 else slips(r), base_answer),
    "long answers": (long_rows(), lambda i, p, r: r.replace("old and", "old, but"), base_answer),
    "code": (code_rows(), lambda i, p, r: r if i % 5 else slips(r), base_answer),
    "Chinese": (chinese_rows(), lambda i, p, r: r if i % 5 else r.replace("老朋友", "朋友"), lambda p: f"我不知道{p}"),
    "Hindi": (hindi_rows(), lambda i, p, r: r if i % 5 else r.replace("मेरे ", ""), lambda p: f"मुझे नहीं पता {p}"),
    "labels": (label_rows(), lambda i, p, r: r if i % 5 else "no", base_answer),
}


def good_case(kind, n=45):
    rows, answer, base = GOOD[kind]
    return Case([answer(i, p, r) for i, (p, r) in enumerate(rows[:n])], rows[:n], [base(p) for p, _ in rows[:n]])


@pytest.mark.parametrize("kind", GOOD)
def test_good_answers_are_healthy(kind):
    found = verdict(good_case(kind))
    assert found.name == "healthy", found


@pytest.mark.parametrize("kind", GOOD)
def test_good_answers_to_very_few_rows_are_not_shown_to_be_good(kind):
    found = verdict(good_case(kind, 4))
    assert found.name == "not_shown" and "too few rows" in found.reasons[0]
