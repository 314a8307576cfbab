"""A member of a consumer group on kafka-python. See ../README.md for what members print.

    kafka_python.py BOOTSTRAP GROUP TOPIC classic ASSIGNOR
"""

import sys
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, KafkaError

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def say(line):
    sys.stdout.write(f"{time.time_ns()} {line}\n")
    sys.stdout.flush()


done = {}  # what was processed and is not committed yet


def commit(consumer):
    """What cannot be committed now, in the middle of a rebalance, is committed after the next poll, or when it is revoked."""
    if not done:
        return
    try:
        consumer.commit(dict(done))
        done.clear()
    except CommitFailedError as error:  # the group went on without us: what was processed will be processed again
        say(f"E {error}")
        done.clear()
    except KafkaError as error:
        say(f"E {type(error).__name__}")


class Told(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def on_partitions_revoked(self, revoked):
        commit(self.consumer)
        say("V *")

    def on_partitions_assigned(self, assigned):
        say("A " + ",".join(str(p.partition) for p in assigned))


def main(bootstrap, group, topic, protocol, assignor):
    if protocol != "classic":
        sys.exit("kafka-python knows the classic protocol only")
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=[ASSIGNORS[assignor]],
        session_timeout_ms=10000,
        heartbeat_interval_ms=500,
        retry_backoff_ms=50,
        metadata_max_age_ms=5000,
    )
    consumer.subscribe([topic], listener=Told(consumer))
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.is_set():
        for partition, records in consumer.poll(timeout_ms=100).items():
            for record in records:
                say(f"P {record.partition} {record.offset}")
            done[partition] = OffsetAndMetadata(records[-1].offset + 1, None, -1)
        commit(consumer)
    consumer.close()
    say("V *")


main(*sys.argv[1:])
