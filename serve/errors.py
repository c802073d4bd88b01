"""What a request is refused with: one error in OpenAI's envelope."""

from collections.abc import Mapping
from typing import Any

from data.errors import UserError


class RequestError(UserError):
    """A refusal. ``param`` names the field at fault, ``code`` the kind of fault; ``headers`` go with the answer."""

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
        """The body of the answer."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


#: Asking again would change nothing; the SDK would, at a 409 or a 429.
FINAL = {"x-should-retry": "false"}


def missing(kind: str, name: str, param: str = "id") -> RequestError:
    """404 for an object that there isn't."""
    return RequestError(f"No such {kind}: {name}", 404, param=param, code="not_found")


def no_model(model: str, why: str = "") -> RequestError:
    """404 for a model that there isn't."""
    more = f": {why}" if why else ""
    return RequestError(
        f"The model {model!r} does not exist or you do not have access to it{more}",
        404,
        param="model",
        code="model_not_found",
    )


def conflict(message: str, param: str | None = None, code: str | None = None) -> RequestError:
    """409 for what the present state of things forbids."""
    return RequestError(message, 409, param=param, code=code, headers=FINAL)
