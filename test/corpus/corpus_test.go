package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments/batch"
	"firn.dev/segments/batch/corpus"
	"firn.dev/test/process"
)

// The topics take the same batches, and store them as they came, in another codec, and with the
// last of each key alone.
const (
	asTheyCame = "as-they-came"
	recoded    = "recoded"
	compacted  = "compacted"
)

// trial is a server that has taken the corpus.
type trial struct {
	server *process.Process
	dir    string
	firn   string
	client *kgo.Client
	wanted []corpus.File // of which the records were taken, in order
	from   []int64       // the first offset of each
	latest []int64       // timestamp of each
	end    int64
}

// TestCorpusThroughAServer takes what others have made through everything that looks at bytes:
// produce, fetch, lookups by time, HTTP, replay, and the same again once segments are merged and
// compacted.
func TestCorpusThroughAServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	tr := start(t, ctx)
	files := corpus.Load(t)
	for i := range files {
		tr.produce(t, ctx, &files[i])
	}
	t.Logf("%d files by %d makers were taken, %d were refused; %d records", len(tr.wanted), len(corpus.Makers(files)),
		len(files)-len(tr.wanted), tr.end)
	tr.bodies(t, ctx, files)
	for _, when := range []string{"before merges", "after merges"} {
		t.Run(when, func(t *testing.T) {
			for _, topic := range []string{asTheyCame, recoded} {
				tr.compare(t, topic+" by Fetch", tr.fetch(t, ctx, topic))
				tr.compare(t, topic+" by HTTP", tr.overHTTP(t, ctx, topic))
				tr.compare(t, topic+" by replay", tr.replay(t, ctx, topic))
				tr.lookUp(t, ctx, topic)
			}
		})
		if when == "before merges" {
			tr.settle(t, ctx)
		}
	}
}

func start(t *testing.T, ctx context.Context) *trial {
	tr := &trial{dir: t.TempDir()}
	var err error
	if tr.firn, err = process.Build(ctx, t.TempDir(), "firn.dev/cmd/firn"); err != nil {
		t.Fatal(err)
	}
	spec, err := process.NewSpec(append(process.Firn(tr.firn), "--commit-deadline", "5s", "--gc-grace", "3s",
		"--compress-plain", "none"), tr.dir)
	if err != nil {
		t.Fatal(err)
	}
	if tr.server, err = process.Start(spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.server.Kill)
	if _, err := tr.server.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if tr.client, err = kgo.NewClient(kgo.SeedBrokers(tr.server.Kafka())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.client.Close)
	for topic, configs := range map[string]map[string]*string{
		asTheyCame: {}, recoded: {"compression.type": kadm.StringPtr("gzip")},
		compacted: {"cleanup.policy": kadm.StringPtr("compact"), "min.cleanable.dirty.ratio": kadm.StringPtr("0")},
	} {
		configs["retention.ms"] = kadm.StringPtr("-1")
		// the clock of the machine that made the corpus may be ahead
		configs["message.timestamp.after.max.ms"] = kadm.StringPtr("9223372036854775807")
		if _, err := kadm.NewClient(tr.client).CreateTopic(ctx, 1, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// produce sends a file's batches to all topics.
func (tr *trial) produce(t *testing.T, ctx context.Context, f *corpus.File) {
	t.Helper()
	if !f.Refused {
		tr.wanted, tr.from, tr.latest = append(tr.wanted, *f), append(tr.from, tr.end), append(tr.latest, 0)
	}
	for b := range f.Batches(t) {
		h, err := batch.Check(b)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		for _, topic := range []string{asTheyCame, recoded, compacted} {
			err := tr.send(ctx, topic, bytes.Clone(b))
			switch keyless := topic == compacted && strings.HasSuffix(f.Name, "-noise"); {
			case f.Refused || keyless:
				if !errors.Is(err, kerr.InvalidRecord) {
					t.Errorf("%s: %s: %v", f.Name, topic, err)
				}
			case err != nil:
				t.Fatalf("%s: %s: %v", f.Name, topic, err)
			}
		}
		if !f.Refused {
			tr.end += int64(h.Records)
			tr.latest[len(tr.latest)-1] = max(tr.latest[len(tr.latest)-1], h.MaxTimestamp)
		}
	}
}

func (tr *trial) send(ctx context.Context, topic string, b []byte) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	info := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = &topic
	info.Topics = append(info.Topics, named)
	meta, err := info.RequestWith(ctx, tr.client)
	if err != nil {
		return err
	}
	req.Topics[0].TopicID = meta.Topics[0].TopicID
	resp, err := req.RequestWith(ctx, tr.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// bodies posts the frames as bodies.
func (tr *trial) bodies(t *testing.T, ctx context.Context, files []corpus.File) {
	taken := 0
	for _, f := range files {
		// HTTP has no snappy, and takes linked blocks
		if f.Plain == nil || f.Codec == batch.Snappy || strings.Contains(f.Name, "linked") {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+tr.server.HTTP()+"/v1/topics/bodies/records",
			bytes.NewReader(f.Bytes))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Encoding", f.Codec.String())
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := http.StatusOK
		if f.Refused {
			want = http.StatusBadRequest
		}
		if resp.StatusCode != want {
			t.Errorf("%s as a body: %s %s", f.Name, resp.Status, answer)
		}
		taken++
	}
	t.Logf("%d frames were sent as bodies", taken)
}

// fetch reads a topic as a consumer.
func (tr *trial) fetch(t *testing.T, ctx context.Context, topic string) (records []batch.Record) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(tr.server.Kafka()), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for next := int64(0); next < tr.end; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, batch.Record{Offset: r.Offset, Key: r.Key, Value: r.Value})
			next = r.Offset + 1
		})
	}
	return records
}

