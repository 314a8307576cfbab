"""A member of a consumer group on confluent-kafka, which is librdkafka. See ../README.md for what members print.

    confluent.py BOOTSTRAP GROUP TOPIC classic|consumer ASSIGNOR
"""

import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition


def say(line):
    sys.stdout.write(f"{time.time_ns()} {line}\n")
    sys.stdout.flush()


def partitions(some):
    return ",".join(str(p.partition) for p in some)


def main(bootstrap, group, topic, protocol, assignor):
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "group.protocol": protocol,
        "topic.metadata.refresh.interval.ms": 5000,
    }
    if protocol == "consumer":
        config["group.remote.assignor"] = assignor
    else:
        config.update({"partition.assignment.strategy": assignor, "session.timeout.ms": 10000, "heartbeat.interval.ms": 500})
    consumer = Consumer(config)
    done = {}  # what was processed and is not committed yet

    def commit():
        """What cannot be committed now, in the middle of a rebalance, is committed after the next poll, or when it is revoked."""
        if not done:
            return
        try:
            for answer in consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in done.items()], asynchronous=False):
                if answer.error:
                    say(f"E {answer.error.name()}")
            done.clear()
        except KafkaException as error:
            say(f"E {error.args[0].name()}")

    def gone(some):
        for p in some:
            done.pop(p.partition, None)
        say("V " + (partitions(some) if cooperative else "*"))

    def revoked(_, some):
        commit()
        gone(some)

    # With a cooperative protocol only what moves is told of: "+" and "-". librdkafka tells which it is by its own rebalance protocol; the classic
    # assignors here are eager, so that what is assigned is all.
    cooperative = protocol == "consumer" or assignor == "cooperative-sticky"
    consumer.subscribe(
        [topic],
        on_assign=lambda _, some: say(("+ " if cooperative else "A ") + partitions(some)),
        on_revoke=revoked,
        on_lost=lambda _, some: gone(some),
    )
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.is_set():
        for r in consumer.consume(500, timeout=0.1):
            if not r.error():
                say(f"P {r.partition()} {r.offset()}")
                done[r.partition()] = r.offset() + 1
        commit()
    consumer.close()
    say("V *")


main(*sys.argv[1:])
