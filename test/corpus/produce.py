"""Writes the records of the corpus with kafka-python and confluent-kafka (librdkafka). usage: produce.py ADDRESS"""
import sys

import confluent_kafka
import kafka

SIZES = {"small": 200, "large": 1500}
ADDRESS = sys.argv[1]


def records(n):
    for i in range(n):
        yield b"k%d" % i, b'{"id":%d,"name":"alice","tags":["a","b","c"],"ok":true}' % i


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    for size, n in SIZES.items():
        producer = kafka.KafkaProducer(bootstrap_servers=ADDRESS, compression_type=None if codec == "none" else codec,
                                       acks="all", linger_ms=500, batch_size=1 << 20)
        for key, value in records(n):
            producer.send(f"kafka-python-{codec}-{size}", key=key, value=value)
        producer.close()

# the level is librdkafka's compression.level; -1 is the library's own
for codec, level in (("none", -1), ("gzip", -1), ("gzip", 9), ("snappy", -1), ("lz4", -1), ("lz4", 12), ("zstd", -1), ("zstd", 1), ("zstd", 12)):
    for size, n in SIZES.items():
        producer = confluent_kafka.Producer({"bootstrap.servers": ADDRESS, "compression.type": codec, "compression.level": level, "linger.ms": 500,
                                             "batch.num.messages": 100000, "enable.idempotence": size == "large"})
        name = codec if level < 0 else f"{codec}{level}"
        for key, value in records(n):
            producer.produce(f"confluent-kafka-{name}-{size}", key=key, value=value)
        producer.flush()
