"""Writes a record and reads it back, by each way to log in: login.py LIBRARY SETTINGS, see logins_test.go."""

import asyncio
import ssl
import sys
import time

settings = dict(line.rstrip("\n").split("=", 1) for line in open(sys.argv[2], encoding="utf-8"))
token = open(settings["token"], encoding="utf-8").read()
PATIENCE = 60


def context(way):
    c = ssl.create_default_context(cafile=settings["ca"])
    if way == "certificate":
        c.load_cert_chain(settings["cert"], settings["key"])
    return c


def kafka_python(way, value):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class Provider(AbstractTokenProvider):
        def token(self):
            return token

    how = {"bootstrap_servers": settings["tls"], "security_protocol": "SSL"}
    if way != "certificate":
        how = {"bootstrap_servers": settings["sasl"], "security_protocol": "SASL_SSL", "sasl_mechanism": way}
        if way == "OAUTHBEARER":
            how["sasl_oauth_token_provider"] = Provider()
        else:
            how.update(sasl_plain_username=settings["user"], sasl_plain_password=settings["password"])
    how["ssl_context"] = context(way)
    producer = KafkaProducer(**how)
    producer.send(settings[way], value).get(PATIENCE)
    producer.close()
    consumer = KafkaConsumer(auto_offset_reset="earliest", consumer_timeout_ms=PATIENCE * 1000, **how)
    consumer.assign([TopicPartition(settings[way], 0)])
    found = any(record.value == value for record in consumer)
    consumer.close()
    return found


def confluent(way, value):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

    how = {"bootstrap.servers": settings["sasl"], "security.protocol": "SASL_SSL", "sasl.mechanism": way,
           "ssl.ca.location": settings["ca"], "sasl.username": settings["user"], "sasl.password": settings["password"]}
    if way == "OAUTHBEARER":
        how["oauth_cb"] = lambda _: (token, time.time() + 3600)
    elif way == "certificate":
        how = {"bootstrap.servers": settings["tls"], "security.protocol": "SSL", "ssl.ca.location": settings["ca"],
               "ssl.certificate.location": settings["cert"], "ssl.key.location": settings["key"]}
    failed = []
    producer = Producer(how)
    producer.produce(settings[way], value, on_delivery=lambda error, _: error and failed.append(error))
    producer.flush(PATIENCE)
    if failed or len(producer):
        raise SystemExit(f"{way}: {failed or 'not delivered'}")
    consumer = Consumer(dict(how, **{"group.id": "logins-confluent", "enable.auto.commit": False}))
    consumer.assign([TopicPartition(settings[way], 0, OFFSET_BEGINNING)])
    end = time.time() + PATIENCE
    while time.time() < end:
        record = consumer.poll(1)
        if record and not record.error() and record.value() == value:
            consumer.close()
            return True
    return False


async def aiokafka(way, value):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.abc import AbstractTokenProvider

    class Provider(AbstractTokenProvider):
        async def token(self):
            return token

    how = {"bootstrap_servers": settings["tls"], "security_protocol": "SSL"}
    if way != "certificate":
        how = {"bootstrap_servers": settings["sasl"], "security_protocol": "SASL_SSL", "sasl_mechanism": way}
        if way == "OAUTHBEARER":
            how["sasl_oauth_token_provider"] = Provider()
        else:
            how.update(sasl_plain_username=settings["user"], sasl_plain_password=settings["password"])
    how["ssl_context"] = context(way)
    async with AIOKafkaProducer(**how) as producer:
        await producer.send_and_wait(settings[way], value)
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **how)
    consumer.assign([TopicPartition(settings[way], 0)])
    async with consumer, asyncio.timeout(PATIENCE):
        async for record in consumer:
            if record.value == value:
                return True


for way in settings["modes"].split():
    value = f"{sys.argv[1]} {way}".encode()
    if sys.argv[1] == "aiokafka":
        found = asyncio.run(aiokafka(way, value))
    else:
        found = {"kafka-python": kafka_python, "confluent": confluent}[sys.argv[1]](way, value)
    if not found:
        raise SystemExit(f"{way}: the record is not there")
