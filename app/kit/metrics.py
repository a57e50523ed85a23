"""Metrics with closed label sets: a value that nobody declared is counted as ``other``."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

OTHER = "other"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = Mapping[str, Iterable[str] | Container[str]]
M = TypeVar("M", Counter, Gauge, Histogram)


class _Closed:
    """Holds a metric's labels to their declared values."""

    def __init__(self, labels: Labels) -> None:
        # A set that is only known later closes itself, as a container.
        self._labels: dict[str, Container[str]] = {
            name: frozenset(values) if isinstance(values, Iterable) else values
            for name, values in labels.items()
        }

    def settle(self, given: Mapping[str, str]) -> dict[str, str]:
        """Replace each undeclared value by ``other``."""
        return {
            name: given[name] if given[name] in values else OTHER
            for name, values in self._labels.items()
        }


class _Children(Generic[M]):
    """The time series of one metric by the labels that were given; found anew at each use."""

    def __init__(self, metric: M, labels: Labels) -> None:
        self._metric: M = metric
        self._closed = _Closed(labels)
        self._bare = not labels
        self._known: dict[tuple[tuple[str, str], ...], M] = {}

    def of(self, labels: dict[str, str]) -> M:
        """The series of these labels; only what was declared is remembered, so it stays small."""
        if self._bare:
            return self._metric
        key = tuple(labels.items())
        known = self._known.get(key)
        if known is None:
            settled = self._closed.settle(labels)
            series: M = self._metric.labels(**settled)
            if settled == labels:
                self._known[key] = series
            return series
        return known


class ClosedCounter:
    """A counter whose labels are closed sets."""

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, labels: Labels | None = None
    ) -> None:
        metric = Counter(name, text, sorted(labels or {}), registry=registry)
        self._series = _Children(metric, labels or {})

    def add(self, amount: float = 1.0, /, **labels: str) -> None:
        """Count up."""
        self._series.of(labels).inc(amount)


class ClosedGauge:
    """A gauge whose labels are closed sets."""

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, labels: Labels | None = None
    ) -> None:
        metric = Gauge(name, text, sorted(labels or {}), registry=registry)
        self._series = _Children(metric, labels or {})

    def put(self, value: float, /, **labels: str) -> None:
        """Set the present value."""
        self._series.of(labels).set(value)

    def follow(self, read: Callable[[], float], /, **labels: str) -> None:
        """Ask for the present value whenever it is wanted."""
        self._series.of(labels).set_function(read)

    def add(self, amount: float, /, **labels: str) -> None:
        """Move the present value."""
        self._series.of(labels).inc(amount)


class ClosedHistogram:
    """A histogram whose labels are closed sets; observes seconds unless its name says otherwise."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        text: str,
        labels: Labels | None = None,
        *,
        buckets: Sequence[float] = LATENCY_SECONDS,
    ) -> None:
        metric = Histogram(name, text, sorted(labels or {}), registry=registry, buckets=buckets)
        self._series = _Children(metric, labels or {})

    def observe(self, value: float, /, **labels: str) -> None:
        """Take one measurement in."""
        self._series.of(labels).observe(value)


class Registry:
    """The metrics of one process; made in bootstrap and handed down."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._names: dict[str, str] = {}
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    @property
    def names(self) -> Mapping[str, str]:
        """Every metric declared so far, with its text; for the docs and their test."""
        return dict(self._names)

    def counter(self, name: str, text: str, labels: Labels | None = None) -> ClosedCounter:
        """Declare a counter; each label comes with all its values."""
        self._names[name] = text
        return ClosedCounter(self._registry, name, text, labels)

    def gauge(self, name: str, text: str, labels: Labels | None = None) -> ClosedGauge:
        """Declare a gauge."""
        self._names[name] = text
        return ClosedGauge(self._registry, name, text, labels)

    def histogram(
        self,
        name: str,
        text: str,
        labels: Labels | None = None,
        *,
        buckets: Sequence[float] = LATENCY_SECONDS,
    ) -> ClosedHistogram:
        """Declare a histogram."""
        self._names[name] = text
        return ClosedHistogram(self._registry, name, text, labels, buckets=buckets)

    def render(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry)
