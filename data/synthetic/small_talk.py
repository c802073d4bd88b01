"""Small talk for a very small chat model: greetings, feelings, daily life, small tasks."""

from random import Random

from data.synthetic.phrases import Conversation, Frame, Script, fill, perform
from data.synthetic.tables import load

t = load("everyday")

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
