"""What goes wrong with a tracking server or registry that does not answer."""

from requests.exceptions import RequestException

from data.errors import UserError


class TrackingUnavailable(UserError):
    """The tracking server or the registry does not answer."""


def is_unreachable(error: BaseException | None) -> bool:
    """True where ``error``, or an error that it wraps, comes from a server that could not be reached."""
    while error is not None:
        if isinstance(error, RequestException):
            return True
        error = error.__cause__ or error.__context__
    return False
