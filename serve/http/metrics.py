"""What Prometheus is told: requests, chats, jobs, and what the engine is busy with. Nobody's texts or names."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server.

    Args:
        engine_stats: asked whenever somebody reads.
        jobs_by_status: likewise.
    """

    def __init__(
        self, engine_stats: Callable[[], Mapping[str, float]], jobs_by_status: Callable[[], Mapping[str, int]]
    ) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "parley_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.request_s = Histogram(
            "parley_request_seconds", "Until an answer began", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.retries = Counter("parley_retries", "Requests that a client says it sent again", registry=self.registry)
        self.first_token_s = Histogram(
            "parley_first_token_seconds", "From a streamed chat's request to its first text", buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Live("parley_engine", "The chat engine", "what", engine_stats))
        self.registry.register(_Live("parley_jobs", "Fine-tuning jobs", "status", jobs_by_status))

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _Live(Collector):
    """Figures that are asked for when somebody reads."""

    def __init__(self, name: str, words: str, label: str, ask: Callable[[], Mapping[str, float]]) -> None:
        self.name, self.words, self.label, self.ask = name, words, label, ask

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self.name, self.words, labels=[self.label])
        for key, value in self.ask().items():
            family.add_metric([key], value)
        yield family
