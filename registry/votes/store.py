"""Votes in MLflow: a trace with both answers and the voter's feedback on it.

One trace stands for one exchange as one voter saw it. Its id is made from the two, so that sending a vote again finds
what is there instead of adding to it, and a second vote of the same voter takes the place of the first. The traces
are written through the store's client and not by MLflow's tracer, which would hide a failure and make its own ids.
"""

import json
import re
from dataclasses import asdict
from typing import Any

from mlflow.entities import AssessmentSource, Feedback, Span, Trace, TraceInfo, TraceLocation, TraceState
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from data.errors import UserError
from inference.transcript import Sampling
from registry.errors import TrackingUnavailable
from registry.experiment import experiment_id
from registry.votes.votes import Side, Vote, messages, model_of, side_of

EXPERIMENT = "parley-votes"
FEEDBACK = "preferred"
PAGE = 500  # the most traces that a server gives at once
SIDES = ("left", "right")


def record(vote: Vote, tracking_uri: str | None = None) -> str:
    """Write ``vote`` to the store and return the id of its trace; a vote that is there already is not written twice.

    Takes a tenth of a second or more: ``registry.votes.outbox`` does it in the background.

    Raises:
        MlflowException: the store rejects it or does not answer.
    """
    client = TracingClient(tracking_uri)
    trace_id = vote.trace_id
    found = _find(client, trace_id)
    kept = _feedback(found) if found else []
    if any(_metadata(each, "vote_id") == vote.vote_id for each in kept):
        return trace_id
    if any(float(_metadata(each, "cast_at_s") or 0) > vote.cast_at_s for each in kept):
        return trace_id  # it arrives after a later vote of the same voter
    if found is None or "exchange" not in found.tags:  # without its tags: left by an interrupted try
        experiment = experiment_id(MlflowClient(tracking_uri), EXPERIMENT)
        client.log_spans(experiment, _spans(vote, trace_id))
        client.start_trace(_trace_info(vote, trace_id, experiment))
    else:
        client.set_trace_tag(trace_id, "blind", _flag(vote.blind))
    replaced = next((each.assessment_id for each in reversed(kept) if each.valid is not False), None)
    client.log_assessment(trace_id, _feedback_on(vote, replaced))
    return trace_id


def _find(client: TracingClient, trace_id: str) -> TraceInfo | None:
    try:
        return client.get_trace_info(trace_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            return None
        raise


def _trace_info(vote: Vote, trace_id: str, experiment: str) -> TraceInfo:
    left, right = vote.versions
    tags = {
        "mlflow.traceName": "vote",
        "exchange": vote.exchange,
        "voter": vote.voter,
        "left_version": left,
        "right_version": right,
        "names": "|" + "|".join(sorted({model_of(left), model_of(right)})) + "|",
        "blind": _flag(vote.blind),
        **{key: str(value) for key, value in asdict(vote.sampling).items()},
    }
    return TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=int(vote.asked_at_s * 1000),
        execution_duration=int(max(vote.left.reply.seconds, vote.right.reply.seconds) * 1000),
        state=TraceState.OK,
        request_preview=vote.prompt[:1000],
        response_preview=f"left: {vote.left.reply.text[:450]}\nright: {vote.right.reply.text[:450]}",
        tags=tags,
        trace_metadata={"mlflow.trace.user": vote.voter},
    )


def _spans(vote: Vote, trace_id: str) -> list[Span]:
    """A root span that ends with the slower answer, and below it one span a side with its own times."""
    texts = {name: getattr(vote, name).reply.text for name in SIDES}
    slower_s = max(vote.left.reply.seconds, vote.right.reply.seconds)
    times = (_prompt_time_ns(vote), slower_s, None)
    inputs = {"prompt": vote.prompt, "earlier": {name: getattr(vote, name).earlier for name in SIDES}}
    more = {"sampling": asdict(vote.sampling), "asked_at_s": vote.asked_at_s, "system": vote.system}
    spans = [_span(trace_id, ("exchange", 1, "CHAIN"), times, inputs, texts, **more)]
    for number, name in enumerate(SIDES, 2):
        side: Side = getattr(vote, name)
        reply = asdict(side.reply)
        text = reply.pop("text")
        times = (_prompt_time_ns(vote), side.reply.seconds, side.reply.first_token_s)
        more = {"version": side.voice.reference, "tokens": len(side.reply.token_ids), "voice": asdict(side.voice)}
        inputs = messages(side.earlier, vote.prompt, vote.system)
        spans.append(_span(trace_id, (name, number, "CHAT_MODEL"), times, inputs, text, **more, reply=reply))
    return spans


def _prompt_time_ns(vote: Vote) -> int:
    """When the prompt was sent, to the microsecond: a float of the epoch's seconds holds no more."""
    return round(vote.asked_at_s * 1e6) * 1000


