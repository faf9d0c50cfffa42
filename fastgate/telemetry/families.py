"""Metrics of one value."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


def counter(name: str, text: str, value: float) -> CounterMetricFamily:
    """Without labels."""
    family = CounterMetricFamily(name, text)
    family.add_metric((), value)
    return family


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """Without labels."""
    family = GaugeMetricFamily(name, text)
    family.add_metric((), value)
    return family
