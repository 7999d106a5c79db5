"""What is read off `python -X importtime`, and off a port that is free."""

import socket

from bench.start import by_package, free_port

SAID = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:        50 |        150 | json
this is a warning of somebody's
import time:         7 |          7 |         _json
"""


def test_imports_are_added_up_by_package():
    assert by_package(SAID) == {"json": 150, "_json": 7}


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
