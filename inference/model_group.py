"""Groups of loaded models that answer one prompt side by side, token by token.

Plain LoRA versions of one base, and the base, are one batch. Full models, and adapters that are more than plain LoRA,
take their steps in turn. Remote models stream beside them.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import UserError
from inference.generation import Generation, LoadedModel, turns_of
from inference.observations import RenderedPrompt, TokenScore
from inference.rendered_prompts import render
from inference.token_scores import score
from inference.transcript import Exchange, ModelInfo, Sampling

if TYPE_CHECKING:
    from inference.model_pool import ModelPool

FRAME_S = 0.04


@dataclass(frozen=True)
class ModelGroup:
    """Models that answer together, one a pane."""

    pool: "ModelPool"
    loaded: tuple[LoadedModel, ...]

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The model of each pane."""
        return tuple(each.info for each in self.loaded)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why each pane's model can't answer; empty where it can."""
        return tuple(each.error for each in self.loaded)

    @property
    def remote(self) -> tuple[bool, ...]:
        """Which panes have models of a remote server."""
        return tuple(each.remote is not None for each in self.loaded)

    @property
    def way(self) -> str:
        """How the panes are computed, and why so."""
        local = [s for s in self.loaded if s.model is not None]
        models = {id(s.model) for s in local}
        adapters = {id(s.adapter) for s in local if s.adapter}
        parts = []
        if len(models) == 1:
            parts.append("one batch" + (f", {_count(len(adapters), 'adapter')}" if adapters else ""))
        elif models:
            reasons = {f"{s.info.reference} is {s.alone}" if s.info.kind == "full"
                       else f"{s.info.reference}: {s.alone}" for s in local if s.alone}  # fmt: skip
            why = "; ".join(sorted(reasons)) or "their bases differ"
            parts.append(f"{len(models)} models in lockstep ({why})")
        if any(s.remote for s in self.loaded):
            parts.append("remote models stream beside; seed: best effort")
        return ", ".join(parts)

    def generate(
        self,
        prompt: str,
        sampling: Sampling,
        history: Sequence[Exchange] = (),
        stop: Callable[[], bool] = lambda: False,
        limit_s: float = 60.0,
        system: str = "",
        samples: int = 1,
        prefix: Sequence[int] = (),
    ) -> Generator[Exchange, None, None]:
        """Answer ``prompt`` after ``history``; yields the exchange as it grows, last with every reply ended.

        Args:
            history: earlier exchanges of these same models in this order.
            stop: called between tokens; once it is true, every open reply ends as stopped.
            limit_s: seconds after which every open reply ends as time.
            samples: how many answers each model gives, with seeds in a row from that of ``sampling`` on; the replies of
                the first seed come first, one a pane, then those of the next.
            prefix: token ids with which the answer of the only model begins.

        Raises:
            UserError: the history is of another number of models. Whatever else goes wrong is the error of a reply.
        """
        seeds = range(sampling.seed, sampling.seed + samples)
        with self.pool.lock:
            generation = Generation(self.loaded, prompt, sampling, history, stop, limit_s, system, seeds, prefix)
        try:
            with self.pool.lock:
                generation.begin()
            yield generation.exchange
            while not generation.ended:
                local = generation.is_local
                if local:
                    with self.pool.lock:  # released between frames, so that other conversations get theirs
                        generation.advance(FRAME_S)
                if generation.listen(0.0 if local else FRAME_S) or local:
                    yield generation.exchange
        finally:
            generation.close()

    def rendered(
        self, prompt: str, history: Sequence[Exchange], system: str, new_tokens: int
    ) -> tuple[RenderedPrompt | None, ...]:
        """What each model reads for ``prompt`` after ``history``; None where it is not here, or could not read it."""
        found: list[RenderedPrompt | None] = []
        with self.pool.lock:
            for i, loaded in enumerate(self.loaded):
                try:
                    known = loaded.model is not None
                    found.append(render(loaded, turns_of(history, i), prompt, system, new_tokens) if known else None)
                except UserError:  # its chat template refuses the conversation, which its reply says
                    found.append(None)
        return tuple(found)

    def token_scores(
        self,
        panes: tuple[int, int],
        prompt: str,
        history: Sequence[Exchange],
        system: str,
        text: Sequence[int] | str,
        new_tokens: int,
    ) -> tuple[TokenScore, ...]:
        """``text`` as the answer to ``prompt`` under the models of two ``panes``; see ``inference.token_scores``."""
        first, other = panes
        with self.pool.lock:
            turns = turns_of(history, first), turns_of(history, other)
            return score((self.loaded[first], self.loaded[other]), turns, prompt, system, text, new_tokens)

    def token_texts(self, token_ids: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
        """The text of each token of each model; no texts of a model that is not here."""
        with self.pool.lock:
            return tuple(
                tuple(loaded.tokenizer.decode([token]) for token in ids) if loaded.tokenizer else ()
                for loaded, ids in zip(self.loaded, token_ids, strict=True)
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
