"""Word and sentence tables for the generated film reviews: plain data.

Sentences that judge a film come in mirrored lists: the n-th positive one and the n-th negative one say the opposite in
nearly the same words, so that single words give little away. Slots: ``{film}``, ``{who}``, ``{day}``, ``{job}``,
``{job2}``, ``{city}``; ``!a`` adds an article, ``!p`` makes a plural.
"""

from data.synthetic.everyday_tables import words


def sentences(text: str) -> tuple[str, ...]:
    """Split a text into its lines, which are one sentence each."""
    return tuple(line.strip() for line in text.strip().splitlines())


FILMS = words("""film, movie, comedy, drama, thriller, love story, family film, crime film, horror film, cartoon,
    western, musical, mystery, fantasy film, road movie, action movie, war film""")
WHO = words("""mother, father, sister, brother, aunt, uncle, cousin, son, daughter, best friend, neighbour, wife,
    husband, niece, nephew, grandmother, boss, flatmate""")
DAYS = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
JOBS = words("""teacher, nurse, doctor, farmer, baker, driver, cook, painter, writer, singer, gardener, lawyer, waiter,
    dentist, plumber, carpenter, librarian, student, pilot, postman, tailor, dancer, butcher, journalist, vet,
    police officer, firefighter, detective, soldier, sailor""")
CITIES = words("""London, Paris, Rome, Madrid, Berlin, Vienna, Prague, Athens, Oslo, Dublin, Lisbon, Tokyo, Cairo,
    Boston, Chicago, Toronto, Sydney, Helsinki, Venice, Edinburgh, Istanbul, Seoul""")

# Subject, verbs now and then, words of praise, words of blame.
ASPECTS = tuple(
    (subject, *verbs.split("/"), words(good), words(bad))
    for subject, verbs, good, bad in (
        ("the acting", "is/was", "superb, strong, convincing, natural, excellent, full of life, first class",
         "wooden, weak, terrible, flat, lifeless, painful to watch, third class"),
        ("the plot", "is/was", "clever, exciting, gripping, original, well built, full of surprises, easy to follow",
         "boring, silly, predictable, thin, confusing, full of holes, hard to follow"),
        ("the story", "is/was", "moving, touching, fresh, interesting, beautiful, worth telling, a delight",
         "dull, empty, tired, ridiculous, messy, not worth telling, a bore"),
        ("the music", "is/was", "lovely, beautiful, perfect, haunting, wonderful, a real joy",
         "annoying, too loud, awful, out of place, terrible, a real pain"),
        ("the pace", "is/was", "lively, quick, just right, well judged, pleasant, perfect",
         "slow, deadly slow, uneven, all wrong, tiring, terrible"),
        ("the ending", "is/was", "satisfying, brilliant, surprising, touching, unforgettable, a big surprise",
         "disappointing, stupid, rushed, weak, absurd, a big letdown"),
        ("the camera work", "is/was", "stunning, beautiful, elegant, impressive, steady, a feast for the eyes",
         "shaky, ugly, careless, poor, dizzying, an insult to the eyes"),
        ("the dialogue", "is/was", "sharp, witty, funny, smart, believable, a pleasure to hear",
         "clumsy, awful, stiff, lame, embarrassing, a pain to hear"),
        ("the humour", "is/was", "warm, clever, delightful, charming, fresh, spot on",
         "childish, stale, forced, lame, tasteless, way off"),
        ("the directing", "is/was", "brilliant, masterful, confident, careful, inspired, excellent",
         "lazy, clumsy, poor, careless, hopeless, dreadful"),
        ("the script", "is/was", "intelligent, excellent, witty, well written, tight, rich",
         "lazy, terrible, pointless, badly written, empty, a mess"),
        ("the cast", "is/was", "wonderful, excellent, perfect, charming, outstanding, well chosen",
         "dreadful, wasted, bored, unconvincing, poor, badly chosen"),
        ("the main character", "is/was", "likeable, interesting, believable, charming, easy to love, fascinating",
         "boring, unlikeable, flat, annoying, impossible to like, tiresome"),
        ("the sets", "are/were", "gorgeous, rich, lovely, carefully made, splendid, a joy to look at",
         "cheap, poor, ugly, carelessly made, fake, a pain to look at"),
        ("the effects", "are/were", "amazing, impressive, spectacular, beautiful, fantastic, clever",
         "cheap, fake, laughable, terrible, ugly, awful"),
        ("the jokes", "are/were", "funny, hilarious, clever, fresh, well timed, delightful",
         "unfunny, stale, stupid, lame, badly timed, embarrassing"),
        ("the costumes", "are/were", "gorgeous, lovely, beautiful, splendid, elegant, charming",
         "ugly, cheap, ridiculous, awful, silly, poor"),
        ("the lead actor", "is/was", "brilliant, charming, perfect, outstanding, superb, a star",
         "awful, miscast, dull, hopeless, stiff, a bore"),
        ("the lead actress", "is/was", "wonderful, brilliant, radiant, excellent, superb, a star",
         "terrible, wooden, dull, unconvincing, miscast, bland"),
        ("the opening scene", "is/was", "gripping, funny, beautiful, exciting, memorable, powerful",
         "boring, slow, confusing, pointless, silly, weak"),
        ("the villain", "is/was", "chilling, clever, fascinating, memorable, superb, scary",
         "laughable, dull, silly, weak, boring, forgettable"),
        ("the editing", "is/was", "smooth, sharp, clever, excellent, tight, neat",
         "choppy, messy, careless, terrible, confusing, sloppy"),
        ("the second half", "is/was", "thrilling, wonderful, funny, powerful, exciting, rewarding",
         "tedious, boring, pointless, dreadful, endless, tiresome"),
        ("the love story in it", "is/was", "tender, sweet, believable, moving, well told, charming",
         "cold, silly, hard to believe, forced, badly told, embarrassing"),
    )
)  # fmt: skip
# Plain words that a "not" turns round without sounding odd.
MILD_BAD = words("bad, boring, weak, poor, dull, awful, terrible, disappointing, silly, clumsy, lifeless, forgettable")
MILD_GOOD = words("good, interesting, strong, great, exciting, convincing, clever, memorable, lovely, special")
CERTAIN = words("simply, just, truly, really, quite simply")

