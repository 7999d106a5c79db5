"""What the load says to RabbitMQ, in frames that pamqp makes."""

from __future__ import annotations

import pytest

pytest.importorskip("pamqp", reason="not installed; to have it: pip install -e '.[bench]'")

from pamqp import body, commands, frame, header

from bench.peers import talk_amqp
from bench.peers.talks import BODY, Unexpected


def delivered(tag: int) -> bytes:
    parts = (
        commands.Basic.Deliver("bench", tag, False, "", "jobs"),
        header.ContentHeader(0, len(BODY), commands.Basic.Properties()),
        body.ContentBody(BODY),
    )
    return b"".join(frame.marshal(part, 1) for part in parts)


def acknowledged(tag: int) -> bytes:
    return frame.marshal(commands.Basic.Ack(tag), 1)


def test_the_next_message_is_published_when_the_last_is_confirmed() -> None:
    talk = talk_amqp.Put(0, "jobs")
    whole = acknowledged(1)
    assert talk.answered(whole[:9]) == (b"", 0)
    assert talk.answered(whole[9:]) == (talk.first(), 1)


def test_a_message_that_is_refused_is_no_success() -> None:
    with pytest.raises(Unexpected):
        talk_amqp.Put(0, "jobs").answered(frame.marshal(commands.Basic.Nack(1), 1))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_each_delivery_is_acknowledged_by_its_tag(size: int) -> None:
    talk = talk_amqp.Take(0, "jobs")
    data = delivered(1) + delivered(2)
    answers = [talk.answered(data[at : at + size]) for at in range(0, len(data), size)]
    assert b"".join(sent for sent, _ in answers) == acknowledged(1) + acknowledged(2)
    assert sum(done for _, done in answers) == 2


def test_messages_are_published_as_persistent() -> None:
    _, _, published = frame.unmarshal(talk_amqp.Put(0, "jobs").first())
    assert isinstance(published, commands.Basic.Publish)
    size = len(frame.marshal(published, 1))
    _, _, head = frame.unmarshal(talk_amqp.Put(0, "jobs").first()[size:])
    assert isinstance(head, header.ContentHeader)
    assert head.properties.delivery_mode == 2
