"""A member of a group: says what it has read, and only then commits it. usage: member.py BROKER GROUP TOPIC PROTOCOL"""

import random
import sys

from confluent_kafka import Consumer, KafkaException

BROKER, GROUP, TOPIC, PROTOCOL = sys.argv[1:]

config = {"bootstrap.servers": BROKER, "group.id": GROUP, "group.protocol": PROTOCOL, "auto.offset.reset": "earliest",
          "enable.auto.commit": False, "reconnect.backoff.max.ms": 200}
if PROTOCOL == "classic":
    config |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
consumer = Consumer(config)
consumer.subscribe([TOPIC])
while True:
    message = consumer.poll(1)
    if message is None or message.error():
        continue
    print(message.partition(), message.offset(), int(message.value()), flush=True)
    if random.random() < 0.2:
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException:
            # It was away for too long, or the broker is: what it has read is read again.
            pass