// line is a record as HTTP and replay have it.
type line struct {
	Offset int64 `json:"offset"`
	Key    any   `json:"key"`
	Value  any   `json:"value"`
}

func (l *line) record() batch.Record {
	r := batch.Record{Offset: l.Offset}
	if text, ok := l.Key.(string); ok {
		r.Key = []byte(text)
	}
	switch v := l.Value.(type) {
	case string:
		r.Value = []byte(v)
	case nil:
	default: // bytes that are no text
		r.Value = nil
	}
	return r
}

func parse(t *testing.T, text []byte) (records []batch.Record) {
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var l line
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, l.record())
	}
}

func (tr *trial) overHTTP(t *testing.T, ctx context.Context, topic string) (records []batch.Record) {
	for next := "0"; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet,
			fmt.Sprintf("http://%s/v1/topics/%s/partitions/0/records?offset=%s&max_bytes=8388608", tr.server.HTTP(), topic,
				next), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/x-ndjson")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("offset %s: %s %v %s", next, resp.Status, err, text)
		}
		records = append(records, parse(t, text)...)
		if next = resp.Header.Get("Firn-Next-Offset"); next == fmt.Sprint(tr.end) {
			return records
		}
	}
}

func (tr *trial) replay(t *testing.T, ctx context.Context, topic string) []batch.Record {
	cmd := exec.CommandContext(ctx, tr.firn, "replay", topic, "--store", "file://"+tr.dir)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, failed.String())
	}
	return parse(t, out)
}

// compare compares the records of a topic with those that were written.
func (tr *trial) compare(t *testing.T, what string, records []batch.Record) {
	t.Helper()
	if int64(len(records)) != tr.end {
		t.Errorf("%s: %d records of %d", what, len(records), tr.end)
		return
	}
	for i := range tr.wanted {
		to := tr.end
		if i+1 < len(tr.from) {
			to = tr.from[i+1]
		}
		if !strings.HasSuffix(tr.wanted[i].Name, "-noise") { // which is no text in JSON
			tr.wanted[i].CompareRecords(t, records[tr.from[i]:to])
		}
	}
}

// lookUp looks for the last timestamp of each file.
func (tr *trial) lookUp(t *testing.T, ctx context.Context, topic string) {
	t.Helper()
	admin := kadm.NewClient(tr.client)
	for i, millis := range tr.latest {
		listed, err := admin.ListOffsetsAfterMilli(ctx, millis, topic)
		if err == nil {
			err = listed.Error()
		}
		if found, _ := listed.Lookup(topic, 0); err != nil || found.Offset < 0 || found.Timestamp < millis {
			t.Errorf("%s: %s: %+v, %v", topic, tr.wanted[i].Name, found, err)
		}
	}
}

// settle waits until segments are merged, and the compacted topic has each key once.
func (tr *trial) settle(t *testing.T, ctx context.Context) {
	t.Helper()
	for {
		metrics := tr.metrics(t, ctx)
		merged := strings.Contains(metrics, "\nfirn_cleanup_backlog_bytes 0\n") &&
			!strings.Contains(metrics, "\nfirn_cleanup_merges_total 0\n")
		keys := map[string]bool{}
		records := tr.fetchCompacted(t, ctx)
		for _, r := range records {
			keys[string(r.Key)] = true
		}
		if merged && len(keys) == 1500 && len(records) == len(keys) {
			return
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("merged: %v; %d records of %d keys", merged, len(records), len(keys))
		}
	}
}

// fetchCompacted reads the compacted topic as HTTP has it.
func (tr *trial) fetchCompacted(t *testing.T, ctx context.Context) (records []batch.Record) {
	end, err := kadm.NewClient(tr.client).ListEndOffsets(ctx, compacted)
	if err != nil {
		t.Fatal(err)
	}
	last, _ := end.Lookup(compacted, 0)
	other := *tr
	other.end = last.Offset
	return other.overHTTP(t, ctx, compacted)
}

func (tr *trial) metrics(t *testing.T, ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+tr.server.HTTP()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
