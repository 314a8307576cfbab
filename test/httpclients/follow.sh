#!/bin/sh
# Prints the records of a partition, a JSON object on each line, until none has come for WAIT.
#
#     ./follow.sh http://127.0.0.1:8080 TOPIC PARTITION [WAIT]
#
# curl is all it needs.
set -eu
base=$1 topic=$2 partition=$3 wait=${4:-30s} offset=0
headers=$(mktemp) && trap 'rm -f "$headers"' EXIT
while :; do
  curl -sSf -D "$headers" -H 'Accept: application/x-ndjson' "$base/v1/topics/$topic/partitions/$partition/records?offset=$offset&wait=$wait"
  next=$(sed -n 's/^[Ff]irn-[Nn]ext-[Oo]ffset: *\([0-9]*\).*/\1/p' "$headers")
  [ "$next" != "$offset" ] || break
  offset=$next
done