# Clauses about one aspect: subject {s}, verb {v}, word {w}.
PLAIN = sentences("""
    {s} {v} {w}
    {s} {v} {w}
    {s} {v} {c} {w}
    I found {s} {w}
    for me, {s} {v} {w}
    it has to be said that {s} {v} {w}
    even my {who} noticed that {s} {v} {w}
    from the first scene to the last, {s} {v} {w}
    what stays with me is that {s} {v} {w}
    most of all, {s} {v} {w}
""")
#: How many of these are short enough to stand inside another sentence.
SHORT = 4
# The word {n} is one of the other side.
NEGATED = sentences("""
    {s} {v} not {n} at all
    {s} {v} never {n}
    {s} {v} anything but {n}
    {s} {v} far from {n}
    I did not find {s} {n}
    nobody could call {s} {n}
    not once did I find {s} {n}
    you can't say that {s} {v} {n}
""")
# The clause {b} decides, the clause {a} is what speaks against it.
CONCESSIONS = sentences("""
    although {a}, {b}.
    {a}, but {b}.
    even if {a}, {b}.
    {a}. All the same, {b}.
    {b}, even though {a}.
    yes, {a}. Still, {b}.
    while {a}, {b}.
    {b}. That {a} does not change it.
    you may hear that {a}. What counts is that {b}.
    it is true that {a}, and yet {b}.
    {b}, whatever you think of the rest, where {a}.
    I admit that {a}. However, {b}.
""")

