"""Plain questions with one right answer for a very small chat model: numbers, sizes, rhymes, capitals."""

from random import Random

from data.synthetic.phrases import Cell, Conversation, Frame, fill
from data.synthetic.tables import load

t = load("everyday")

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
).split()


def addition(rng: Random) -> Cell:
    """Two numbers and their sum."""
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    return str(a), str(b), str(a + b)


def subtraction(rng: Random) -> Cell:
    """Two numbers and their difference, never below zero."""
    b, rest = rng.randint(0, 15), rng.randint(0, 15)
    return str(b + rest), str(b), str(rest)


def multiplication(rng: Random) -> Cell:
    """Two numbers and their product."""
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    return str(a), str(b), str(a * b)


def word_addition(rng: Random) -> Cell:
    """A sum in words."""
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    return NUMBER_WORDS[a], NUMBER_WORDS[b], NUMBER_WORDS[a + b]


def neighbours(rng: Random) -> Cell:
    """A number with the next one."""
    a = rng.randint(0, 99)
    return str(a), str(a + 1)


def two_numbers(rng: Random) -> Cell:
    """Two different numbers in random order, then the smaller and the bigger."""
    a, b = rng.sample(range(101), 2)
    return str(a), str(b), str(min(a, b)), str(max(a, b))


def counting(rng: Random) -> Cell:
    """Two ends and the numbers from one to the other."""
    a = rng.randint(0, 30)
    b = a + rng.randint(2, 9)
    return str(a), str(b), ", ".join(str(i) for i in range(a, b + 1))


def counting_down(rng: Random) -> Cell:
    """Two ends and the numbers from the high one down to the low one."""
    low, high, run = counting(rng)
    return high, low, ", ".join(reversed(run.split(", ")))


def parity(rng: Random) -> Cell:
    """A number and whether it is even or odd."""
    a = rng.randint(0, 100)
    return str(a), "odd" if a % 2 else "even"


def steps(names: tuple[str, ...]) -> tuple[Cell, ...]:
    """Each name with the one that follows it in the circle."""
    return tuple(zip(names, names[1:] + names[:1], strict=True))


def rung_pair(ladder: tuple[str, ...], rng: Random) -> Cell:
    """Two entries of a ladder in random order, then the lower and the higher one."""
    low, high = sorted(rng.sample(range(len(ladder)), 2))
    shown = rng.sample((low, high), 2)
    return tuple(ladder[i] for i in (*shown, low, high))


def sizes(rng: Random) -> Cell:
    """Two things to compare by size."""
    return rung_pair(rng.choice(t.SIZE_LADDERS), rng)


def speeds(rng: Random) -> Cell:
    """Two things to compare by speed."""
    return rung_pair(t.SPEED_LADDER, rng)


def wrong_colour(rng: Random) -> Cell:
    """A thing, its colour and a colour that it does not have."""
    thing, colour = rng.choice(t.COLOURS)
    return thing, colour, rng.choice([c for c in t.COLOUR_NAMES if c != colour])


def member(rng: Random) -> Cell:
    """A thing, its kind and a kind to which it does not belong."""
    (kind, names), (other, _) = rng.sample(t.CATEGORIES, 2)
    return rng.choice(names), kind, other


def odd_one(rng: Random) -> Cell:
    """Three words in random order, then the one that does not belong."""
    (_, names), (_, others) = rng.sample(t.CATEGORIES, 2)
    stranger = rng.choice(others)
    shown = [*rng.sample(names, 2), stranger]
    rng.shuffle(shown)
    return (*shown, stranger)


def three_of_a_kind(rng: Random) -> Cell:
    """A kind and three of its members."""
    kind, names = rng.choice(t.MASS_KINDS)
    return kind, *rng.sample(names, 3)


def rhyme(rng: Random) -> Cell:
    """Two words that rhyme."""
    return tuple(rng.sample(rng.choice(t.RHYMES), 2))


def no_rhyme(rng: Random) -> Cell:
    """Two words that do not rhyme."""
    return tuple(rng.choice(group) for group in rng.sample(t.RHYMES, 2))


def spelled(rng: Random) -> Cell:
    """A word, its letters, its length, its first and its last letter."""
    word = rng.choice(t.SPELLING)
    return word, "-".join(word), str(len(word)), word[0], word[-1]


