"""The tokens of answers under two models, for the conversation that a visitor has open."""

import json

from data.errors import UserError
from demo.conversation import Conversation
from demo.limits import prompt_problem
from demo.session import ChatSessions
from inference.observations import TokenScore
from inference.transcript import Exchange

VIEWS = ("words", "probability", "difference")


class TokenScores:
    """Computes what ``Conversation.scores`` and ``other_text`` hold, with the models of ``sessions``."""

    def __init__(self, sessions: ChatSessions) -> None:
        self.sessions = sessions

    def compute(self, chat: Conversation) -> None:
        """Score the last answers of ``chat``: the first pane's with the second's model, the others with the first's.

        Raises:
            UserError: there is nothing to compare, or the two sides can't be.
        """
        self._require_two(chat)
        if chat.scores:
            return
        last = chat.exchanges[-1]
        group = self.sessions.group(chat.references)
        chat.scores = tuple(
            group.token_scores(pair(pane), last.prompt, chat.exchanges[:-1], chat.system, reply.token_ids,
                               chat.sampling.max_new_tokens) if reply.token_ids else ()
            for pane, reply in enumerate(last.replies)
        )  # fmt: skip

    def score_text(self, chat: Conversation, text: str) -> None:
        """Score ``text`` as an answer to the last prompt of ``chat``, under the first two panes' models.

        Raises:
            UserError: as ``compute``, or the text is blank or too long.
        """
        self._require_two(chat)
        problem = prompt_problem(text, self.sessions.config)
        if problem:
            raise UserError(problem.replace("the prompt", "the text"))
        chat.other_text = 1, self._scored(chat, 1, text)

    def force(self, chat: Conversation, choice: str) -> None:
        """Answer the last prompt of ``chat`` once more, with another token at one place, and score the answer.

        Args:
            choice: JSON object with ``pane``; ``at``, the number of the token, from 0; ``token``, the id of the
                one that comes there; ``other``: whether the place is in ``other_text``.

        Raises:
            UserError: as ``compute``, or there is no such place or token.
        """
        self._require_two(chat)
        pane, at, token, is_other = _choice(choice)
        scores = (chat.other_text or (0, ()))[1] if is_other else chat.scores[pane] if pane < len(chat.scores) else ()
        if not (at < len(scores) and pane < len(chat.references)):
            raise UserError("there is no such token; choose one of the answers that are shown")
        known = {each.token_id for top in scores[at].tops for each in top}
        if token not in known:
            raise UserError("choose one of the tokens that are listed there")
        prefix = [*(score.token_id for score in scores[:at]), token]
        chat.other_text = pane, self._scored(chat, pane, self._continued(chat, pane, prefix))

    def _continued(self, chat: Conversation, pane: int, prefix: list[int]) -> tuple[int, ...]:
        """The answer of ``pane`` that begins with ``prefix``: sampled with the seed and settings of the one shown."""
        last, history = chat.exchanges[-1], chat.exchanges[:-1]
        sampling = chat.transcript().sampling_of(last)
        if len(prefix) >= sampling.max_new_tokens:
            return tuple(prefix)
        wait_s = self.sessions.budget.take(sampling.max_new_tokens)
        if wait_s:
            raise UserError(f"everyone together has used this minute's tokens; try again in {wait_s:.0f} s")
        group = self.sessions.group(chat.references[pane : pane + 1])
        own = [Exchange(each.prompt, each.replies[pane : pane + 1], (None,)) for each in history]
        given = (last.prompt, sampling, own, chat.stop.is_set, self.sessions.config.seconds, chat.system)
        *_, made = group.generate(*given, prefix=prefix)
        if made.replies[0].error:
            raise UserError(made.replies[0].error)
        return made.replies[0].token_ids

    def _scored(self, chat: Conversation, pane: int, text: tuple[int, ...] | str) -> tuple[TokenScore, ...]:
        last, most = chat.exchanges[-1], chat.sampling.max_new_tokens
        group = self.sessions.group(chat.references)
        return group.token_scores(pair(pane), last.prompt, chat.exchanges[:-1], chat.system, text, most)

    @staticmethod
    def _require_two(chat: Conversation) -> None:
        if not chat.exchanges:
            raise UserError("send a prompt first: tokens are scored as an answer to the last prompt")
        if chat.hidden:
            raise UserError("vote first: probabilities show which side is which")
        if len(chat.references) < 2:
            raise UserError("choose a version on each side: their probabilities are compared")


def pair(pane: int) -> tuple[int, int]:
    """The first pane and the one it is compared with, for the answer of ``pane``."""
    return 0, pane or 1


def _choice(text: str) -> tuple[int, int, int, bool]:
    try:
        raw = json.loads(text)
        pane, at, token = (raw[name] for name in ("pane", "at", "token"))
        if not all(type(each) is int and each >= 0 for each in (pane, at, token)):
            raise ValueError
        return pane, at, token, raw.get("other") is True
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("choose a token in one of the answers that are shown") from error