def _span(
    trace_id: str,
    name: tuple[str, int, str],
    times: tuple[int, float, float | None],
    inputs: Any,
    outputs: Any,
    **attributes: Any,
) -> Span:
    """A finished span: (name, number, type), and (start in ns, seconds, seconds to the first token)."""
    start_ns, seconds, first = times
    given = {"traceRequestId": trace_id, "spanType": name[2], "spanInputs": inputs, "spanOutputs": outputs}
    named = {**{f"mlflow.{key}": value for key, value in given.items()}, **attributes}
    event = {"name": "first token", "time_unix_nano": start_ns + round((first or 0) * 1e9), "attributes": {}}
    return Span.from_dict({
        "trace_id": trace_id,
        "span_id": f"{name[1]:016x}",
        "parent_span_id": None if name[1] == 1 else f"{1:016x}",
        "name": name[0],
        "start_time_unix_nano": start_ns,
        "end_time_unix_nano": start_ns + round(seconds * 1e9),
        "status": {"code": "OK"},
        "events": [] if first is None else [event],
        "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in named.items()},
    })  # fmt: skip


def _feedback_on(vote: Vote, replaced: str | None) -> Feedback:
    """The choice, with the winning reference in the metadata so that a search by version finds it."""
    notes = {"vote_id": vote.vote_id, "cast_at_s": repr(vote.cast_at_s), "blind": _flag(vote.blind)}
    if vote.winner and vote.loser:
        notes |= {"preferred_version": vote.winner.voice.reference, "other_version": vote.loser.voice.reference}
    source = AssessmentSource(source_type="HUMAN", source_id=vote.voter)
    rationale = vote.comment or None
    return Feedback(
        name=FEEDBACK, value=vote.choice, source=source, rationale=rationale, metadata=notes, overrides=replaced
    )


# Reading


def load(name: str = "", tracking_uri: str | None = None) -> list[Vote]:
    """The votes in which a version of the model ``name`` took part (all of them without a name), oldest first.

    Raises:
        TrackingUnavailable: the store does not answer.
    """
    try:
        experiment = MlflowClient(tracking_uri).get_experiment_by_name(EXPERIMENT)
        found = _search(TracingClient(tracking_uri), experiment.experiment_id, name) if experiment else []
    except (MlflowException, OSError) as error:
        raise TrackingUnavailable(f"the votes can't be read: {str(error).splitlines()[0][:200]}") from error
    read = [vote for trace in found if (vote := _vote(trace)) and (not name or name in map(model_of, vote.versions))]
    return sorted(read, key=lambda vote: vote.cast_at_s)


def _search(client: TracingClient, experiment: str, name: str) -> list[Trace]:
    by_name = f"tags.names LIKE '%|{name}|%'" if re.fullmatch(r"[\w. -]+", name) else None
    found: list[Trace] = []
    token = None
    while True:
        page = client.search_traces(locations=[experiment], filter_string=by_name, max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _vote(trace: Trace) -> Vote | None:
    """The vote that a trace holds; None where it holds none (yet), or one that this code can't read."""
    choice = max(
        (each for each in _feedback(trace.info) if each.valid is not False),
        key=lambda each: float(_metadata(each, "cast_at_s") or 0),
        default=None,
    )
    spans = {span.name: span for span in trace.data.spans}
    tags = trace.info.tags
    if choice is None or not {"exchange", *SIDES} <= spans.keys() or "exchange" not in tags:
        return None
    try:
        left, right = (_side_of(spans[name]) for name in SIDES)
        return Vote(
            tags["exchange"],
            tags["voter"],
            choice.value,  # type: ignore[arg-type]  # Vote checks it
            _metadata(choice, "blind") == "true",
            spans["exchange"].inputs["prompt"],
            left,
            right,
            Sampling(**spans["exchange"].attributes["sampling"]),
            spans["exchange"].attributes["asked_at_s"],
            float(_metadata(choice, "cast_at_s") or 0),
            choice.rationale or "",
            _metadata(choice, "vote_id"),
            spans["exchange"].attributes.get("system", ""),
        )
    except (KeyError, TypeError, ValueError, UserError):  # feedback that was edited by hand
        return None


def _side_of(span: Span) -> Side:
    contents = [message["content"] for message in span.inputs if message["role"] != "system"][:-1]
    reply = {**span.attributes["reply"], "text": span.outputs}
    return side_of(span.attributes["voice"], reply, list(zip(contents[::2], contents[1::2], strict=True)))


def _feedback(info: TraceInfo) -> list[Feedback]:
    found = [each for each in info.assessments if isinstance(each, Feedback) and each.name == FEEDBACK]
    return sorted(found, key=lambda each: each.create_time_ms or 0)


def _metadata(feedback: Feedback, key: str) -> str:
    return (feedback.metadata or {}).get(key, "")


def _flag(value: bool) -> str:
    return str(value).lower()
