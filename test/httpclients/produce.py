"""Writes the lines of standard input as records, each once, however often this is run with the same KEY within a day.

    python3 produce.py http://127.0.0.1:8080 TOPIC KEY < lines

Python's standard library is all it needs. It prints partition and offset of each record.
"""
import json
import sys
import time
import urllib.error
import urllib.request

base, topic, key = sys.argv[1:]


def produce(records):
    body = json.dumps(records).encode()
    request = urllib.request.Request(f"{base}/v1/topics/{topic}/records", body, {"Content-Type": "application/json", "Idempotency-Key": f'"{key}"'})
    for patience in range(10, -1, -1):
        wait = 1
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["records"]
        except urllib.error.HTTPError as error:
            if not patience or error.code not in (409, 429, 503, 504):  # anything else says what is wrong with the request
                raise RuntimeError(error.read().decode()) from error
            wait = int(error.headers.get("Retry-After", wait))
        except OSError:  # no answer: it may be written or not, so the same key goes with the next try
            if not patience:
                raise
        time.sleep(wait)


for at in produce([{"value": line.rstrip("\n")} for line in sys.stdin]):
    print(at["partition"], at["offset"])
