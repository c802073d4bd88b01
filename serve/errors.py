"""Errors of requests, in OpenAI's envelope."""

from collections.abc import Mapping
from typing import Any

from data.errors import UserError


class RequestError(UserError):
    """An error that a request is answered with.

    Args:
        message: what is wrong, for people.
        status: HTTP status.
        param: the field that is wrong.
        code: what kind of error it is, for programs.
        type: OpenAI's type of the error.
        headers: of the response.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code, self.type = message, status, param, code, type
        self.headers = dict(headers or {})

    def envelope(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


#: Header of an error that a retry would meet again; the SDK would retry a 409 or a 429.
NO_RETRY = {"x-should-retry": "false"}


def missing(kind: str, name: str, param: str = "id") -> RequestError:
    """404 for an object that does not exist."""
    return RequestError(f"No such {kind}: {name}", 404, param=param, code="not_found")


def no_model(model: str, why: str = "") -> RequestError:
    """404 for a model that does not exist."""
    more = f": {why}" if why else ""
    return RequestError(
        f"The model {model!r} does not exist or you do not have access to it{more}",
        404,
        param="model",
        code="model_not_found",
    )


def conflict(message: str, param: str | None = None, code: str | None = None) -> RequestError:
    """409 for what the present state of an object does not allow."""
    return RequestError(message, 409, param=param, code=code, headers=NO_RETRY)
