"""Prometheus metrics: requests, chat completions, jobs by status, and the engine's load. No texts, no names."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one server.

    Args:
        engine_stats: gauges of the engine by name, read at each scrape.
        jobs_by_status: number of jobs by status, read at each scrape.
    """

    def __init__(
        self, engine_stats: Callable[[], Mapping[str, float]], jobs_by_status: Callable[[], Mapping[str, int]]
    ) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "parley_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.request_s = Histogram(
            "parley_request_seconds", "From a request to the headers of its response", ["route"], buckets=BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip
        self.retries = Counter("parley_retries", "Requests that the client marked as a retry", registry=self.registry)
        self.first_token_s = Histogram(
            "parley_first_token_seconds", "From a streamed chat completion's request to its first text",
            buckets=BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Gauges("parley_engine", "The chat engine", "what", engine_stats))
        self.registry.register(_Gauges("parley_jobs", "Fine-tuning jobs", "status", jobs_by_status))

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """A gauge for each value of ``label``, whose values are read at each scrape."""

    def __init__(self, name: str, help_text: str, label: str, values: Callable[[], Mapping[str, float]]) -> None:
        self.name, self.help_text, self.label, self.values = name, help_text, label, values

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self.name, self.help_text, labels=[self.label])
        for key, value in self.values().items():
            family.add_metric([key], value)
        yield family