def wrong_capital(rng: Random) -> Cell:
    """A country, its capital, and the capital of another country."""
    (country, capital, _), (_, other, _) = rng.sample(t.CAPITALS, 2)
    return country, capital, other


BOTH_WAYS = t.OPPOSITES + tuple((b, a) for a, b in t.OPPOSITES)
MONTH_FACTS = tuple(zip(t.MONTHS, t.MONTH_DAYS, t.ORDINALS, strict=True))
QUESTION_FRAMES = (
    Frame(("What colour is {0}?", "Which colour is {0}?", "Tell me the colour of {0}."),
          ("{0} is {1}.", "The colour of {0} is {1}."), (t.COLOURS,)),
    Frame(("Is {0} {1}?", "Is it true that {0} is {1}?"),
          ("Yes, {0} is {1}.",), (t.COLOURS,)),
    Frame(("Is {0} {2}?", "Is it true that {0} is {2}?"),
          ("No, {0} is {1}.", "No, {0} is not {2}. It is {1}."), (wrong_colour,)),
    Frame(("What is the opposite of {0}?", "Which word means the opposite of {0}?",
           "Give me the opposite of {0}.", "Tell me the opposite of the word {0}."),
          ("The opposite of {0} is {1}.",), (BOTH_WAYS,)),
    Frame(("What is the plural of {0}?", "How do you say more than one {0}?",
           "I have one {0}. What do you call two of them?"),
          ("The plural of {0} is {1}.", "One {0}, two {1}."), (t.PLURALS,)),
    Frame(("What is the singular of {1}?", "What do you call one of the {1}?"),
          ("The singular of {1} is {0}.",), (t.PLURALS,)),
    Frame(("What is the past tense of {0}?", "How do you say {0} in the past?",
           "Today I {0}. What is the word for yesterday?"),
          ("The past tense of {0} is {1}.", "Today I {0}, yesterday I {1}."), (t.PASTS,)),
    Frame(("What comes after {0} and {1}?", "Finish this row: {0}, {1}, and what?"),
          ("The row is {0}, {1}, {2}.", "After {0} and {1} comes {2}."), (t.GRADES,)),
    Frame(("Which day comes after {0}?", "What day is after {0}?",
           "If today is {0}, what day is tomorrow?", "Today is {0}. What is tomorrow?"),
          ("The day after {0} is {1}.", "After {0} comes {1}."), (steps(t.DAYS),)),
    Frame(("Which day comes before {1}?", "What day is before {1}?",
           "If today is {1}, what day was yesterday?", "Today is {1}. What was yesterday?"),
          ("The day before {1} is {0}.", "Before {1} comes {0}."), (steps(t.DAYS),)),
    Frame(("Which month comes after {0}?", "What month follows {0}?", "What is after {0}?"),
          ("The month after {0} is {1}.", "After {0} comes {1}."), (steps(t.MONTHS),)),
    Frame(("Which month comes before {1}?", "What month is just before {1}?"),
          ("The month before {1} is {0}.", "Before {1} comes {0}."), (steps(t.MONTHS),)),
    Frame(("How many days does {0} have?", "How many days are there in {0}?"),
          ("{0} has {1} days.", "There are {1} days in {0}."), (MONTH_FACTS,)),
    Frame(("What is the {2} month of the year?", "Which month is the {2} month?"),
          ("The {2} month of the year is {0}.", "{0} is the {2} month of the year."),
          (MONTH_FACTS,)),
    Frame(("What is {0} plus {1}?", "How much is {0} plus {1}?", "Add {0} and {1}.",
           "What is the sum of {0} and {1}?"), ("{0} plus {1} is {2}.",), (addition,)),
    Frame(("What is {0} and {1}?", "What is {0} plus {1}?", "How much is {0} plus {1}?"),
          ("{0} plus {1} is {2}.", "{0} and {1} make {2}."), (word_addition,)),
    Frame(("I have {0} apples and get {1} more. How many apples do I have?",
           "There are {0} birds and {1} more come. How many birds are there?"),
          ("There are {2}, because {0} plus {1} is {2}.",), (addition,)),
    Frame(("What is {0} minus {1}?", "How much is {0} minus {1}?", "Take {1} away from {0}."),
          ("{0} minus {1} is {2}.",), (subtraction,)),
    Frame(("What is {0} times {1}?", "How much is {0} times {1}?", "Multiply {0} by {1}."),
          ("{0} times {1} is {2}.",), (multiplication,)),
    Frame(("Which number comes after {0}?", "What number follows {0}?", "What comes after {0}?"),
          ("After {0} comes {1}.", "The number after {0} is {1}."), (neighbours,)),
    Frame(("Which number comes before {1}?", "What number is just before {1}?"),
          ("Before {1} comes {0}.", "The number before {1} is {0}."), (neighbours,)),
    Frame(("Which number is bigger, {0} or {1}?", "Is {0} or {1} the bigger number?",
           "Which is more, {0} or {1}?"), ("{3} is bigger than {2}.",), (two_numbers,)),
    Frame(("Which number is smaller, {0} or {1}?", "Which is less, {0} or {1}?"),
          ("{2} is smaller than {3}.",), (two_numbers,)),
    Frame(("Count from {0} to {1}.", "Please count from {0} to {1}.",
     "Can you count to {1} from {0}?"),
          ("{2}.",), (counting,)),
    Frame(("Count down from {0} to {1}.", "Count backwards from {0} to {1}."),
          ("{2}.",), (counting_down,)),
    Frame(("Is {0} even or odd?", "Is {0} an even number or an odd number?"),
          ("{0} is {1}.", "The number {0} is {1}."), (parity,)),
    Frame(("What sound does {0!a} make?", "What does {0!a} do to make a sound?",
           "How does {0!a} sound?"), ("{0!a} {1}.", "When you hear {0!a}, it {1}."), (t.SOUNDS,)),
    Frame(("Which animal {1}?", "Name an animal that {1}.", "Do you know an animal that {1}?"),
          ("{0!a} {1}.", "An animal that {1} is {0!a}."), (t.SOUNDS,)),
    Frame(("How many legs does {0!a} have?", "How many legs has {0!a} got?",
           "Do you know how many legs {0!a} has?"), ("{0!a} has {1}.",), (t.LEGS,)),
    Frame(("What is a young {0} called?", "What do you call a baby {0}?",
           "What is the name for a young {0}?"), ("A young {0} is called {1!a}.",), (t.YOUNG,)),
    Frame(("What does {0!a} eat?", "What is good food for {0!a}?", "What do you feed {0!a}?"),
          ("{0!a} eats {1}.",), (t.DIETS,)),
    Frame(("Where does {0!a} live?", "Where is the home of {0!a}?"),
          ("{0!a} lives {1}.",), (t.HOMES,)),
    Frame(("What is the capital of {0}?", "Which city is the capital of {0}?",
           "Name the capital of {0}.", "Do you know the capital of {0}?"),
          ("The capital of {0} is {1}.", "{1} is the capital of {0}."), (t.CAPITALS,)),
    Frame(("{1} is the capital of which country?", "Of which country is {1} the capital?"),
          ("{1} is the capital of {0}.",), (t.CAPITALS,)),
    Frame(("Is {1} the capital of {0}?", "Is it true that {1} is the capital of {0}?"),
          ("Yes, {1} is the capital of {0}.",), (t.CAPITALS,)),
    Frame(("Is {2} the capital of {0}?", "Is it true that {2} is the capital of {0}?"),
          ("No, the capital of {0} is {1}.",), (wrong_capital,)),
    Frame(("Where is {0}?", "In which part of the world is {0}?", "On which continent is {0}?"),
          ("{0} is in {2}.",), (t.CAPITALS,)),
    Frame(("Which is bigger, {0} or {1}?", "What is bigger, {0} or {1}?",
           "What is larger, {0} or {1}?"),
          ("{3} is bigger than {2}.",), (sizes,)),
    Frame(("Which is smaller, {0} or {1}?", "What is smaller, {0} or {1}?"),
          ("{2} is smaller than {3}.",), (sizes,)),
    Frame(("Is {2} bigger than {3}?", "Is it true that {2} is bigger than {3}?"),
          ("No, {2} is smaller than {3}.", "No, {3} is bigger than {2}."), (sizes,)),
    Frame(("Is {3} bigger than {2}?", "Is it true that {3} is bigger than {2}?"),
          ("Yes, {3} is bigger than {2}.",), (sizes,)),
    Frame(("Which is faster, {0} or {1}?", "What is faster, {0} or {1}?"),
          ("{3} is faster than {2}.",), (speeds,)),
    Frame(("Is {0!a} {1!a}?", "Would you say that {0!a} is {1!a}?"),
          ("Yes, {0!a} is {1!a}.",), (member,)),
    Frame(("Is {0!a} {2!a}?", "Would you say that {0!a} is {2!a}?"),
          ("No, {0!a} is {1!a}.", "No, {0!a} is not {2!a}. It is {1!a}."), (member,)),
    Frame(("What is {0!a}?", "What kind of thing is {0!a}?", "Can you tell me what {0!a} is?"),
          ("{0!a} is {1!a}.",), (member,)),
    Frame(("Which word does not belong: {0}, {1} or {2}?", "Find the odd one: {0}, {1}, {2}."),
          ("The word {3} does not belong.",), (odd_one,)),
    Frame(("Name three {0}.", "Tell me three {0}.", "Can you name three {0}?"),
          ("Three {0} are {1}, {2} and {3}.", "{1}, {2} and {3} are {0}."), (three_of_a_kind,)),
    Frame(("What is {0!a} for?", "What do you use {0!a} for?", "Why do people need {0!a}?"),
          ("{0!a} is for {1}.", "People use {0!a} for {1}."), (t.USES,)),
    Frame(("Where do you find {0}?", "Where can I find {0}?", "Where would you look for {0}?"),
          ("You find {0} {1}.", "You can find {0} {1}."), (t.WHERE,)),
    Frame(("Who {1}?", "Which worker {1}?", "What do you call a person who {1}?"),
          ("{0!a} {1}.",), (t.WORKERS,)),
    Frame(("What does {0!a} do?", "What is the work of {0!a}?", "Tell me what {0!a} does."),
          ("{0!a} {1}.",), (t.WORKERS,)),
    Frame(("What is {0} made of?", "From what is {0} made?"),
          ("{0} is made of {1}.",), (t.MATERIALS,)),
    Frame(("In which season is it that {0}?", "What season is it when {0}?"),
          ("It is {1} when {0}.",), (t.SEASONS,)),
    Frame(("What do you {0} with?", "Which part of the body do you use to {0}?"),
          ("You {0} with {1}.", "You use {1} to {0}."), (t.BODY,)),
    Frame(("How many {0} does {1} have?", "How many {0} has {1} got?"),
          ("{1} has {2} {0}.",), (t.COUNTS,)),
    Frame(("Do {0} and {1} rhyme?", "Does {0} rhyme with {1}?"),
          ("Yes, {0} rhymes with {1}.", "Yes, {0} and {1} rhyme."), (rhyme,)),
    Frame(("Do {0} and {1} rhyme?", "Does {0} rhyme with {1}?"),
          ("No, {0} does not rhyme with {1}.", "No, {0} and {1} do not rhyme."), (no_rhyme,)),
    Frame(("What rhymes with {0}?", "Tell me a word that rhymes with {0}."),
          ("{1} rhymes with {0}.", "A word that rhymes with {0} is {1}."), (rhyme,)),
    Frame(("How do you spell {0}?", "Spell the word {0}.", "Can you spell {0}?"),
          ("{0} is spelled {1}.", "You spell it {1}."), (spelled,)),
    Frame(("How many letters are in the word {0}?", "How many letters does {0} have?"),
          ("The word {0} has {2} letters.",), (spelled,)),
    Frame(("What is the first letter of {0}?", "With which letter does {0} begin?"),
          ("The first letter of {0} is {3}.", "{0} begins with {3}."), (spelled,)),
)


def questions(rng: Random, n: int) -> list[Conversation]:
    """n conversations of one or two plain questions with true answers."""
    return [
        tuple(fill(rng, frame) for frame in rng.sample(QUESTION_FRAMES, rng.choice((1, 1, 1, 2))))
        for _ in range(n)
    ]
