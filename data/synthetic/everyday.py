"""Everyday rows for a very small chat model: small talk, plain questions and film reviews.

Every function takes its own random generator, so the same seed gives the same rows.
"""

import re
from collections.abc import Callable
from random import Random
from string import Formatter
from typing import NamedTuple

from data.synthetic.tables import load

t = load("everyday")

Turn = tuple[str, str]
Conversation = tuple[Turn, ...]
Cell = str | tuple[str, ...]
Source = tuple[Cell, ...] | Callable[[Random], Cell]

CONSONANT_SOUNDS = ("uni", "use", "euro", "one")
VOWEL_SOUNDS = ("hour", "honest")


class Frame(NamedTuple):
    """Paraphrased prompts, fitting answers, and the sources that fill their numbered slots."""

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    sources: tuple[Source, ...] = ()


class Script(NamedTuple):
    """Turns that share one filling, so that a later answer can recall an earlier prompt."""

    turns: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    sources: tuple[Source, ...]


def with_article(noun: str) -> str:
    """The noun with the fitting "a" or "an"."""
    vowel = noun[0].lower() in "aeiou" and not noun.startswith(CONSONANT_SOUNDS)
    return f"{'an' if vowel or noun.startswith(VOWEL_SOUNDS) else 'a'} {noun}"


