# Everything that one does with this repository. `make` alone lists it. To go, "work" stands for all packages of all modules
# that go.work lists.

GO        ?= go
BIN       := bin
NPM_DIR   := test/kafkajs
GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
HELM      := helm.sh/helm/v4/cmd/helm@v4.3.1
FUZZTIME  ?= 20s
BENCHTIME ?= 1s
DURATION  ?= 5m
FROM      ?= HEAD~1
SECONDS   ?= 600
VERSION   ?= v0.0.0
PLATFORMS ?=
STRIKE    ?= kill
STRIKES   ?= 0
MINIO_PORT ?= 9000
REDIS_PORT ?= 6379
STACK     = -minio 127.0.0.1:$(MINIO_PORT) -redis 127.0.0.1:$(REDIS_PORT)

.DEFAULT_GOAL := help
.PHONY: help run build release package lambda test test-needs test-servers stack stack-down check numbers lint model mutants sim quirks fuzz bench bench-peers bench-kafka bench-http bench-replay bench-bucket bench-cloud bench-merge bench-replay-tail bench-tls demo torture torture-cluster torture-cleanup torture-functions torture-once functions compaction test-groups test-streams test-connect test-mirror test-flink test-shares test-logins test-tools test-browser test-engines rolling-update rolling-upgrade clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on the embedded default; data in ./firn-data; ARGS="--flag …" for more
	./$(BIN)/firn serve $(ARGS)

build: ## build ./bin/firn
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/firn ./cmd/firn

release: ## build ./dist: the binary for each platform (PLATFORMS=…), a bill of materials, checksums; VERSION=v1.2.3
	deploy/release/release $(VERSION) dist $(PLATFORMS)

lambda: ## make ./dist/lambda.zip, the producer function, for deploy/terraform, and ./dist/lambda-consumer.zip
	deploy/lambda/package dist/lambda.zip
	deploy/lambda/package dist/lambda-consumer.zip consumer

package: build ## make ./dist/firn.deb for this machine
	@mkdir -p dist
	deploy/release/compile $(VERSION) dist/firn
	deploy/debian/package $(VERSION) $$(dpkg --print-architecture) dist/firn dist/firn.deb

test: test-needs test-servers ## install what the tests need and run all of them, with the race detector
	@# -count=1: the tests that run the binary build it themselves, which Go's test cache does not see
	$(GO) test -race -count=1 -timeout 20m work

# Commands come from the distribution, Helm from source, the npm packages from the lock file. Without root or a package
# manager that we know, the message says what is missing.
test-needs:
	@test/install-package kcat kcat kcat
	@test/install-package zsh zsh zsh
	@test/install-package fish fish fish
	@test/install-package curl curl curl
	@test/install-package python3 python3 python3
	@python3 -c 'import ensurepip' 2>/dev/null || test/install-package python3-venv python3-venv python3
	@test/install-package javac default-jdk-headless openjdk
	@test/install-package mvn maven maven
	@test/install-package node nodejs node
	@test/install-package npm npm node
	@test/install-package dpkg-deb dpkg dpkg
	@test "$$(uname)" != Linux || test/install-package ip iproute2 iproute2
	@test/install-package promtool prometheus prometheus
	@test -x "$$(command -v helm || echo $$($(GO) env GOPATH)/bin/helm)" || { echo "building Helm, once: about four minutes" >&2; $(GO) install $(HELM); }
	@test -e $(NPM_DIR)/node_modules/.package-lock.json -a ! $(NPM_DIR)/package-lock.json -nt $(NPM_DIR)/node_modules/.package-lock.json || \
	  npm --prefix $(NPM_DIR) ci --no-audit --no-fund --loglevel=error

	@test/groups/install
	@test/engines/install duckdb

# The servers that tests start: MinIO and versitygw are built from source at pinned versions, once, which takes minutes and shows that it is
# working; Redis comes from the distribution.
test-servers:
	@$(GO) run ./localstack/stack install