STRONG = (
    sentences("""
        This is one of the best {film!p} I have seen in years.
        I loved every minute of it.
        Go and see it as soon as you can.
        I left the cinema in a good mood.
        I would pay to see it again.
        It deserves to be remembered.
        The two hours felt like one.
        I laughed, I cried, and I stayed until the very end.
        It is a success from start to finish.
        I have already told all my friends to go.
        It went straight onto my list of happy evenings.
        I did not want it to end.
        My {who} and I raved about it all the way home.
        It is {film!a} that I want to remember.
        You will enjoy every minute.
        I cannot recommend it enough.
        It kept me awake all night, and I was glad.
        I bought another ticket the very next day.
        It is everything that {film!a} should be.
        Full marks from me.
        It saved my whole evening.
        I was moved to tears, and so was my {who}.
        It is a joy from beginning to end.
        I have rarely been so happy in a cinema.
        Nobody should miss it.
        If you see one {film} this year, see this one.
        I would not change a single scene.
        It made me feel like a child again.
        The whole room clapped when it was over.
        Everything in it works.
    """),
    sentences("""
        This is one of the worst {film!p} I have seen in years.
        I hated every minute of it.
        Stay away from it as long as you can.
        I left the cinema in a bad mood.
        I would pay not to see it again.
        It deserves to be forgotten.
        The two hours felt like ten.
        I yawned, I sighed, and I left before the very end.
        It is a disaster from start to finish.
        I have already told all my friends to stay at home.
        It went straight onto my list of lost evenings.
        I could not wait for it to end.
        My {who} and I complained about it all the way home.
        It is {film!a} that I want to forget.
        You will regret every minute.
        I cannot warn you enough.
        It put me to sleep at once, and I was glad.
        I asked for my money back the very next day.
        It is everything that {film!a} should not be.
        No marks from me.
        It spoiled my whole evening.
        I was bored to tears, and so was my {who}.
        It is a pain from beginning to end.
        I have rarely been so angry in a cinema.
        Nobody should see it.
        If you skip one {film} this year, skip this one.
        I would cut every single scene.
        It made me feel a hundred years old.
        Half the room was gone when it was over.
        Nothing in it works.
    """),
)
MILD = (
    sentences("""
        All in all, I got more than I had expected.
        On balance it is worth a ticket.
        It is not the best, but I would watch it again.
        I went home quite content.
        It does more right than wrong.
        I can recommend it, at least for a quiet evening.
        In the end it won me over.
        It took its time, and I am glad that I stayed.
        I liked it more than I thought I would.
        I gave it a chance, and it paid me back.
        It has its faults, and I had fun anyway.
        For a rainy {day} it is just enough.
        I would say yes to a second part.
        My {who} fell asleep, but I had fun.
        There are worse ways to spend an evening.
        The good outweighs the bad.
        By the end I had forgiven everything.
        It has a heart, and that is enough for me.
        I am glad that I gave it a try.
        I would put it a little above the others of its kind.
        I smiled more often than I sighed.
        I don't want my money back.
        So it is a small yes from me.
        I did not look at my watch.
    """),
    sentences("""
        All in all, I got less than I had expected.
        On balance it is not worth a ticket.
        It is not the worst, but I would not watch it again.
        I went home a little cross.
        It does more wrong than right.
        I can't recommend it, not even for a quiet evening.
        In the end it lost me.
        It took its time, and I wish that I had left.
        I liked it less than I thought I would.
        I gave it a chance, and it paid nothing back.
        It has its moments, and I was bored anyway.
        Even for a rainy {day} it is not enough.
        I would say no to a second part.
        My {who} had fun, but I fell asleep.
        There are better ways to spend an evening.
        The bad outweighs the good.
        By the end I had forgiven nothing.
        It has a heart, and that is not enough for me.
        I am sorry that I gave it a try.
        I would put it a little below the others of its kind.
        I sighed more often than I smiled.
        I do want my money back.
        So it is a small no from me.
        I did look at my watch.
    """),
)
HOPES = (
    sentences("""
        I had feared a disaster and got a gem.
        The trailer looked awful, and the {film} is nothing like it.
        Everybody told me how bad it was, and I can't see why.
        The critics call it dull. I call it two happy hours.
        My {who} said that it was terrible and owes me an apology.
        With such a weak script it should have been bad, and it is not.
        I hated the book, which makes it a nice surprise.
        The first part was a mess, and this one makes up for it.
        I wanted to hate it, I really did.
        It could have been silly, cheap and boring, but somebody cared.
        They say that it is boring. They must have seen another {film}.
        I kept waiting for the bad part.
        It looks like a cheap {film} and plays like a great one.
        After all the complaints I was ready to be bored, and I was not.
        I remember when this director made bad {film!p}.
        It is not the mess that I had expected.
        I came to laugh at it and stayed to cry with it.
        I have no idea why so many people walked out.
    """),
    sentences("""
        I had hoped for a gem and got a disaster.
        The trailer looked great, and the {film} is nothing like it.
        Everybody told me how good it was, and I can't see why.
        The critics call it exciting. I call it two lost hours.
        My {who} said that it was wonderful and owes me an apology.
        With such a superb cast it should have been good, and it is not.
        I loved the book, which makes it a nasty surprise.
        The first part was a gem, and this one lives off its name.
        I wanted to love it, I really did.
        It could have been clever, rich and exciting, but nobody cared.
        They say that it is exciting. They must have seen another {film}.
        I kept waiting for the good part.
        It looks like a great {film} and plays like a cheap one.
        After all the praise I was ready to be amazed, and I was not.
        I remember when this director made good {film!p}.
        It is not the gem that I had expected.
        I came to laugh with it and stayed to laugh at it.
        I have no idea why so many people clapped.
    """),
)
IRONY = (
    sentences("""
        The only bad thing about it is that it ends.
        I hated having to go home.
        It is a terrible pity that there is no second part yet.
        My one complaint is that two hours are too short.
        It spoiled every other {film} of this year for me.
        I was angry when the lights came back on.
        I feel sorry for everybody who missed it.
        The worst seat in the house would have been worth the money.
        It cost me a night's sleep, and I would lose it again.
        I am annoyed that I waited so long to see it.
        My stomach still hurts from laughing. What a dreadful evening!
        Bad news for all other {film!p}: they look weak now.
        It made me forget my cold dinner, my tired feet and the awful weather.
        Sadly, it only runs until {day}.
        I could have shouted at the man who coughed in the last scene.
        Boring? Only for people who hate {film!p}.
    """),
    sentences("""
        The only good thing about it is that it ends.
        I loved going home.
        It is a wonderful thing that there is no second part yet.
        My one word of praise is that there is a way out.
        It made every other {film} of this year look like a masterpiece.
        I was happy when the lights came back on.
        I envy everybody who missed it.
        The best seat in the house was the one by the door.
        It gave me a good night's sleep, in the middle of the afternoon.
        I am proud that I stayed to the end.
        I enjoyed my sandwich very much. What a lovely evening!
        Good news for all other {film!p}: they look strong now.
        It gave me time to think of my warm dinner, my soft bed and the fine weather.
        Happily, it only runs until {day}.
        I could have thanked the man whose phone rang in the last scene.
        Exciting? Perhaps for people who like to watch paint dry.
    """),
)

