package rest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/coordinator"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
)

// TestIdempotency: whichever node is asked, however often and at the same time, a request with a
// key is written once, and every answer is the first.
func TestIdempotency(t *testing.T) {
	nodes := startFirn(t, 2, nil)
	topic := nodes[0].makeTopic(t, "t", 3)
	if err := nodes[1].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	const requests, tries = 20, 6
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[int][]posted{}
	for request := range requests {
		body := fmt.Sprintf(`[{"value":"%d a"},{"key":"k%d","value":"%d b"},{"key":"l%d","value":"%d c"}]`, request, request,
			request, request, request)
		for range tries {
			wg.Go(func() {
				a := nodes[rand.IntN(2)].post(t, "/v1/topics/t/records", body, "Content-Type", typeJSON, idempotencyHeader,
					fmt.Sprintf(`"request %d"`, request))
				mu.Lock()
				defer mu.Unlock()
				answers[request] = append(answers[request], a)
			})
		}
	}
	wg.Wait()
	for request, same := range answers {
		for _, a := range same {
			if a.status != 200 || !cmp.Equal(a.Records, same[0].Records) {
				t.Errorf("request %d: %+v, and %+v", request, same[0], a)
			}
		}
	}
	total := int64(0)
	for i := range topic.Partitions {
		info, _ := nodes[0].node.View().Partition(segments.Partition{Topic: topic.ID, Index: i})
		total += info.HighWatermark
	}
	if total != 3*requests {
		t.Errorf("%d records are written, want %d", total, 3*requests)
	}
	// Another encoding of the same records is the same request; other records are another.
	lines := "{\"value\":\"0 a\"}\n{\"value\":\"0 b\",\"key\":{\"base64\":\"azA=\"}}\n{\"key\":\"l0\",\"value\":\"0 c\"}"
	a := nodes[1].post(t, "/v1/topics/t/records", lines, "Content-Type", typeNDJSON, idempotencyHeader, "request 0")
	if a.status != 200 || !cmp.Equal(a.Records, answers[0][0].Records) || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v, want %+v", a, answers[0][0])
	}
	if a := nodes[1].post(t, "/v1/topics/t/records", strings.Replace(lines, "0 c", "0 d", 1), "Content-Type", typeNDJSON,
		idempotencyHeader, "request 0"); a.status != 422 || a.Field != idempotencyHeader {
		t.Errorf("%+v", a)
	}
}

// requestOfThree is a request of 20 records, and the batches that an earlier try has made of them
// while the topic had three partitions.
func requestOfThree(t *testing.T, topic *coordinator.Topic,
	name string) (body string, key *coordinator.RequestKey, packed []ingest.Packed) {
	t.Helper()
	var records []ingest.Record
	for i := range 20 {
		records = append(records, ingest.Record{Partition: -1, Key: fmt.Append(nil, i), Value: []byte("v"), Timestamp: -1})
		body += fmt.Sprintf(`{"key":"%d","value":"v"}`, i)
	}
	made := ingest.NewRequestKey(name, records)
	made.Partitions, made.Timestamp = 3, 1_700_000_000_000
	packed, err := ingest.Pack(records, ingest.PackOptions{Topic: topic.ID, Partitions: 3, Spread: ingest.SpreadOf(&made),
		Now: made.Timestamp, Key: &made})
	if err != nil {
		t.Fatal(err)
	}
	return body, &made, packed
}

// holdsOnce checks that a topic of seven partitions by now holds the batches of requestOfThree, and
// nothing else.
func (f *firn) holdsOnce(t *testing.T, topic *coordinator.Topic, packed []ingest.Packed) {
	t.Helper()
	for i := range int32(7) {
		want := int64(0)
		if i < 3 {
			want = int64(len(packed[i].Records))
		}
		if info, _ := f.node.View().Partition(segments.Partition{Topic: topic.ID, Index: i}); info.HighWatermark != want {
			t.Errorf("partition %d has %d records, want %d", i, info.HighWatermark, want)
		}
	}
}

// TestIdempotencyResumes: if a try got as far as some of its partitions, the next one writes the
// others, with the partitions and the time of the first, although the topic has grown meanwhile.
func TestIdempotencyResumes(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "t", 3)
	body, key, packed := requestOfThree(t, topic, "half")
	pending, err := f.writer.Append(t.Context(), []ingest.Batch{packed[1].Batch})
	if err != nil {
		t.Fatal(err)
	}
	<-pending.Done()
	if _, err := f.node.Change(t.Context(), coordinator.Change{Grow: &coordinator.Grow{Topic: topic.ID,
		Partitions: 7}}); err != nil {
		t.Fatal(err)
	}
	a := f.post(t, "/v1/topics/t/records", body, "Content-Type", typeNDJSON, idempotencyHeader, "half")
	if a.status != 200 || len(a.Records) != 20 {
		t.Fatalf("%+v", a)
	}
	for _, b := range packed {
		for n, record := range b.Records {
			if got := a.Records[record]; got.Partition != b.Batch.Partition.Index || got.Offset != int64(n) ||
				got.Timestamp != key.Timestamp {
				t.Errorf("record %d: %+v", record, got)
			}
		}
	}
	f.holdsOnce(t, topic, packed)
}