stack: build ## start MinIO and Redis on loopback, without containers; MINIO_PORT, REDIS_PORT for other ports than 9000 and 6379
	@$(GO) run ./localstack/stack $(STACK) up

stack-down: ## stop what make stack has started; its data stays in ./localstack/data
	@$(GO) run ./localstack/stack $(STACK) down

check: ## gofmt, vet, layering, true pages, widths: quick
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt -w $$unformatted" >&2; exit 1; }
	$(GO) vet work
	$(GO) test -run "TestImports|TestModules|TestPackages|TestPage|IsNarrow" .

numbers: build ## the house in numbers: public names, widths, lengths, dependencies, the binary; ARGS="DIR…" of other trees
	$(GO) run ./test/numbers -firn $(BIN)/firn . $(ARGS)

lint: check ## golangci-lint, pinned (its first build takes minutes)
	$(GO) run $(GOLANGCI) run ./... ./deploy/... ./test/...

model: ## search the model of the protocol: every state of the larger configurations (three quarters of an hour, 8 GiB)
	GOMEMLIMIT=8GiB $(GO) test -count=1 -timeout 2h -v ./coordinator/model ./coordinator/model/txn -model.long

sim: ## simulate clusters with fresh seeds for SECONDS (600), or one SEED; ARGS="-sim.trace -sim.all"
	$(GO) test -count=1 -timeout 0 -v ./test/sim $(if $(SEED),-run 'TestSimulation$$' -sim.first $(SEED) -sim.seeds 1,-run 'TestFreshSeeds$$' -sim.seconds $(SECONDS)) $(ARGS)

functions: ## kill 1000 functions that read, write and commit in one transaction, at any moment, and wipe the coordinator in between (a minute)
	$(GO) test -count=1 -timeout 30m -v ./rest -run FunctionsThatDieAnywhere -firn.functiondeaths 1000

mutants: test-servers ## break one rule of the protocol at a time in the code, and see which test finds it (half an hour); ARGS="-only name,…"
	$(GO) run ./test/mutants $(ARGS)

quirks: ## the drivers, and a server, on a stand-in for S3 that does what some stores do otherwise; prints a table
	$(GO) test -count=1 -v -timeout 40m ./test/quirks -quirks.long

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d' ' -f2); do \
	    echo "== $$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	  done; \
	done

bench: ## run the benchmarks, BENCHTIME each (1s)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) work

demo: build test-needs ## every line of Go's own source in through kcat, out through kafkajs and franz-go, compared key by key
	$(GO) run ./test/demo -firn $(BIN)/firn

torture: build ## strike the server (STRIKE: kill, terminate, takeover, fill-disk) at random moments for DURATION (5m), and check every record
	$(GO) run ./test/torture --firn $(BIN)/firn --strike $(STRIKE) --duration $(DURATION) $(ARGS)

torture-cluster: build test-needs test-servers ## strike three nodes, their Redis, their MinIO and their network for DURATION (5m) or STRIKES times, check every record, and print a table; ARGS="--only … --json …"
	$(GO) run ./test/torture --cluster --firn $(BIN)/firn --duration $(DURATION) --strikes $(STRIKES) $(ARGS)

torture-cleanup: build test-needs test-servers ## kill -9 STRIKES (50) times while small segments are merged, old records removed and garbage collected; on a directory, then on MinIO and Redis
	$(GO) test -count=1 -timeout 1h -run 'TestEveryStepFails|TestCompactionModel' ./cleanup -cleanup.every -cleanup.seeds 100
	$(GO) run ./test/torture --cleanup --firn $(BIN)/firn --strikes $(or $(filter-out 0,$(STRIKES)),50) $(ARGS)
	$(GO) run ./test/torture --cleanup --cluster --firn $(BIN)/firn --strikes $(or $(filter-out 0,$(STRIKES)),50) $(ARGS)