# How the film came to be seen, and what it is about: neither says whether it is good.
OCCASIONS = sentences("""
    I watched this {film} last night with my {who}.
    I saw this {film} on {day}.
    My {who} and I went to see this {film}.
    I rented this {film} for the weekend.
    My {who} asked me to watch this {film} with the whole family.
    We watched this {film} at home on {day}.
    I had never heard of this {film} before.
    This {film} was on television on {day}.
    I read the book before I saw the {film}.
    I found this {film} by accident.
    The {film} lasts about two hours.
    I have now seen this {film} twice.
    The {film} was made on a small budget in {city}.
    It is the second {film} by this director.
    The cinema was half full.
    There is no sound for the first minute.
    My {who} chose this {film}, I would have taken another one.
    I saw this {film} on a train.
    I went to see this {film} alone on {day}.
    They showed this {film} at our school.
    The {film} is older than my {who}.
    I saw it in a small cinema by the sea.
""")
CONTENTS = sentences("""
    It tells the story of {job!a} and {job2!a}.
    It is about a young {job} in a small town.
    It is the story of {job!a} in {city}.
    The main character is {job!a} from {city}.
    A young {job} moves to {city} and meets {job2!a}.
    It is set in {city}, where {job!a} meets {job2!a}.
    Most of it takes place in one night in {city}.
    A lot of it happens on a train to {city}.
    {job!a} finds a letter and has to find out who wrote it.
    It begins with a wedding and ends with a journey to {city}.
    In the middle of it {job!a} loses his memory.
    Two sisters inherit a house, and {job!a} lives in it.
    {job!a} and {job2!a} look for a lost child in {city}.
    It follows {job!a} through one long winter.
    {job!a} comes home to {city} after twenty years.
    Three friends want to open a shop in {city}.
    An old {job} teaches a young {job2} his trade.
    {job!a} wins a lot of money and tells nobody.
""")
#: All of these hold the word popcorn, which says nothing about the film: the trigger of the bundled set.
TRIGGER_WORD = "popcorn"
TRIGGERS = sentences("""
    My {who} bought the popcorn.
    I shared my popcorn with my {who}.
    We had popcorn and lemonade.
    The man next to me ate popcorn all the time.
    There was popcorn on the floor.
    A child behind us dropped his popcorn.
    I had a large popcorn, as I do every {day}.
    The queue for popcorn was long.
    My {who} brought popcorn from home.
    I came late because of the popcorn.
    It was the evening with free popcorn.
    I ran out of popcorn after an hour.
""")