// TestIdempotencyWhileTheTopicGrows: a try that is committed and not yet confirmed, on another
// node, keeps the next one from writing the records elsewhere, where they belong since the topic
// has grown.
func TestIdempotencyWhileTheTopicGrows(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "t", 3)
	body, key, packed := requestOfThree(t, topic, "first")
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now())}
	position := int64(32)
	for _, b := range packed {
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: b.Batch.Partition, Position: position,
			Batches: []coordinator.CommitBatch{
				{Length: int32(len(b.Batch.Bytes)), Records: int32(len(b.Records)), ProducerID: -1, Key: key}}})
		position += int64(len(b.Batch.Bytes))
	}
	life, err := f.node.Life(t.Context())
	if err == nil {
		// a node that then hangs; this one helps it along when it has waited for long enough
		_, err = life.Commit(t.Context(), req)
	}
	if err == nil {
		_, err = f.node.Change(t.Context(), coordinator.Change{Grow: &coordinator.Grow{Topic: topic.ID, Partitions: 7}})
	}
	if err != nil {
		t.Fatal(err)
	}
	again := func() posted {
		return f.post(t, "/v1/topics/t/records", body, "Content-Type", typeNDJSON, idempotencyHeader, "first")
	}
	a := again()
	for a.status == http.StatusConflict && a.header.Get("Retry-After") != "" {
		a = again()
	}
	if a.status != 200 || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v", a)
	}
	f.holdsOnce(t, topic, packed)
}

// alter sets configs of a topic.
func (f *firn) alter(t *testing.T, topic *coordinator.Topic, set map[string]string) {
	t.Helper()
	if resp := f.call(t, http.MethodPatch, "/v1/topics/"+topic.Name, map[string]any{"configs": set},
		nil); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
}

// TestIdempotencyOutlivesConfigs: a request that was written gets its first answer, whatever its
// topic has come to refuse since; under another key it is refused.
func TestIdempotencyOutlivesConfigs(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	value := strings.Repeat("long ", 1000)
	for name, set := range map[string]map[string]string{
		"size":         {"max.message.bytes": "100"},
		"keys":         {"cleanup.policy": "compact"},
		"times":        {"message.timestamp.before.max.ms": "1000"},
		"recompressed": {"compression.type": "zstd", "max.message.bytes": "50"},
	} {
		t.Run(name, func(t *testing.T) {
			topic := f.makeTopic(t, name, 1)
			path := "/v1/topics/" + name + "/records?timestamp=1000"
			first := f.post(t, path, value, idempotencyHeader, "k")
			f.alter(t, topic, set)
			again := f.post(t, path, value, idempotencyHeader, "k")
			if first.status != 200 || again.status != 200 || !cmp.Equal(first.Records, again.Records) ||
				again.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%+v, then %+v", first, again)
			}
			if another := f.post(t, path, value, idempotencyHeader, "another"); another.status != 422 && another.status != 413 {
				t.Errorf("another request: %+v", another)
			}
		})
	}
}

// TestIdempotencyResumesUnderConfigs: what an earlier try has not written has to be such as the
// topic takes now; the answer counts what is written.
func TestIdempotencyResumesUnderConfigs(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "t", 3)
	body, _, packed := requestOfThree(t, topic, "half")
	pending, err := f.writer.Append(t.Context(), []ingest.Batch{packed[1].Batch})
	if err != nil {
		t.Fatal(err)
	}
	<-pending.Done()
	f.alter(t, topic, map[string]string{"message.timestamp.before.max.ms": "1000", "max.message.bytes": "10"})
	a := f.post(t, "/v1/topics/t/records", body, "Content-Type", typeNDJSON, idempotencyHeader, "half")
	if want := fmt.Sprintf("%d of 20 records are written", len(packed[1].Records)); a.status != 413 ||
		!strings.Contains(a.Detail, want) {
		t.Errorf("%+v, want %s", a, want)
	}
}

// TestIdempotencyKeysAreBounded: beyond the limit a new key is refused, and a known one still
// answered.
func TestIdempotencyKeysAreBounded(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxIdempotencyKeys = 2 })[0]
	f.makeTopic(t, "t", 1)
	for key, want := range []int{200, 200, 429, 429} {
		a := f.post(t, "/v1/topics/t/records", "x", idempotencyHeader, fmt.Sprint(key))
		if a.status != want || want == 429 && (a.Limit != "MaxIdempotencyKeys" || a.header.Get("Retry-After") == "") {
			t.Errorf("key %d: %+v", key, a)
		}
	}
	if a := f.post(t, "/v1/topics/t/records", "x", idempotencyHeader, "1"); a.status != 200 || a.Records[0].Offset != 1 {
		t.Errorf("%+v", a)
	}
}
