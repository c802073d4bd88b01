"""Word-preserving rewrites in invented registers: what the base model learns to rewrite *with*, pirates left out.

A style changes a few words, always the same way, and adds a fixed ending chosen by the sentence's last mark. Every
other word stays where it was, so that a model which learns many styles learns to copy.
"""

import re
from dataclasses import dataclass, field

WORD = re.compile(r"[A-Za-z']+")
ING = re.compile(r"[A-Za-z]{3,}ing")


@dataclass(frozen=True)
class Style:
    """A register: ``words`` maps lower-case words, ``opening`` comes first, ``endings`` replace the last mark.

    ``ing`` is what the ending of "sleeping" becomes: the few styles that change it teach respelling a known word.
    """

    name: str
    words: dict[str, str] = field(default_factory=dict)
    opening: str = ""
    endings: dict[str, str] = field(default_factory=dict)
    ing: str = "ing"


def restyle(sentence: str, style: Style) -> str:
    """Rewrite one sentence ending in ``.``, ``?`` or ``!`` (anything else keeps its end) in ``style``."""

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        new = style.words.get(word.lower())
        if new is None:
            return word[:-3] + style.ing if ING.fullmatch(word) else word
        capital = word[0].isupper() and (word != "I" or match.start() == 0)
        return new[0].upper() + new[1:] if capital else new

    text = WORD.sub(swap, sentence)
    mark = text[-1:]
    if mark in style.endings:
        text = text[:-1] + style.endings[mark]
    return f"{style.opening} {text}" if style.opening else text


def _marks(statement: str, question: str | None = None, shout: str | None = None) -> dict[str, str]:
    return {".": statement, "?": question or statement, "!": shout or statement}


STYLES = (
    Style("polite", {"want": "would like", "hi": "good day", "hey": "good day", "yeah": "yes"}, "",
          _marks(", if you please.", ", if I may ask?", ", if you please!")),
    Style("royal", {"i": "we", "my": "our", "me": "us", "am": "are", "mine": "ours"}, "", _marks(", by royal order.")),
    Style("cowboy", {"hello": "howdy", "hi": "howdy", "friend": "partner", "friends": "partners", "yes": "yep",
                     "isn't": "ain't", "aren't": "ain't", "very": "mighty", "think": "reckon", "your": "y'all's"}, "",
          _marks(", partner.", ", partner?", ", yee-haw!")),
    Style("robot", {"i": "this unit", "my": "this unit's", "yes": "affirmative", "no": "negative", "hello": "beep"}, "",
          _marks(", beep boop.", ", beep boop?", ", beep boop!")),
    Style("news", {}, "Breaking news:", _marks(", our reporter says.", ", people ask tonight?")),
    Style("old English", {"you": "thou", "your": "thy", "yours": "thine", "are": "art", "have": "hath", "do": "dost",
                          "before": "ere", "yes": "verily", "my": "mine own"}, "",
          _marks(", good sir.", ", good sir?", ", by my faith!")),
    Style("wizard", {"book": "spellbook", "hello": "greetings", "hi": "greetings", "friend": "apprentice",
                     "car": "broom", "good": "magical"}, "", _marks(", by my beard.", ", by my beard?")),
    Style("butler", {"hello": "good evening", "yes": "certainly", "ok": "very good", "bought": "acquired"}, "",
          _marks(", your grace.", ", your grace?", ", your grace!")),
    Style("coach", {"good": "great", "try": "push", "yes": "absolutely", "can": "will"}, "Listen up:",
          _marks(", team!", ", team?", ", go go go!")),
    Style("teacher", {"hello": "good morning", "children": "pupils", "kids": "pupils"}, "Now class,",
          _marks(", and write it down.", ", and who knows?")),
    Style("detective", {"man": "suspect", "woman": "witness", "found": "uncovered", "house": "scene"}, "Case notes:",
          _marks(", very suspicious.", ", I wonder?")),
    Style("farmer", {"money": "hay", "work": "chores", "car": "tractor", "the": "that there"},
          "", _marks(", I tell you what.", ", neighbour?")),
    Style("chef", {"nice": "delicious", "good": "tasty", "make": "cook", "made": "cooked", "like": "savour"}, "",
          _marks(", bon appetit.", ", chef?", ", bon appetit!")),
    Style("surfer", {"hello": "hey dude", "good": "gnarly", "great": "rad", "friend": "dude", "yes": "totally",
                     "very": "super"}, "", _marks(", dude.", ", dude?", ", cowabunga!")),
    Style("scientist", {"think": "hypothesise", "know": "have measured", "maybe": "probably"}, "We observe:",
          _marks(", within error.", ", to be tested?")),
    Style("judge", {"yes": "sustained", "no": "overruled", "said": "testified", "friend": "counsel"}, "",
          _marks(", so ordered.", ", counsel?", ", order order!")),
    Style("grandma", {"hello": "hello dear", "children": "little ones", "kids": "little ones", "food": "pie"}, "",
          _marks(", sweetie.", ", sweetie?", ", bless you!")),
    Style("poet", {"is": "remains", "morning": "dawn", "evening": "dusk", "night": "moonlight", "happy": "blissful"},
          "O,", _marks(", so sings my heart.", ", o my heart?")),
    Style("soldier", {"yes": "yes sir", "eat": "have rations", "go": "march", "went": "marched", "friend": "comrade"},
          "", _marks(", sir.", ", sir?", ", sir yes sir!")),
    Style("pilot", {"yes": "roger", "hello": "tower", "goodbye": "over and out", "go": "fly"}, "",
          _marks(", over.", ", over?", ", mayday!")),
    Style("alien", {"people": "humans", "person": "human", "house": "pod", "city": "colony", "my": "zor"}, "Zip zap,",
          _marks(", earthling.", ", earthling?", ", take me to your leader!")),
    Style("ghost", {"the": "the haunted", "hello": "boo", "friend": "spirit"}, "Boo,", _marks(", whooo.", ", whooo?")),
    Style("gossip", {"said": "swore", "know": "totally know", "saw": "spotted"}, "Guess what,",
          _marks(", darling.", ", darling?", ", oh my!")),
    Style("elf", {"small": "teeny", "big": "huge", "with": "wif"}, "",
          _marks(", tra la.", ", tra la?", ", tra la!"), "ini"),
    Style("swamp ogre", {"you": "yoo", "and": "n", "for": "fo", "my": "mah"}, "",
          _marks(", grumf.", ", grumf?"), "ung"),
    Style("knight", {"go": "ride", "went": "rode", "house": "castle", "friend": "squire", "i": "I myself"}, "",
          _marks(", upon my honour.", ", brave squire?", ", for glory!")),
)
