"""Works through a topic as a member of no group session: claims partitions, works on their records, commits, and ends when nothing is left.

    python3 worker.py http://127.0.0.1:8080 GROUP TOPIC

Python's standard library is all it needs. As many of them as you like may run at once, each on partitions of its own.
"""
import json
import sys
import urllib.error
import urllib.request
import uuid

base, group, topic = sys.argv[1:]
holder = f"python-{uuid.uuid4()}"  # no two that are at work may have the same name


def post(path, **body):
    request = urllib.request.Request(f"{base}/v1/groups/{group}/claims{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=90) as response:
        return json.load(response)["claims"]


def work(partition, record):
    print(partition, record["offset"], record["value"], flush=True)


while True:
    # One round trip: the partitions with the most to do, where the group is in each, and the next records of each.
    claims = post("?read=1000000", holder=holder, topics=[topic], max=4, ttl=60)
    done = []
    for claim in claims:
        read = claim.get("read", {"records": [], "next_offset": claim["offset"]})
        for record in read["records"]:
            work(claim["partition"], record)
        done.append({key: claim[key] for key in ("topic", "partition", "epoch")} | {"offset": read["next_offset"], "release": True})
    try:
        if done:
            post("/commit", holder=holder, claims=done)
    except urllib.error.HTTPError as error:
        if error.code != 409:  # a claim ran out before it was committed: whoever has the partition now works on those records again
            raise
    if not any(claim.get("read", {}).get("records") for claim in claims):
        break
