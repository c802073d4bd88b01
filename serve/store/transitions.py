"""How statuses change: an event takes an object from one status to the next."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transition:
    """What one event does to an object's status.

    Attributes:
        sources: statuses that the event changes to ``target``.
        target: the status after the event.
        unchanged: statuses in which the event is accepted and changes nothing; in any other it is not allowed.
        message: text of the job event that is written with the change; ``{}`` stands for a reason.
        repeats: the event can happen more than once to one job, and each time is an event of its own.
    """

    sources: tuple[str, ...]
    target: str
    unchanged: tuple[str, ...] = ()
    message: str = ""
    repeats: bool = False

    def next_status(self, status: str) -> str | None:
        """The status after the event, which is ``status`` where nothing changes; None where it is not allowed."""
        if status in self.sources:
            return self.target
        return status if status in self.unchanged else None
