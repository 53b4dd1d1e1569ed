"""What the threads of a sweep tell the one that begins trials."""

from trainer.sweeps.events import Events


def test_an_event_is_heeded_when_the_next_one_is_asked_for() -> None:
    events = Events[str]()
    first, second = events.put("first"), events.put("second")
    assert events.next(0) == "first"
    assert not first.is_set()
    assert events.next(0) == "second"
    assert first.is_set()
    assert not second.is_set()
    assert events.next(0) is None
    assert second.is_set()
