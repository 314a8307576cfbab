#!/usr/bin/env bash
# Installs what generate.sh needs beside Go, kcat and the command lines of zstd and lz4. usage: test/corpus/install.sh DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/npm"
cd "$1"
python3 -m venv py
py/bin/pip install --quiet --requirement "$here/requirements.txt"
npm install --prefix npm --no-audit --no-fund kafkajs@2.2.4 kafkajs-snappy@1.1.0 kafkajs-lz4@1.2.1 zstd-codec@0.1.5
mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/jars"
