"""Requests made up from the server's table of routes and its OpenAPI page."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import strategies as st
from schemathesis import GenerationMode

from serve.http.chat_schema import ChatRequest
from serve.routes import ROUTERS
from tests.processes import wait_until
from tests.serve.json_schemas import SCHEMAS
from tests.serve.known_objects import SHARED, TINKER, URL, training_requests
from tests.serve.served import Served

ENVELOPE = {"message", "type", "param", "code"}
#: What limits the answers of each route that generates text.
SHORTENED = {URL: "max_tokens", "/v1/completions": "max_tokens", "/v1/responses": "max_output_tokens"}
TRAINING, SAMPLING = f"{TINKER}/forward_backward", f"{TINKER}/asample"
FINISH = f"{TINKER}/sessions/{{session_id}}/finish"
NO_RESULT = 408  # of Tinker's API: not yet
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")
QUIET: Any = {"database": None, "deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}


schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")


@dataclass
class Tally:
    """Replies by route and status, what went wrong, and the requests of Tinker's API that were begun."""

    replies: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """Replies of 5xx."""
        return sum(count for (_, status), count in self.replies.items() if status >= 500)

    @property
    def routes(self) -> set[str]:
        """The routes that were asked."""
        return {route for route, _ in self.replies}


def route_table() -> dict[str, APIRoute]:
    """Every route of the server, by method and path."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return {f"{method} {route.path_format}": route for route in routes for method in sorted(route.methods or ())}


def fuzz_routes(
    served: Served, known: Mapping[str, list[str]], requests: int, seed: int, key: str = "", foreign: bool = False
) -> Tally:
    """So many requests to each route of the server's own page; ``known``: values that are there.

    Args:
        key: of another project than the server's own key.
        foreign: what is known belongs to another project, so no reply may be about it.
    """
    warnings.filterwarnings("ignore", module="schemathesis")
    schema: Any = schemathesis.openapi.from_url(f"{served.address}/openapi.json")
    tally, http = Tally(), served.http(*[key] if key else [])
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda each: each.method.lower() == "delete"):  # these come last

        @hypothesis.settings(max_examples=requests, **QUIET)
        @hypothesis.seed(seed)
        @hypothesis.given(
            case=cases_of(operation),
            some=st.randoms(use_true_random=False),
            part=parts_of(operation, known),
        )
        def send(case: Any, some: Any, part: Any) -> None:
            if foreign or some.random() < 0.6:
                use_known(case, known, some, part, foreign)
            reply = case.call(base_url=served.address, session=None, headers=dict(http.headers), timeout=60)
            tally.replies[case.operation.label, reply.status_code] += 1
            tally.problems += problems_of(case, reply)
            if foreign:
                tally.problems += leaks_of(case, reply, known)
            elif case.operation.path.startswith(TINKER) and reply.status_code == 200 and b"request_id" in reply.content:
                tally.begun.append(reply.json()["request_id"])

        send()
    return tally


def cases_of(operation: Any) -> Any:
    """Requests as the page allows them and, as often, such as it does not."""
    both = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    return both[0] | both[1]


def parts_of(operation: Any, known: Mapping[str, list[str]]) -> Any:
    """What the page does not describe: the body of a training request, the schema of a chat's answer."""
    special = {URL: lambda: SCHEMAS, TRAINING: lambda: training_requests(known)}
    return special.get(operation.path, st.none)()


def use_known(case: Any, known: Mapping[str, list[str]], some: Any, part: Any, of_others: bool) -> None:
    """Let the request be about things that are there, and one for an answer be one that may be had, shortly."""
    path, body = case.operation.path, case.body
    if path == FINISH and not of_others:  # what was begun in the session is fetched later
        return
    for place in (case.path_parameters, case.query, body):
        if isinstance(place, dict):
            for name in set(place) & set(known):
                place[name] = some.choice(known[name])
    if path == TRAINING:
        case.body = part
    if not isinstance(body, dict):
        return
    if path == URL:
        for name in set(body) - set(ChatRequest.model_fields):
            del body[name]
        constrain(body, some, part)
    if path in SHORTENED:
        body[SHORTENED[path]] = some.randint(1, 8)
    if path == SAMPLING:
        body |= {"num_samples": some.randint(1, 3), "sampling_params": {"max_tokens": some.randint(0, 8)}}


def constrain(body: dict[str, Any], some: Any, schema: Any) -> None:
    """Ask for an answer by ``schema``, or for a call of a tool with such arguments, or leave the request as it is."""
    way = some.choice(["", "json_schema", "tools"])
    if way == "json_schema":
        wanted = {"name": "answer", "schema": schema, "strict": True}
        body |= {"response_format": {"type": way, way: wanted}, "messages": [{"role": "user", "content": "Hi."}]}
        body.pop("tools", None)
    elif way:
        tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
        named = {"type": "function", "function": {"name": "look"}}
        body |= {"tools": [tool], "tool_choice": some.choice(["none", "auto", "required", named])}
        body.pop("response_format", None)


def problems_of(case: Any, reply: Any) -> Iterator[str]:
    """What is wrong with a reply, in a line."""
    shown = f"{case.operation.label} {reply.status_code}"
    if reply.status_code >= 500:
        yield f"{shown}: {reply.text[:200]} <- {case.as_curl_command()[:600]}"
    elif reply.status_code >= 400 and reply.status_code != NO_RESULT and not is_enveloped(reply):
        yield f"{shown} has no envelope: {reply.text[:200]}"


def is_enveloped(reply: Any) -> bool:
    """Whether an error is in OpenAI's envelope."""
    try:
        return set(reply.json()["error"]) == ENVELOPE
    except (ValueError, KeyError, TypeError):
        return False


def leaks_of(case: Any, reply: Any, known: Mapping[str, list[str]]) -> Iterator[str]:
    """Ids of another project in a reply that is no refusal."""
    ids = {value for name, values in known.items() if name not in SHARED for value in values if len(value) > 8}
    for value in sorted(ids):
        if reply.status_code < 400 and value in reply.text:
            yield f"{case.operation.label} {reply.status_code} tells another project of {value}: {reply.text[:200]}"


def fuzz_pages(served: Served, tally: Tally) -> None:
    """The routes that the OpenAPI page leaves out, and every path with the methods that it does not have."""
    table, http = route_table(), served.http()
    left_out = [route for route in table if not table[route].include_in_schema]
    others = [
        f"{method} {path}" for path in sorted({each.path_format for each in table.values()}) for method in METHODS
    ]
    for label in [*left_out, *(each for each in others if each not in table)]:
        method, path = label.split(" ")
        for query in ("", "?model=%00&limit=-1&after=%ff"):
            reply = http.request(method, path + query)
            tally.replies[label, reply.status_code] += 1
            if reply.status_code >= 500 or (reply.status_code >= 400 and method != "HEAD" and not is_enveloped(reply)):
                tally.problems.append(f"{label}{query} {reply.status_code}: {reply.text[:200]}")


def broken_futures(served: Served, begun: list[str]) -> Iterator[str]:
    """Those of the requests of Tinker's API that ended by a failure of the server's."""
    http = served.http()
    for request_id in dict.fromkeys(begun):

        def result(request_id: str = request_id) -> Any:
            reply = http.post(f"{TINKER}/retrieve_future", json={"request_id": request_id})
            return None if reply.status_code == NO_RESULT else reply

        reply = wait_until(result, request_id)
        if reply.status_code >= 500 or (reply.text[:1] == "{" and json.loads(reply.text).get("category") == "server"):
            yield f"{request_id}: {reply.text[:300]}"
