package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/localstack"
)

// The programs of others that work exactly once.

// pipelines are what --only names.
var pipelines = map[string]func(ctx context.Context, o options, p *pipeline, dir string) error{
	"streams": streams, "connect": connect, "mirror": mirror, "flink": flink,
}

func (o options) pipeline(ctx context.Context, name string, c *cluster, dir string) error {
	p := &pipeline{cluster: c, from: c, topic: "out", records: o.words, strikes: o.strikes, log: o.out,
		random: rand.New(rand.NewPCG(1, uint64(o.strikes))), wrote: map[string]int{}}
	defer func() {
		if p.from != c {
			p.from.stop()
		}
	}()
	dir = filepath.Join(dir, name)
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = pipelines[name](ctx, o, p, dir)
	}
	var took time.Duration
	if err == nil {
		took, err = p.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(o.out, "%s: %d numbers came out exactly once in %v, with %d strikes\n", name, p.sum,
		took.Round(100*time.Millisecond), o.strikes)
	return nil
}

// java is the command line of a program whose jars are in a folder of this one.
func (o options) java(folder string, command ...string) []string {
	return append([]string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED", // Flink
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(o.here, folder, "lib", "*")}, command...)
}

// streams is Kafka Streams with exactly_once_v2: two instances of streams/src/main/java/Words.java
// count words. Each count of a word is a record.
func streams(ctx context.Context, o options, p *pipeline, dir string) error {
	const wordsInLine, vocabulary = 5, 200
	for i := range 2 {
		p.commands = append(p.commands, o.java("streams", "Words", p.cluster.bootstrap(), "words", "in", p.topic,
			filepath.Join(dir, fmt.Sprint("instance", i))))
	}
	p.feed = func(n int) (lines []*kgo.Record) {
		for ; n > 0; n -= wordsInLine {
			var line []string
			for range min(n, wordsInLine) {
				word := fmt.Sprint("word", p.random.IntN(vocabulary))
				p.wrote[word]++
				line = append(line, word)
			}
			lines = append(lines, &kgo.Record{Topic: "in", Value: []byte(strings.Join(line, " "))})
		}
		return lines
	}
	return p.cluster.create(ctx, 4, "in", p.topic)
}

// connect is Kafka Connect with exactly.once.source.support: two workers, and two tasks of the
// source connect/src/main/java/Numbers.java.
func connect(ctx context.Context, o options, p *pipeline, dir string) error {
	for i := range lanes {
		p.wrote[fmt.Sprint("lane", i)] = p.records / lanes
	}
	p.records -= p.records % lanes
	if err := p.cluster.create(ctx, 4, p.topic); err != nil {
		return err
	}
	return o.workers(p, dir, "connect", map[string]string{"connector.class": "Numbers", "topic": p.topic,
		"lanes": fmt.Sprint(lanes), "last": fmt.Sprint(p.records / lanes)})
}

// mirror is MirrorMaker 2 in Connect: it copies a topic from another cluster.
func mirror(ctx context.Context, o options, p *pipeline, dir string) (err error) {
	p.from, err = startCluster(ctx, o.firn, dir, 1)
	if err == nil {
		err = p.from.create(ctx, 4, "in")
	}
	if err != nil {
		return err
	}
	p.topic, p.feed = "from.in", p.number("in")
	return o.workers(p, dir, "mirror", map[string]string{
		"connector.class":                       "org.apache.kafka.connect.mirror.MirrorSourceConnector",
		"source.cluster.alias":                  "from",
		"target.cluster.alias":                  "to",
		"source.cluster.bootstrap.servers":      p.from.bootstrap(),
		"target.cluster.bootstrap.servers":      p.cluster.bootstrap(),
		"topics":                                "in",
		"replication.factor":                    "1",
		"offset-syncs.topic.replication.factor": "1",
		"refresh.topics.interval.seconds":       "1",
		"sync.topic.acls.enabled":               "false",
		"source.consumer.isolation.level":       "read_committed",
		"key.converter":                         "org.apache.kafka.connect.converters.ByteArrayConverter",
		"value.converter":                       "org.apache.kafka.connect.converters.ByteArrayConverter",
	})
}

// flink is Flink's KafkaSink with EXACTLY_ONCE: flink/src/main/java/Copy.java copies a topic.
func flink(ctx context.Context, o options, p *pipeline, dir string) error {
	p.feed = p.number("in")
	p.commands = [][]string{o.java("flink", "Copy", p.cluster.bootstrap(), "in", p.topic, dir, o.naming)}
	return p.cluster.create(ctx, 4, "in", p.topic)
}

// workers has two workers of Connect run a connector exactly once.
func (o options) workers(p *pipeline, dir, folder string, connector map[string]string) error {
	connector["name"], connector["tasks.max"] = "program", "2"
	connector["exactly.once.support"] = "required"
	connector["producer.override.transaction.timeout.ms"] = "10000"
	var addrs []string
	for i := range 2 {
		addr, err := localstack.FreeAddr()
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
		file := filepath.Join(dir, fmt.Sprintf("worker%d.properties", i))
		text := strings.Join([]string{
			"bootstrap.servers=" + p.cluster.bootstrap(),
			"group.id=workers",
			"listeners=http://" + addr,
			"exactly.once.source.support=enabled",
			"key.converter=org.apache.kafka.connect.storage.StringConverter",
			"value.converter=org.apache.kafka.connect.storage.StringConverter",
			"config.storage.topic=connect-configs",
			"offset.storage.topic=connect-offsets",
			"status.storage.topic=connect-status",
			"config.storage.replication.factor=1",
			"offset.storage.replication.factor=1",
			"status.storage.replication.factor=1",
			"offset.storage.partitions=4",
			// What was killed is to be missed in seconds.
			"session.timeout.ms=10000",
			"heartbeat.interval.ms=1000",
			"scheduled.rebalance.max.delay.ms=1000",
			"",
		}, "\n")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		p.commands = append(p.commands, o.java(folder, "org.apache.kafka.connect.cli.ConnectDistributed", file))
	}
	p.tend = func(ctx context.Context) { tend(ctx, addrs, connector) }
	return nil
}

// tend gives Connect its connector, and starts again what has failed, as its operators do: a task
// ends when its transaction was aborted because its time was over.
func tend(ctx context.Context, addrs []string, connector map[string]string) {
	config, _ := json.Marshal(connector) // strings: it cannot fail
	call := func(n int, method, path string, body []byte) (answer string, ok bool) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, method, "http://"+addrs[n%len(addrs)]+"/connectors/program/"+path,
			bytes.NewReader(body))
		if err != nil {
			return "", false
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", false
		}
		defer response.Body.Close()
		said, err := io.ReadAll(response.Body)
		return string(said), err == nil && response.StatusCode < 300
	}
	for n, told := 0, false; ctx.Err() == nil; n++ {
		if !told {
			_, told = call(n, http.MethodPut, "config", config)
		} else if status, _ := call(n, http.MethodGet, "status", nil); strings.Contains(status, "FAILED") {
			call(n, http.MethodPost, "restart?includeTasks=true&onlyFailed=true", nil)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}
