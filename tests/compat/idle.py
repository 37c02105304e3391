"""Ten thousand connections that do nothing, half of them without a word: idle.py BROKER PID, where a process of that id is the broker."""

import socket
import struct
import sys

from confluent_kafka import Producer

from check import check, run

BROKER, PID = sys.argv[1], int(sys.argv[2])
CONNECTIONS = 10_000
BYTES_EACH = 16 << 10
# ApiVersions, version 0, of a client without a name.
ASKS = struct.pack("!ihhih", 10, 18, 0, 7, -1)
connections = []


def resident():
    with open(f"/proc/{PID}/statm") as file:
        return int(file.read().split()[1]) * 4096


def ask(connection):
    connection.sendall(ASKS)
    size = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))[0]
    assert len(connection.recv(size, socket.MSG_WAITALL)) == size


@check
def ten_thousand_take_little_memory():
    host, port = BROKER.rsplit(":", 1)
    before = resident()
    for number in range(CONNECTIONS):
        connections.append(socket.create_connection((host, int(port)), 30))
        if number % 2 == 0:
            ask(connections[-1])
    each = (resident() - before) // CONNECTIONS
    assert each < BYTES_EACH, f"{each} bytes each"


@check
def others_are_served_beside_them():
    producer = Producer({"bootstrap.servers": BROKER, "message.timeout.ms": 120_000})
    producer.produce("idle", "one")
    assert producer.flush(120) == 0


@check
def those_that_were_silent_are_answered():
    for connection in connections[1::2]:
        ask(connection)


run("idle connections")
