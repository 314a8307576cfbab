#!/usr/bin/env bash
# Makes the corpus anew: see README.md. It needs Go, Python, Node, Java, kcat, and the zstd, lz4 and gzip command lines.
# usage: test/corpus/generate.sh DIRECTORY   (python, node and java packages are looked for there, in py/, npm/ and jars/: install.sh puts them there)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$(cd "$1" && pwd)
out=$root/segments/batch/testdata/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/batches" "$work/plain" "$work/frames"

(cd "$root" && go build -o "$work/corpus" ./test/corpus)
mkfifo "$work/in"
"$work/corpus" "$work/batches" <"$work/in" >"$work/address" &
server=$!
exec 3>"$work/in"
until [ -s "$work/address" ]; do sleep 0.2; kill -0 $server; done
address=$(cat "$work/address")

"$tools/py/bin/python" "$here/produce.py" "$address"
java -cp "$tools/jars/*" "$here/Produce.java" "$address"
NODE_PATH="$tools/npm/node_modules" node "$here/produce.js" "$address"
for codec in none zstd; do
  for size in small:200 large:1500; do
    for ((i = 0; i < ${size#*:}; i++)); do echo "k$i={\"id\":$i,\"name\":\"alice\",\"tags\":[\"a\",\"b\",\"c\"],\"ok\":true}"; done |
      kcat -P -b "$address" -t "kcat-$codec-${size%:*}" -K = -z "$codec" -X linger.ms=500 -X topic.auto.offset.reset=earliest
  done
done
exec 3>&-
wait $server

for size in small large; do # the records without the header of their batch
  tail -c +62 "$work/batches/franz-go-none-$size.batches" >"$work/plain/$size.records"
done
"$tools/py/bin/python" "$here/frames.py" "$work/plain" "$work/frames" >"$work/frames.tsv"

{
  echo "franz-go	$(cd "$root" && go list -m -f '{{.Version}}' github.com/twmb/franz-go)"
  echo "sarama	$(cd "$root" && go list -m -f '{{.Version}}' github.com/IBM/sarama)"
  "$tools/py/bin/python" -c 'import kafka, confluent_kafka as c
print("kafka-python", kafka.__version__, sep="\t")
print("confluent-kafka", c.version() if isinstance(c.version(), str) else c.version()[0], "librdkafka", c.libversion()[0], sep="\t")'
  echo "kafka-clients	$(ls "$tools/jars" | grep kafka-clients) $(ls "$tools/jars" | grep -E 'zstd|lz4|snappy' | tr '\n' ' ')"
  echo "kafkajs	$(cd "$tools/npm" && node -p '["kafkajs","kafkajs-snappy","kafkajs-lz4","zstd-codec"].map(n => { try { return n + " " + require("./node_modules/" + n + "/package.json").version } catch { return "" } }).join(" ")')"
  echo "kcat	$(kcat -V | grep -o 'Version.*librdkafka [0-9.]*')"
} >"$work/batches.tsv"

# Plain batches are alike.
rm "$work"/batches/*-none-large.batches

rm -rf "$out"
mkdir -p "$out"
cp -r "$work/batches" "$work/plain" "$work/frames" "$work/frames.tsv" "$work/batches.tsv" "$out"
du -sh "$out"
