"""Metrics: labels are closed sets."""

from app.kit.metrics import Registry


def test_an_undeclared_value_counts_as_other() -> None:
    registry = Registry()
    counter = registry.counter("things", "Things.", {"kind": ("a", "b")})
    counter.add(kind="a")
    counter.add(2, kind="somebody's name")
    text = registry.render().decode()
    assert 'things_total{kind="a"} 1.0' in text
    assert 'things_total{kind="other"} 2.0' in text
    assert "somebody" not in text


def test_gauges_and_histograms_are_rendered() -> None:
    registry = Registry()
    plain = registry.gauge("open_things", "Open.")
    plain.put(3)
    plain.add(-1)
    labelled = registry.gauge("lag_seconds", "Lag.", {"loop": ("fold",)})
    labelled.put(0.5, loop="fold")
    labelled.add(0.5, loop="fold")
    seconds = registry.histogram("wait_seconds", "Wait.", {"loop": ("fold",)}, buckets=(1.0,))
    seconds.observe(0.5, loop="fold")
    registry.histogram("plain_seconds", "Plain.").observe(2)
    registry.counter("plain", "Plain.").add()
    text = registry.render().decode()
    assert "open_things 2.0" in text
    assert 'lag_seconds{loop="fold"} 1.0' in text
    assert 'wait_seconds_bucket{le="1.0",loop="fold"} 1.0' in text
    assert {"open_things", "lag_seconds", "wait_seconds"} <= set(registry.names)


def test_a_set_that_is_known_later_closes_itself() -> None:
    class Routes:
        def __contains__(self, name: object) -> bool:
            return name == "/livez"

    registry = Registry()
    counter = registry.counter("requests", "Requests.", {"route": Routes()})
    counter.add(route="/livez")
    counter.add(route="/secret")
    text = registry.render().decode()
    assert 'route="/livez"' in text
    assert 'route="other"' in text
