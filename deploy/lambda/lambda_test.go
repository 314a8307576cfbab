package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/deploy/lambda/lambdatest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
)

// binary is the function.
var binary string

func TestMain(m *testing.M) { lambdatest.Main(m, &binary) }

// bench is a bucket with a topic of one partition, a Redis, and a function.
type bench struct {
	t     *testing.T
	store *file.Store
	redis *redistest.Server
	topic segments.TopicID
	*lambdatest.Platform
}

func newBench(t *testing.T, env ...string) *bench {
	dir := t.TempDir()
	store, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := &bench{t: t, store: store, redis: redistest.Start(t), topic: segments.NewTopicID()}
	c, err := redis.New(t.Context(), redis.Options{Addrs: []string{b.redis.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: b.topic, Name: "events",
		Partitions: 1,
		Configs:    map[string]string{"max.message.bytes": "1000"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Platform = lambdatest.New(t, binary, append(env, "FIRN_STORE=file://"+dir, "FIRN_COORDINATOR=redis://"+b.redis.Addr,
		"FIRN_TOPIC=events")...)
	return b
}

// log reads the topic from the bucket: keys and values, in order.
func (b *bench) log() (list []string) {
	b.t.Helper()
	state, err := coordinator.Load(b.t.Context(), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, span := range coordinator.NewView(state).Spans(segments.Partition{Topic: b.topic}, 0, 1<<20) {
		run, err := b.store.Get(b.t.Context(), span.Segment.Key(), span.Position, span.Length)
		if err != nil {
			b.t.Fatal(err)
		}
		for h, err := range batch.All(run) {
			if err != nil {
				b.t.Fatal(err)
			}
			for r, err := range batch.Records(run[:h.Size()], 1<<20) {
				if err != nil {
					b.t.Fatal(err)
				}
				list = append(list, string(r.Key)+"="+string(r.Value))
			}
			run = run[h.Size():]
		}
	}
	return list
}

func (b *bench) want(list ...string) {
	b.t.Helper()
	if got := b.log(); strings.Join(got, "\n") != strings.Join(list, "\n") {
		b.t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(list, "\n"))
	}
}

func sqs(queue string, messages ...[3]string) string {
	var records []string
	for _, m := range messages {
		records = append(records, fmt.Sprintf(`{"messageId": %q, "body": %q, "eventSource": "aws:sqs",
			"eventSourceARN": "arn:aws:sqs:eu-west-1:1:%s", "attributes": {"SentTimestamp": "%d", "MessageGroupId": %q}}`,
			m[0], m[2], queue, time.Now().UnixMilli(), m[1]))
	}
	return `{"Records": [` + strings.Join(records, ",") + `]}`
}

// Events of every source are written, once, however often they are handed over.
func TestSources(t *testing.T) {
	b := newBench(t)
	now := time.Now().UTC().Format(time.RFC3339)
	s3 := `{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"` + now +
		`","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"o","sequencer":"7"}}}`
	bridge := `{"version":"0","id":"e1","detail-type":"Order","source":"shop","time":"` + now + `","detail":{"n":1}}`
	for _, event := range []struct{ event, record, answer string }{
		{sqs("q", [3]string{"m1", "", "from sqs"}), "=from sqs", `{"batchItemFailures":[]}`},
		{`{"Records":[{"EventSource":"aws:sns","Sns":{"MessageId":"n1","TopicArn":"arn:sns","Message":"from sns",` +
			`"Timestamp":"` + now + `"}}]}`, "arn:sns=from sns", "null"},
		{`{"Records":[` + s3 + `]}`, "b/o=" + s3, "null"},
		{bridge, "shop=" + bridge, "null"},
		{`{"Records":[{"eventSource":"aws:kinesis","eventID":"shard-1:42","eventSourceARN":"arn:kinesis",` +
			`"kinesis":{"partitionKey":"k","sequenceNumber":"42","data":"` +
			base64.StdEncoding.EncodeToString([]byte("from kinesis")) + `","approximateArrivalTimestamp":` +
			fmt.Sprint(time.Now().Unix()) + `}}]}`,
			"k=from kinesis", `{"batchItemFailures":[]}`},
	} {
		before := b.log()
		for range 2 {
			if got := b.Invoke(event.event); !got.OK || got.Body != event.answer {
				t.Errorf("%s: %+v", event.event, got)
			}
			b.want(append(before, event.record)...)
		}
		b.Kill() // the next is a new process
	}
	if got := b.Invoke(`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`); !got.OK {
		t.Errorf("S3's test event: %+v", got)
	}
	if got := b.Invoke(`{"hello": "world"}`); got.OK || !strings.Contains(got.Body, "no source") {
		t.Errorf("an event of nobody: %+v", got)
	}
}

// A message that cannot be written fails alone; in a FIFO queue what is behind it in its group
// fails too.
func TestPartialFailures(t *testing.T) {
	b := newBench(t)
	large := strings.Repeat("x", 2000)
	messages := [][3]string{{"1", "g", "a"}, {"2", "g", large}, {"3", "h", "b"}, {"4", "g", "c"}}
	failed := func(event string) string {
		got := b.Invoke(event)
		var f failures
		if err := json.Unmarshal([]byte(got.Body), &f); err != nil || !got.OK {
			t.Errorf("%+v", got)
		}
		return fmt.Sprint(f.Items)
	}
	if got := failed(sqs("q", messages...)); got != "[{2}]" {
		t.Errorf("of a standard queue failed %s", got)
	}
	b.want("g=a", "h=b", "g=c")
	if got := failed(sqs("q.fifo", messages...)); got != "[{2} {4}]" {
		t.Errorf("of a FIFO queue failed %s", got)
	}
	b.want("g=a", "h=b", "g=c", "g=a", "h=b")
}

// Requests are answered as a node answers them, in the formats 1.0 and 2.0 of API Gateway.
func TestRequests(t *testing.T) {
	b := newBench(t)
	body := `[{\"key\": \"k\", \"value\": \"v\"}]`
	for i, event := range []string{
		`{"version":"2.0","rawPath":"/","headers":{"content-type":"application/json","idempotency-key":"one"},` +
			`"requestContext":{"http":{"method":"POST","path":"/"}},"body":"` + body + `","isBase64Encoded":false}`,
		`{"httpMethod":"POST","path":"/","multiValueHeaders":{"Content-Type":["application/json"],` +
			`"Idempotency-Key":["one"]},"requestContext":{"stage":"p"},"body":"` + body + `"}`,
	} {
		var answer gatewayResponse
		got := b.Invoke(event)
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.StatusCode != 200 ||
			!strings.Contains(answer.Body, `"partition":0,"offset":0,`) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
	b.want("k=v")
	got := b.Invoke(`{"requestContext":{"http":{"method":"POST"}},"headers":{"content-type":"application/json"},` +
		`"body":"[{\"partition\": 9, \"value\": 1}]"}`)
	if !strings.Contains(got.Body, `"statusCode":422`) || !strings.Contains(got.Body, "application/problem+json") {
		t.Errorf("a partition that is not there: %+v", got)
	}
	if got := b.Invoke(`{"requestContext":{"http":{"method":"GET"}}}`); !strings.Contains(got.Body, `"statusCode":405`) {
		t.Errorf("another method: %+v", got)
	}
}

// The function is frozen between and during invocations, killed in the middle of them, and Redis is
// lost meanwhile; events are handed over until they are answered, and once more. Each record is
// there once.
func TestFrozenAndKilled(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 12 {
		event := sqs("q", [3]string{fmt.Sprint("a", i), "", fmt.Sprint("first ", i)},
			[3]string{fmt.Sprint("b", i), "", fmt.Sprint("second ", i)})
		b.Send(event)
		time.Sleep(rand.N(12 * time.Millisecond)) // somewhere in the middle of it
		switch i % 4 {
		case 0: // timeout
			b.Kill()
			b.Send(event)
		case 1, 2: // frozen in mid-flush; every other time Redis does not survive it
			b.Signal(syscall.SIGSTOP)
			if i%4 == 2 {
				b.redis.Kill()
				b.redis.Restart()
			}
			b.Signal(syscall.SIGCONT)
		}
		if got := b.Wait(); !got.OK || got.Body != `{"batchItemFailures":[]}` {
			t.Fatalf("event %d: %+v", i, got)
		}
		b.Signal(syscall.SIGSTOP)
		if i%8 == 3 {
			b.redis.Kill()
			b.redis.Restart()
		}
		b.Signal(syscall.SIGCONT)
		if got := b.Invoke(event); !got.OK {
			t.Fatalf("event %d again: %+v", i, got)
		}
		want = append(want, fmt.Sprint("=first ", i), fmt.Sprint("=second ", i))
	}
	b.want(want...)
}