torture-functions: build test-needs test-servers ## 2,000 short-lived HTTP producers with idempotency keys on three nodes, one of which is killed: every record once
	$(GO) run ./test/torture --firn $(BIN)/firn --functions 2000

torture-once: build test-needs test-servers ## kill 1,000 functions that read, write and commit in one transaction, on three nodes, while Redis is emptied and nodes are killed
	$(GO) run ./test/torture --firn $(BIN)/firn --once 1000

compaction: build test-needs ## a million updates of 10,000 keys, compacted under kill -9: what is left is the last values, and tombstones go when they should (1 minute)
	$(GO) run ./test/compaction --firn $(BIN)/firn $(ARGS)

test-groups: build test-needs test-servers ## consumer groups of seven client libraries, in classic and new protocol, under kill -9; a chain of 500,000 records (15 minutes)
	$(GO) run ./test/groups --firn $(BIN)/firn $(ARGS)

test-streams: build test-servers ## Kafka Streams counts words exactly once (exactly_once_v2) while it, the nodes and Redis are killed and wiped (10 minutes)
	mvn -q -B -f test/groups/streams/pom.xml package
	$(GO) run ./test/groups --firn $(BIN)/firn --only streams --nodes 1 $(ARGS)
	$(GO) run ./test/groups --firn $(BIN)/firn --only streams --strikes 8 $(ARGS)

test-connect: build test-servers ## Kafka Connect with exactly.once.source.support counts, while it, the nodes and Redis are killed and wiped (10 minutes)
	mvn -q -B -f test/groups/connect/pom.xml package
	$(GO) run ./test/groups --firn $(BIN)/firn --only connect --strikes 8 $(ARGS)

test-mirror: build test-servers ## MirrorMaker 2 with exactly.once.source.support copies a topic, while it, the nodes and Redis are killed and wiped (10 minutes)
	mvn -q -B -f test/groups/mirror/pom.xml package
	$(GO) run ./test/groups --firn $(BIN)/firn --only mirror --strikes 8 $(ARGS)

test-flink: build test-servers ## Flink's KafkaSink with EXACTLY_ONCE copies a topic, while it, the nodes and Redis are killed and wiped (10 minutes)
	mvn -q -B -f test/groups/flink/pom.xml package
	$(GO) run ./test/groups --firn $(BIN)/firn --only flink --strikes 8 --naming INCREMENTING $(ARGS)

test-shares: build test-servers ## Java's KafkaShareConsumer works through a million records while it, the nodes and Redis are killed, stopped and wiped; each redelivery is judged (3 minutes)
	mvn -q -B -f test/groups/members/java/pom.xml package
	$(GO) run ./test/groups --firn $(BIN)/firn --only shares --strikes 8 $(ARGS)

test-logins: test-needs ## clients of nine kinds log in over TLS by each of their mechanisms; strangers attack for a minute (6 minutes)
	mvn -q -B -f test/logins/pom.xml dependency:copy-dependencies
	$(GO) test -count=1 -timeout 20m -v ./test/logins -logins.kafka lib -logins.long

test-tools: test-needs ## the same calls of Apache Kafka's command line to Firn and to Apache Kafka, and where they differ (5 minutes)
	mvn -q -B -f test/tools/pom.xml dependency:copy-dependencies
	$(GO) test -count=1 -timeout 30m -v ./test/tools -tools.kafka lib

test-browser: build ## the console in Chromium: every page on a phone and a desk, axe-core, the hour of a newcomer, logins; installs Chromium and playwright-core (3 minutes); SHOTS=DIR keeps pictures
	@test/install-package chromium chromium chromium
	@test/install-package node nodejs node
	@test/install-package npm npm node
	@test/install-package openssl openssl openssl
	@test -e test/browser/node_modules/.package-lock.json -a ! test/browser/package-lock.json -nt test/browser/node_modules/.package-lock.json || \
	  npm --prefix test/browser ci --no-audit --no-fund --loglevel=error
	cd test/browser && FIRN=$(CURDIR)/$(BIN)/firn CHROMIUM=$$(command -v chromium) node --test --test-concurrency=1

