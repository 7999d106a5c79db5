"""Dead letters: what failed three times is set aside, looked at, and put back once the fault is mended.

Run `leveret serve`, and then
.venv/bin/python examples/queues/dead_letters.py
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from leveret import connect
from leveret.client import Draft, LeveretError, Message, Queue

URL = os.environ.get("LEVERET_SERVER", "http://127.0.0.1:8080")


class CantPay(Exception):
    pass


def pay(order: Message, limit: int) -> None:
    if order.json()["amount"] > limit:
        raise CantPay(f"the limit is {limit}")
    print(f"paid {order.id}, at attempt {order.deliveries}")


def work(orders: Queue, limit: int) -> None:
    """Until there is nothing to claim any more. A message whose block raises is released, here at once."""
    while claim := orders.claim(seconds=30):
        with suppress(CantPay), claim:
            pay(claim.message, limit)


def look(dead: Queue) -> None:
    """Looking takes nothing. The headers say where a dead letter comes from, and why."""
    for letter in dead.messages():
        print(f"dead: {letter.id} {letter.text}, after {letter.headers['dead-letter-deliveries']} attempts")


def put_back(dead: Queue) -> None:
    """First put, then delete: where this is interrupted, the order is there twice rather than gone."""
    while claim := dead.claim(seconds=30):
        with claim:
            letter = claim.message
            came_from = dead.client.queue(dead.account, letter.headers["dead-letter-queue"])
            headers = {name: text for name, text in letter.headers.items() if not name.startswith("dead-letter-")}
            came_from.put(letter.body, letter.id, ttl=letter.ttl, content_type=letter.content_type, headers=headers)
            print(f"put {letter.id} back into {came_from.name}")


def main() -> None:
    with connect(URL) as client:
        orders = client.queue("examples", "orders")
        dead = client.queue("examples", "orders-dead")
        orders.purge()  # of an earlier run
        dead.purge()
        orders.set_policy(max_deliveries=3, dead_letter=dead.name)
        dead.set_policy(default_ttl=14 * 86_400)  # two weeks to look at them

        orders.put_many([Draft('{"amount": 20}', id="order-1"), Draft('{"amount": 900}', id="order-2")])
        work(orders, limit=100)
        look(dead)

        put_back(dead)
        work(orders, limit=1000)
        print(f"left: {len(list(orders.messages()))} orders, {len(list(dead.messages()))} dead letters")


if __name__ == "__main__":
    try:
        main()
    except LeveretError as error:  # such as a server that isn't there
        sys.exit(str(error))