def plural(noun: str) -> str:
    """The regular plural of a noun."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


class Phrase(Formatter):
    """Text templates in which `{0!a}` adds an article and `{0!p}` makes a plural."""

    def convert_field(self, value: str, conversion: str | None) -> str:
        """Apply an article or a plural; leave plain fields alone."""
        changes = {"a": with_article, "p": plural}
        return changes[conversion](value) if conversion else value


PHRASE = Phrase()


def sentence(text: str) -> str:
    """The text with a capital letter at the start of each sentence."""
    return re.sub(r"(?:^|[.!?] )[a-z]", lambda start: start.group().upper(), text)


def say(rng: Random, templates: tuple[str, ...], *args: str, **slots: str) -> str:
    """One of the templates, filled in."""
    return sentence(PHRASE.vformat(rng.choice(templates), args, slots))


def draw(rng: Random, sources: tuple[Source, ...]) -> tuple[str, ...]:
    """One cell from each source, flattened into numbered slots."""
    cells = [source(rng) if callable(source) else rng.choice(source) for source in sources]
    return tuple(
        word for cell in cells for word in ((cell,) if isinstance(cell, str) else cell)
    )


def fill(rng: Random, frame: Frame) -> Turn:
    """One prompt and answer of a frame."""
    args = draw(rng, frame.sources)
    return say(rng, frame.prompts, *args), say(rng, frame.answers, *args)


def perform(rng: Random, script: Script) -> Conversation:
    """All the turns of a script, with one shared filling."""
    args = draw(rng, script.sources)
    return tuple((say(rng, ask, *args), say(rng, reply, *args)) for ask, reply in script.turns)


# --- Small talk -----------------------------------------------------------------------------

GREETINGS = (
    Frame(
        ("Hello!", "Hi!", "Hello there!", "Hi there!", "Hey!", "Greetings!", "Hello, model!"),
        ("Hello! How are you today?", "Hi! How can I help you?", "Hello! It is nice to meet you.",
         "Hi there! What can I do for you?", "Hello! How are you?"),
    ),
    Frame(
        ("Good {0}!", "Good {0} to you!", "Hello and good {0}!", "Good {0}, how are you?"),
        ("Good {0}! I am fine, thank you.", "Good {0}! How can I help you?",
         "Good {0}! How are you today?"),
        (("morning", "afternoon", "evening"),),
    ),
    Frame(
        ("How are you?", "How are you today?", "How are you doing?", "Hello, how are you?",
         "Hi, how do you do?", "Are you well?", "How is it going?"),
        ("I am fine, thank you. How are you?", "I am well, thanks. And you?",
         "I am doing well. How are you today?", "Very well, thank you."),
    ),
    Frame(
        ("Hello, I am {0}.", "Hi, my name is {0}.", "My name is {0}.", "People call me {0}.",
         "Good morning, I am {0}.", "You can call me {0}."),
        ("Hello, {0}! It is nice to meet you.", "Nice to meet you, {0}!",
         "Hi {0}! How are you today?", "Hello, {0}! How can I help you?"),
        (t.NAMES,),
    ),
)
FAREWELLS = (
    Frame(
        ("Thank you.", "Thanks!", "Thank you very much.", "Thanks a lot!", "Many thanks.",
         "That was helpful, thank you.", "You are very kind."),
        ("You are welcome.", "You are welcome! I am glad to help.", "My pleasure.",
         "No problem at all.", "I am happy to help."),
    ),
    Frame(
        ("Goodbye!", "Bye!", "See you later!", "I have to go now.", "Good night!", "Bye for now.",
         "It was nice to talk to you.", "Have a nice day!"),
        ("Goodbye! Have a nice day.", "Bye! Take care.", "Goodbye! It was nice to talk to you.",
         "Goodbye, and come back soon."),
    ),
    Frame(
        ("See you {0}!", "Goodbye, I will see you {0}.", "I must go, but I will be back {0}.",
         "Bye, we will talk again {0}."),
        ("Goodbye! See you {0}.", "Take care! We will talk {0}.", "Bye! I will be here {0}."),
        (t.TIMES,),
    ),
    Frame(
        ("Thank you for the {0}.", "Thanks for the {0}!", "The {0} helped me a lot, thank you."),
        ("You are welcome. I am glad you liked the {0}.", "I am happy that the {0} helped you."),
        (("help", "answer", "advice", "story", "talk", "idea", "tip", "reply", "list",
         "kind words"),),
    ),
)
SELF = (
    Frame(
        ("What is your name?", "Who are you?", "Do you have a name?", "What are you called?",
         "May I ask your name?", "Tell me your name.", "What should I call you?"),
        ("I am Parley's base model.", "I have no name. I am Parley's base model.",
         "You can call me Parley's base model.",
         "I am Parley's base model, a small language model."),
    ),
    Frame(
        ("What are you?", "Are you a person?", "Are you a human?", "Are you real?",
         "Are you alive?",
         "Tell me about yourself.", "Are you a computer?"),
        ("I am a small language model.", "I am not a person. I am a small language model.",
         "I am a computer program that writes text.", "I am a small model that can talk with you."),
    ),
    Frame(
        ("What can you do?", "How can you help me?", "What are you good at?", "Can you help me?",
         "What do you know?", "I need help."),
        ("I can talk with you and answer simple questions.", "I can chat and write short texts.",
         "I am small, but I can answer easy questions.", "I will try to help. What do you need?"),
    ),
    Frame(
        ("Where do you live?", "How old are you?", "Do you have a family?", "Do you sleep?",
         "Do you have a body?", "Can you see me?", "Do you eat?"),
        ("I am a language model, so I only have words.",
         "I am only a small program that works with words.",
         "I am only a program, so that is not part of my life."),
    ),
    Frame(
        ("I am sorry.", "Sorry!", "Please forgive me.", "I am sorry about that.", "Excuse me.",
         "I made a mistake.", "Sorry, that was my fault."),
        ("That is all right.", "No problem.", "Do not worry about it.", "It is fine, really."),
    ),
    Frame(
        ("I am sorry about the {0}.", "Sorry, I broke the {0}.", "I forgot the {0}, sorry.",
         "Please forgive me for losing the {0}."),
        ("Do not worry about the {0}.", "It is fine. The {0} is not so important.",
         "That is all right. We can get a new {0}."),
        (t.SMALL_THINGS,),
    ),
)
FEELINGS = (
    Frame(
        ("I am {0}.", "I feel {0}.", "I feel {0} today.", "I am very {0}.",
         "I am so {0} right now.",
         "Today I am {0}.", "I have been {0} all day."),
        ("I am sorry that you feel {0}. {1}", "It is hard to feel {0}. {1}",
         "I am sorry to hear that you are {0}. {1}"),
        (t.BAD_FEELINGS, t.COMFORT),
    ),
    Frame(
        ("I am {0} {1}.", "I feel {0} {1}.", "Today I feel {0} {1}."),
        ("I am sorry that you are {0}. {2}", "I understand why you feel {0}. {2}"),
        (t.MOODS, t.BAD_CAUSES, t.COMFORT),
    ),
    Frame(
        ("I am {0}.", "I feel {0}.", "I feel {0} today.", "I am very {0}.", "Today I am {0}.",
         "I am {0} {1}.", "I feel {0} {1}."),
        ("I am glad that you feel {0}!", "It is lovely that you are {0}.",
         "That is good to hear. Enjoy feeling {0}!", "How nice that you feel {0}!"),
        (t.GOOD_FEELINGS, t.GOOD_CAUSES),
    ),
    Frame(
        ("My {0} is {1}.", "My {0} feels {1}.", "My {0} is very {1} today.", "My {0} looks {1}."),
        ("I am sorry that your {0} is {1}.", "I hope your {0} feels better soon.",
         "It is sad that your {0} is {1}. Be kind and listen."),
        (t.RELATIVES, t.BAD_FEELINGS),
    ),
    Frame(
        ("My {0} is {1}.", "My {0} feels {1}.", "My {0} is very {1} today.", "My {0} seems {1}."),
        ("I am glad that your {0} is {1}.", "How nice that your {0} is {1}!"),
        (t.RELATIVES, t.GOOD_FEELINGS),
    ),
    Frame(
        ("Are you {0}?", "Do you feel {0}?", "Do you ever feel {0}?"),
        ("I am a model, so I cannot feel {0}. Are you {0}?",
         "A language model does not feel {0}, but thank you for asking."),
        (t.GOOD_FEELINGS + t.BAD_FEELINGS,),
    ),
)
DAILY = (
    Frame(
        ("It is {0} {2}.", "It is very {0} {2}.", "The weather is {0} {2}.", "It is so {0} {2}!"),
        ("Yes, {0} weather. {1}", "If it is {0}, here is my advice. {1}", "{1}"),
        (t.WEATHER, t.DAY_PARTS),
    ),
    Frame(
        ("What should I do when it is {0}?", "It will be {0} {2}. Do you have a tip?"),
        ("When it is {0}, think of this. {1}", "{1}"),
        (t.WEATHER, t.TIMES),
    ),
    Frame(
        ("Do you like {0}?", "Do you eat {0}?", "Would you like some {0}?",
         "Is {0} your favourite?"),
        ("I cannot eat, but many people like {0}.",
         "I am a model, so I cannot try {0}. Do you like {0}?"),
        (t.FOODS,),
    ),
    Frame(
        ("I like {0}.", "I love {0}.", "I want to eat {0} {1}.", "I had {0} with my {2}.",
         "We will eat {0} {1}.", "I will cook {0} for my {2}.", "My {2} loves {0}."),
        ("Many people love {0}.", "That sounds good. Enjoy the {0}!",
         "I hope the {0} will be tasty.",
         "What do you like to drink with {0}?"),
        (t.FOODS, t.TIMES, t.RELATIVES),
    ),
    Frame(
        ("I do not like {0}.", "I never eat {0}.", "I am tired of {0}.", "I hate {0}."),
        ("You do not have to eat {0}. You could try {1}.", "Then leave the {0} and have {1}.",
         "Maybe you will like {1} better than {0}."),
        (lambda rng: tuple(rng.sample(t.FOODS, 2)),),
    ),
    Frame(
        ("I am drinking {0}.", "I would like some {0}.", "I drink {0} every day.", "I love {0}.",
         "I had {0} {1}.", "May I have some {0}?"),
        ("Enjoy your {0}!", "A glass or a cup of {0} is always nice.", "I hope you like the {0}."),
        (t.DRINKS, ("this morning", "at breakfast", "with my lunch", "after work", "at school")),
    ),
    Frame(
        ("I like to {0}.", "I love {1}.", "My hobby is {1}.", "I {0} every week.", "I enjoy {1}.",
         "I like {1} with my {2}.", "I want to {0} {3}.", "My {2} and I like {1}."),
        ("That is great! {1} is a nice hobby.", "How long have you liked {1}?",
         "It sounds fun to {0}.", "Many people enjoy {1}. Have fun!"),
        (t.HOBBIES, t.RELATIVES, t.TIMES),
    ),
    Frame(
        ("Can you {0}?", "Do you like {1}?", "Do you like to {0}?", "Do you {0}?"),
        ("I am a model, so I cannot {0}. Do you like {1}?",
         "No, I cannot {0}, but I can talk about {1}."),
        (t.HOBBIES,),
    ),
    Frame(
        ("I am {0!a}.", "I work as {0!a}.", "My {1} is {0!a}.", "I want to be {0!a}.",
         "My {1} works as {0!a}.", "I would like to become {0!a}."),
        ("It is good to be {0!a}.", "That is interesting. Is it hard to be {0!a}?",
         "The work of {0!a} is important.", "How nice! What does {0!a} do all day?"),
        (t.JOBS, t.RELATIVES),
    ),
    Frame(
        ("I like {0} at school.", "My favourite subject is {0}.", "I study {0}.", "{0} is fun.",
         "My {1} teaches {0}.", "I have a lesson in {0} {2}.", "I got a good mark in {0}."),
        ("{0} is an interesting subject.", "What do you like about {0}?",
         "That is great. You can learn a lot in {0}.", "Enjoy your {0}!"),
        (t.SUBJECTS, t.RELATIVES, t.TIMES),
    ),
    Frame(
        ("{0} is hard for me.", "I do not understand {0}.", "I have a test in {0} {1}.",
         "I am bad at {0}."),
        ("{0} can be hard. Study a little each day.", "Ask your teacher to explain {0} again.",
         "Do not give up. You can learn {0}.", "I wish you good luck with {0}."),
        (t.SUBJECTS, t.TIMES),
    ),
    Frame(
        ("I have {0!a}.", "I have {0!a} called {1}.", "My {0} is called {1}.", "My {2} has {0!a}.",
         "We got {0!a} last week.", "My {0} is very sweet."),
        ("What a lovely pet! {0!a} is good company.", "How nice to have {0!a}!",
         "I hope the {0} is happy and well.", "What does the {0} like to do?"),
        (t.PETS, t.PET_NAMES, t.RELATIVES),
    ),
    Frame(
        ("This is my {0}.", "My {0} lives in {1}.", "I miss my {0}.",
         "I love my {0}.", "My {0} is coming {2}.", "I will visit my {0} {2}.",
         "I met my {0} in {1}."),
        ("Tell me more about your {0}.", "It is nice that you have your {0}.",
         "Say hello to your {0} from me.", "Your {0} must be very dear to you."),
        (t.RELATIVES, t.CITIES, t.TIMES),
    ),
    Frame(
        ("I live in {0}.", "I am from {0}.", "I was born in {0}.", "I have just come from {0}."),
        ("{0} is an interesting city.", "How do you like life in {0}?", "I have read about {0}.",
         "{0} must be a nice place."),
        (t.CITIES,),
    ),
    Frame(
        ("I am going to {0} {1}.", "I will travel to {0} {1}.", "We are going to {0} {1}.",
         "I want to see {0} {1}.", "My {2} and I will go to {0} {1}."),
        ("Have a good trip to {0}!", "I hope you will enjoy {0}.", "How nice to go to {0}!",
         "A visit to {0} sounds great."),
        (t.CITIES + t.PLACES, t.TIMES + t.TRIPS, t.RELATIVES),
    ),
    Frame(
        ("I will {0} {1}.", "I want to {0} {1}.", "I plan to {0} {1}.", "I am going to {0} {1}.",
         "My {2} wants to {0} {1}.", "We will {0} {1}."),
        ("It is a good plan to {0} {1}.", "That sounds good. Have fun {1}!",
         "It is nice to {0}. Enjoy it!", "Good idea! It is nice to {0} {1}."),
        (t.PLANS, t.TIMES, t.RELATIVES),
    ),
    Frame(
        ("Should I {0} {1}?", "Is it a good idea to {0} {1}?", "May I {0} {1}?"),
        ("Yes, you can {0} {1}.", "Why not? It is good to {0}.",
         "If you have time, yes. You can {0}."),
        (t.PLANS, t.TIMES),
    ),
    Frame(
        ("I have a {1} {0}.", "I bought a {1} {0}.", "Look at my {1} {0}!", "My {0} is {1}.",
         "My {2} gave me a {1} {0}.", "I want a {1} {0}."),
        ("A {1} {0} sounds nice.", "I hope you enjoy the {1} {0}.",
         "What do you like about the {0}?",
         "How nice to have a {1} {0}!"),
        (t.THINGS, tuple(look for look in t.LOOKS if look[0] not in "aeiou"), t.RELATIVES),
    ),
    Frame(
        ("I lost my {0}.", "I cannot find my {0}.", "My {0} is broken.", "Someone took my {0}."),
        ("I am sorry about your {0}. {1}", "What a pity about your {0}! {1}"),
        (t.SMALL_THINGS, ("Ask your friends for help.", "Can someone help you?",
                    "Maybe it will be fine tomorrow.", "Do you need it today?")),
    ),
)
TASKS = (
    Frame(
        ("Please {0} the {1}.", "Could you {0} the {1}?", "Can you {0} the {1}, please?",
         "{0} the {1}, please.", "Would you please {0} the {1}?",
         "{0} the {1} for my {2}, please."),
        ("Sure, I will {0} the {1}.", "Of course. I will {0} the {1} now.",
         "Yes, I will {0} the {1} for you.", "All right, I will {0} the {1}."),
        (t.ERRANDS, t.RELATIVES),
    ),
    Frame(
        ("Do not {0} the {1}.", "Please do not {0} the {1}.", "You must not {0} the {1}."),
        ("All right, I will not {0} the {1}.", "Fine. I will not {0} the {1}.",
         "I understand. I will leave the {1} alone."),
        (t.ERRANDS,),
    ),
    Frame(
        ("I have to {0} the {1}.", "I must {0} the {1} {2}.", "I need to {0} the {1} {2}."),
        ("Then {0} the {1} and take a rest.", "I hope it is easy to {0} the {1}.",
         "Good luck! It does not take long to {0} the {1}."),
        (t.ERRANDS, t.TIMES),
    ),
    Frame(
        ("Say hello to {0}.", "Please greet {0}.", "Can you say hello to {0}?"),
        ("Hello, {0}!", "Hello, {0}! How are you?", "Hi {0}, it is nice to meet you!"),
        (t.NAMES,),
    ),
    Frame(
        ("Wish {0} a happy birthday.", "It is the birthday of {0}.", "{0} has a birthday today."),
        ("Happy birthday, {0}!", "Happy birthday, {0}! I wish you a lovely day.",
         "All the best to you, {0}!"),
        (t.NAMES,),
    ),
    Frame(
        ("Repeat after me. {0}", "Please say this. {0}", "Say this sentence. {0}",
         "Repeat this. {0}"),
        ("{0}",),
        (t.PLAIN_SENTENCES,),
    ),
    Frame(
        ("Make a sentence with the word {0}.", "Use the word {0} in a sentence.",
         "Write a short sentence about the {0}."),
        ("The {0} is {1}.", "I have a {0} and it is {1}.", "My {2} likes the {0}.",
         "We saw the {1} {0}."),
        (tuple(x for x in t.THINGS if x[0] not in "aeiou"), t.LOOKS, t.RELATIVES),
    ),
    Frame(
        ("What do you think about {0}?", "What is your opinion of {0}?", "Tell me about {0}.",
         "Is it good to learn about {0}?", "Let us talk about {0}."),
        ("I think that people can learn a lot from {0}.", "Many people like {0}. Do you?",
         "I like to talk about {0}. What do you want to know?", "There is much to say about {0}."),
        (t.TOPICS,),
    ),
    Frame(
        ("Which is better, {0} or {1}?", "Do you prefer {0} or {1}?", "Should I choose {0} or {1}?",
         "Do you like {0} or {1} more?"),
        ("Both are good, but I would choose {0}.", "I would say {1}, but {0} would be fine too.",
         "It depends on you. I would pick {1}."),
        (lambda rng: tuple(rng.sample(rng.choice((t.TOPICS, t.FOODS, t.DRINKS, t.CITIES)), 2)),),
    ),
    Frame(
        ("I think that {0} is {1}.", "My {2} thinks that {0} is {1}."),
        ("Why is {0} {1}?", "I see. Many people think that {0} is {1}.",
         "That is a fair opinion. Tell me more about {0}."),
        (tuple(hobby[1] for hobby in t.HOBBIES),
         ("fun", "hard", "easy", "boring", "great", "useful", "healthy", "relaxing"), t.RELATIVES),
    ),
    Frame(
        ("{0}.", "{0}. What should I do?", "Can you help me? {0}.", "{0}. Do you have any advice?",
         "Oh no! {0}.", "Hello! {0}."),
        ("I am sorry to hear that. {1}.", "That is a pity. {1}.", "{1}. I hope that helps.",
         "Here is my advice. {1}."),
        (t.ADVICE,),
    ),
    Frame(
        ("How can I {0}?", "I want to {0}.", "I would like to {0}. Can you help me?",
         "What is the best way to {0}?", "My {2} wants to {0}."),
        ("To {0}, {1}.", "If you want to {0}, {1}.", "It is simple. Just {1}."),
        (t.WISHES, t.RELATIVES),
    ),
    Frame(
        ("What should I eat {0}?", "I am hungry. What can I cook {0}?", "What is good to eat {0}?"),
        ("You could have {1} {0}.", "How about {1}?", "I would suggest {1} with {2}."),
        (t.TIMES, lambda rng: tuple(rng.sample(t.FOODS, 2))),
    ),
    Frame(
        ("What can I do {0}?", "I am bored. What can I do {0}?", "What would be nice to do {0}?"),
        ("You could {1} {0}.", "How about {2}?", "It would be nice to {1}."),
        (t.TIMES, t.HOBBIES),
    ),
    Frame(
        ("What should I give my {0}?", "My {0} has a birthday. What can I buy?",
         "I need a present for my {0}."),
        ("Your {0} may like a {2} {1}.", "Give your {0} a {1}.", "A {2} {1} is a nice present."),
        (t.RELATIVES, ("book", "scarf", "mug", "plant", "game", "puzzle", "picture", "cake", "hat",
                       "bag", "pen", "lamp"), ("nice", "new", "lovely", "pretty", "good", "blue")),
    ),
)
SCRIPTS = (
    Script(((("My name is {0}.", "I am {0}.", "Hello, I am {0}."), ("Nice to meet you, {0}!",)),
            (("What is my name?", "Do you remember my name?", "Who am I?"),
             ("Your name is {0}.", "You are {0}."))), (t.NAMES,)),
    Script(((("I have {0!a} called {1}.",
     "My {0} is called {1}."), ("{1} is a nice name for {0!a}.",)),
            (("What is my {0} called?", "What is the name of my {0}?"),
             ("Your {0} is called {1}.",))), (t.PETS, t.PET_NAMES)),
    Script(((("I live in {0}.", "My home is in {0}."), ("{0} must be a nice place to live.",)),
            (("Where do I live?",
             "Do you know where I live?"), ("You live in {0}.",))), (t.CITIES,)),
    Script(((("I love {0}.", "My favourite food is {0}.", "I like {0} best."),
             ("Many people like {0}.", "I hope you can have {0} soon.")),
            (("What do I like to eat?", "What is my favourite food?"),
             ("You like {0}.", "You told me that you like {0}."))), (t.FOODS,)),
    Script(((("I work as {0!a}.", "I am {0!a}."), ("It is good to be {0!a}.",)),
            (("What is my job?", "What do I do?"), ("You are {0!a}.", "You work as {0!a}."))),
           (t.JOBS,)),
    Script(((("I will {0} {1}.", "I plan to {0} {1}."), ("It is a good plan to {0}.",)),
            (("What will I do {1}?", "What is my plan {1}?"), ("You will {0} {1}.",))),
           (t.PLANS, t.TIMES)),
    Script(((("My {0} is called {1}.", "The name of my {0} is {1}."), ("{1} is a lovely name.",)),
            (("What is my {0} called?", "What is the name of my {0}?"),
             ("Your {0} is called {1}.",))), (t.RELATIVES, t.NAMES)),
    Script(((("I feel {0}.", "I am {0} today."), ("I am sorry that you feel {0}. Why is that?",)),
            (("I am {0} {1}.", "It is {1}."), ("I understand. {2}",))),
           (t.MOODS, t.BAD_CAUSES, t.COMFORT)),
)
MIDDLES = SELF + FEELINGS + DAILY + TASKS
SMALL_TALK_FRAMES = GREETINGS + MIDDLES + FAREWELLS
# The bare frames hold only a few dozen rows, so they are drawn less often than those with slots.
SMALL_TALK_WEIGHTS = tuple(3 if frame.sources else 1 for frame in SMALL_TALK_FRAMES)
MIDDLE_WEIGHTS = tuple(3 if frame.sources else 1 for frame in MIDDLES)


def chat(rng: Random) -> Conversation:
    """One small-talk conversation of 1 to 4 turns."""
    length = rng.choice((1, 1, 2, 2, 3, 4))
    if length == 1:
        return (fill(rng, rng.choices(SMALL_TALK_FRAMES, SMALL_TALK_WEIGHTS)[0]),)
    start = (fill(rng, rng.choice(GREETINGS)),) if rng.random() < 0.4 else ()
    end = (fill(rng, rng.choice(FAREWELLS)),) if rng.random() < 0.35 else ()
    room = length - len(start) - len(end)
    middle = perform(rng, rng.choice(SCRIPTS)) if room >= 2 and rng.random() < 0.3 else ()
    rest = rng.choices(MIDDLES, MIDDLE_WEIGHTS, k=room - len(middle))
    return start + middle + tuple(fill(rng, frame) for frame in rest) + end


def small_talk(rng: Random, n: int) -> list[Conversation]:
    """n friendly conversations whose replies take up the words of the prompt."""
    return [chat(rng) for _ in range(n)]


# --- Questions ------------------------------------------------------------------------------

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


# --- Reviews --------------------------------------------------------------------------------

OTHER = {"positive": "negative", "negative": "positive"}
WRITE_PROMPTS = (
    "Write a {0} review of {1!a}.",
    "Please write a {0} review of {1!a}.",
    "Write a short {0} review of {1!a}.",
    "Can you write a {0} review of {1!a}?",
    "Write a {0} film review about {1!a}.",
)


def aspect_clause(rng: Random, aspect: tuple, label: str) -> str:
    """What the review says about one side of the film, without a capital or a full stop."""
    subject, present, past, praise, blame = aspect
    verb = rng.choice((present, past))
    good = label == "positive"
    word = rng.choice(praise if good else blame)
    # The negated words are plain, so that the turn of meaning lies in the "not" alone.
    turned = rng.choice(t.MILD_BAD if good else t.MILD_GOOD)
    plain = ("the {s} {v} {w}", "the {s} {v} {w}", "the {s} {v} {d} {w}",
             "I found that the {s} {v} {w}",
             "for me the {s} {v} {w}", "I think the {s} {v} {w}")
    negated = ("the {s} {v} not {n} at all", "I did not find that the {s} {v} {n}",
               "nobody can say that the {s} {v} {n}")
    template = rng.choice(negated if rng.random() < 0.2 else plain)
    return PHRASE.format(
        template, s=subject, v=verb, w=word, d=rng.choice(t.REVIEW_DEGREES), n=turned
    )


def aspect_sentences(rng: Random, label: str, count: int) -> list[str]:
    """Sentences on different sides of the film, some of them joining two sides."""
    aspects = rng.sample(t.ASPECTS, 2 * count)
    clauses = [aspect_clause(rng, aspect, label) for aspect in aspects]
    return [
        f"{clauses[2 * i]} and {clauses[2 * i + 1]}." if rng.random() < 0.3
        else f"{clauses[2 * i]}."
        for i in range(count)
    ]


def verdict(rng: Random, label: str, film: str) -> str:
    """A sentence that judges the whole film."""
    (template,) = rng.choice(t.VERDICTS[label])
    return PHRASE.format(
        template, film=film, who=rng.choice(t.RELATIVES), good=rng.choice(t.PRAISE),
        bad=rng.choice(t.BLAME), high=rng.choice("89"), low=rng.choice("123"),
    )


def opening(rng: Random, film: str) -> str:
    """A sentence that says nothing about how good the film is."""
    job, job2 = rng.sample(t.JOBS, 2)
    return PHRASE.format(
        rng.choice(t.NEUTRAL_OPENINGS), film=film, who=rng.choice(t.RELATIVES),
        day=rng.choice(t.DAYS), job=job, job2=job2, city=rng.choice(t.CITIES),
    )


def plain_review(rng: Random, label: str, film: str) -> list[str]:
    """A review whose sentences all agree."""
    start = [opening(rng, film)] if rng.random() < 0.5 else []
    body = aspect_sentences(rng, label, rng.randint(1, 3))
    judgement = [verdict(rng, label, film)]
    return start + (body + judgement if rng.random() < 0.7 else judgement + body)


def mixed_review(rng: Random, label: str, film: str) -> list[str]:
    """A review that begins the other way round and is decided by its last two sentences."""
    start = [opening(rng, film)] if rng.random() < 0.4 else []
    turn = rng.choice(t.TURNS[label])
    # One draw for both halves keeps the review from judging the same side twice.
    against, decisive = rng.sample(t.ASPECTS, 2)
    return [
        *start,
        aspect_clause(rng, against, OTHER[label]) + ".",
        turn + aspect_clause(rng, decisive, label) + ".",
        verdict(rng, label, film),
    ]


def joined(sentences: list[str]) -> str:
    """The sentences as one text."""
    return sentence(" ".join(sentences))


def review(rng: Random, label: str, film: str) -> str:
    """A film review of two to five sentences that fits the label."""
    compose = mixed_review if rng.random() < 0.3 else plain_review
    return joined(compose(rng, label, film))


def review_row(rng: Random, label: str, write: bool) -> Conversation:
    """One row that asks for the label of a review, or for a review with a label."""
    if not write:
        return ((f"Review: {review(rng, label, rng.choice(t.FILMS))} Sentiment:", label),)
    film = rng.choice(t.FILMS)
    # A review that was asked for should not praise and blame at once.
    written = joined(plain_review(rng, label, film))
    return ((say(rng, WRITE_PROMPTS, label, film), written),)


def reviews(rng: Random, n: int) -> list[Conversation]:
    """n review rows with balanced labels; one in three asks to write the review."""
    kinds = [(label, write) for write in (False, False, True) for label in OTHER]
    plan = [kinds[i % len(kinds)] for i in range(n)]
    rng.shuffle(plan)
    return [review_row(rng, label, write) for label, write in plan]
