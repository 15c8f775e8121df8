"""The control socket: whole messages with their descriptors, and never a blocked sender."""

import os
from collections.abc import Iterator

import pytest

from inspector.camera.link import Link, Message


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    ours, theirs = Link.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_message_arrives_whole_with_its_fields(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    assert ours.receive() is None
    assert theirs.send("log", kind_of="x", fields={"a": [1, 2.5, None, "ü"]})
    assert theirs.send("alive", counters={})
    assert ours.receive() == Message("log", {"kind_of": "x", "fields": {"a": [1, 2.5, None, "ü"]}})
    assert ours.receive() == Message("alive", {"counters": {}})


def test_a_descriptor_travels_along(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    read, write = os.pipe()
    theirs.send("opened", fds=(read,))
    os.close(read)
    message = ours.receive()
    assert message is not None
    (received,) = message.fds
    os.write(write, b"through")
    assert os.read(received, 10) == b"through"
    assert not os.get_inheritable(received)
    os.close(received)
    os.close(write)


def test_a_receiver_that_sleeps_does_not_stop_the_sender(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    sent = 0
    while theirs.send("log", text="x" * 1000):
        sent += 1
    assert theirs.dropped == 1
    assert sum(1 for _ in iter(ours.receive, None)) == sent > 10
    assert theirs.send("alive")


def test_the_end_is_told_after_the_last_message(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    theirs.send("error", message="last words")
    theirs.close()
    assert ours.receive() == Message("error", {"message": "last words"})
    with pytest.raises(EOFError):
        ours.receive()
    assert not ours.send("stop")