test-engines: ## Spark (its Kafka source and Parquet) and DuckDB count and sum a topic; installs them, 700 MB, and needs a JDK of 17
	@test/engines/install all
	$(GO) vet -tags engines ./test/engines
	$(GO) test -tags engines -count=1 -timeout 20m -v ./test/engines

rolling-update: build test-needs ## replace each of three nodes in turn under load, twice, as the Helm chart does; no client may be shown an error
	$(GO) run ./test/torture --cluster --firn $(BIN)/firn --only roll-nodes --strikes 2 $(ARGS)

rolling-upgrade: build test-needs ## the same from this version to the one of FROM, a commit, and back (FROM=HEAD~1)
	@rm -rf $(BIN)/from && git worktree prune && git worktree add -q --detach $(BIN)/from $(FROM)
	$(GO) build -C $(BIN)/from -o $(CURDIR)/$(BIN)/firn-from ./cmd/firn; status=$$?; git worktree remove --force $(BIN)/from; exit $$status
	$(GO) run ./test/torture --cluster --firn $(BIN)/firn --other $(BIN)/firn-from --only roll-nodes --strikes 4 $(ARGS)

bench-peers: build ## the whole server beside franz-go's kfake with fsync: throughput, CPU, memory, latency, start (6 minutes)
	$(GO) run ./test/bench --firn $(BIN)/firn $(ARGS)

bench-kafka: build ## the same beside Apache Kafka as well (fetched with Maven)
	mvn -q -B -f test/bench/apache/pom.xml dependency:copy-dependencies
	$(GO) run ./test/bench --firn $(BIN)/firn --kafka test/bench/apache/lib $(ARGS)

bench-http: build ## requests over HTTP beside a Kafka client's, on 1, 64 and 1,024 connections (90 s)
	$(GO) run ./test/bench/http -firn $(BIN)/firn $(ARGS)

bench-merge: build ## 20 GiB of Go's source written, merged under a lone producer and a tail consumer, and read back (15 minutes, 60 GiB of disk)
	$(GO) run ./test/bench/merge -firn $(BIN)/firn $(ARGS)

bench-replay: build ## firn replay beside plain reads of the same ranges, from a directory and from MinIO (10 minutes)
	$(GO) run ./test/bench/replay --firn $(BIN)/firn $(ARGS)

bench-bucket: build ## firn on MinIO and Redis beside a plain uploader into the same MinIO, and where a lone produce's time goes (1 minute)
	$(GO) run ./test/bench/bucket -firn $(BIN)/firn $(ARGS)

bench-cloud: ## latency and dollars on a simulated S3 (Standard, Express, a bad day), in virtual time: a table, one of transactions, and ./dist/cloud.json and .svg (5 minutes); ARGS="-cloud.only REGEXP -cloud.even"
	@mkdir -p dist
	$(GO) test -count=1 -timeout 2h -v -run 'TestBench|TestTransactions' ./test/cloud -cloud.long -cloud.json $(CURDIR)/dist/cloud.json -cloud.svg $(CURDIR)/dist/cloud.svg $(ARGS)

bench-tls: build ## produce and fetch with TLS and without, beside Apache Kafka with TLS and without: MiB/s, and the servers' CPU (8 minutes)
	mvn -q -B -f test/bench/apache/pom.xml dependency:copy-dependencies
	$(GO) run ./test/bench --firn $(BIN)/firn --kafka test/bench/apache/lib --measures tls --for 5s $(ARGS)

bench-replay-tail: build ## what a consumer at the tail notices of a full replay, through the node and from the bucket (5 minutes, 10 GiB of disk)
	$(GO) run ./test/bench/tail -firn $(BIN)/firn $(ARGS)

clean: ## remove what was built; leaves firn-data alone
	rm -rf $(BIN) dist $(NPM_DIR)/node_modules
