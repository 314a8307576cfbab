package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/rest"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// slowStore is a store whose puts of segments wait until they are let go.
type slowStore struct {
	segments.Store
	held func() bool
	gate chan struct{}
}

func (s *slowStore) Put(ctx context.Context, key string, b []byte) error {
	if strings.HasPrefix(key, "segments/") && s.held() {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Store.Put(ctx, key, b)
}

// slowFirn is a node whose segments are put once release is called.
func slowFirn(t *testing.T, buffer int64, change func(*rest.Options)) (f *firn, release func()) {
	t.Helper()
	store := &slowStore{Store: memory.New(), held: func() bool { return true }, gate: make(chan struct{})}
	release = sync.OnceFunc(func() { close(store.gate) })
	f = startNode(t, store, embedded.New(embedded.Options{}), 1, func(o *rest.Options) {
		w, err := ingest.New(ingest.Options{Store: store, Node: o.Node.(*coordinator.Node), BufferBytes: buffer,
			FlushBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		o.Writer = w
		change(o)
	})
	t.Cleanup(release)
	f.makeTopic(t, "t", 4)
	return f, release
}

// TestFlood: with the bucket stuck, more than the memory holds is refused with 429, what is held
// stays within the limit, and all that was taken is acknowledged in the end, and there.
func TestFlood(t *testing.T) {
	const clients, size, limit = 64, 8 << 10, 256 << 10
	f, release := slowFirn(t, 200<<10, func(o *rest.Options) {
		o.KeepPlain = true
		o.Limits.MaxBodyBytes, o.Limits.RequestMemoryBytes, o.Limits.BusyWait = 16<<10, limit, 10*time.Millisecond
	})
	body := strings.Repeat("x", size)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	refused := make(chan struct{}, clients)
	for range clients {
		wg.Go(func() {
			a := f.post(t, "/v1/topics/t/records", body)
			mu.Lock()
			statuses[a.status]++
			mu.Unlock()
			if a.status == 429 {
				if a.Limit == "" || a.header.Get("Retry-After") == "" {
					t.Errorf("%+v", a)
				}
				refused <- struct{}{}
			}
		})
	}
	for range clients / 2 {
		<-refused
	}
	if used := f.WriteMemory().Used(); used > limit {
		t.Errorf("requests hold %d bytes of %d", used, limit)
	}
	release()
	wg.Wait()
	if statuses[200] == 0 || statuses[200]+statuses[429] != clients {
		t.Errorf("%v", statuses)
	}
	written := int64(0)
	topic := f.node.View().Topic("t")
	for i := range topic.Partitions {
		info, _ := f.node.View().Partition(segments.Partition{Topic: topic.ID, Index: i})
		written += info.HighWatermark
	}
	if written != int64(statuses[200]) {
		t.Errorf("%d records are written, %d acknowledged", written, statuses[200])
	}
	if used := f.WriteMemory().Used(); used != 0 {
		t.Errorf("%d bytes are held after all", used)
	}
}

// TestInDoubt: records that are not durable in time may be written all the same, and the answer
// says so; the same request is then answered with where they are.
func TestInDoubt(t *testing.T) {
	f, release := slowFirn(t, 0, func(o *rest.Options) { o.Limits.WriteTimeout = 50 * time.Millisecond })
	if a := f.post(t, "/v1/topics/t/records", "x", idempotencyHeader, "k"); a.status != http.StatusGatewayTimeout ||
		!strings.Contains(a.Detail, "may or may not") {
		t.Errorf("%+v", a)
	}
	release()
	for until := time.Now().Add(10 * time.Second); ; {
		a := f.post(t, "/v1/topics/t/records", "x", idempotencyHeader, "k")
		if a.status == 200 && a.Records[0].Offset == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%+v", a)
		}
	}
}

// TestDrain: while the server stops, what it has taken is answered, and no more is taken.
func TestDrain(t *testing.T) {
	f, release := slowFirn(t, 0, func(*rest.Options) {})
	answered := make(chan posted, 1)
	go func() { answered <- f.post(t, "/v1/topics/t/records", "x") }()
	for {
		if held, _ := f.opts.Writer.Buffered(); held > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.Drain()
	if a := f.post(t, "/v1/topics/t/records", "x"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", a)
	}
	release()
	if a := <-answered; a.status != 200 {
		t.Errorf("%+v", a)
	}
}

// endless is a body that never ends.
type endless struct{ io.Reader }

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestEndlessBodies: bodies without an end are cut off at the limit, and records without an end as
// well.
func TestEndlessBodies(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxBodyBytes = 100 << 10 })[0]
	f.makeTopic(t, "t", 1)
	v3 := "/v3/clusters/" + f.node.View().ClusterID() + "/topics/t/records"
	for path, begin := range map[string]string{"/v1/topics/t/records": `[`, "/topics/t": `{`, v3: `{`} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path,
			io.MultiReader(strings.NewReader(begin), endless{}))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", typeJSON)
		if path == "/topics/t" {
			r.Header.Set("Content-Type", typeV2JSON)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			continue // cut off before the answer was read
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 413 && !bytes.Contains(answer, []byte(`"error_code":413`)) {
			t.Errorf("%s: %s %s", path, resp.Status, answer)
		}
	}
}

// FuzzProduce sends bodies of all kinds. Whatever they are: no answer is a 5xx, every answer is
// JSON, a request that is refused writes nothing, one that is not is answered with dense offsets,
// one for each record that is written, and no memory stays held.
func FuzzProduce(f *testing.F) {
	types := []string{typeJSON, typeNDJSON, typeBytes, typeEvent, typeEvents, "binary event", typeV2JSON, typeV2Binary,
		"v3"}
	codings := []string{"", "gzip", "zstd", "lz4"}
	for i, body := range []string{
		`[{"value":"a","key":{"base64":"YQ=="},"headers":{"a":1},"partition":1,"timestamp":5},{"value":{"base64":1}}]`,
		"{\"value\":1}\n{\"value\":[]}", "x",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","partitionkey":"k","data":"x","datacontenttype":"text/plain"}`,
		`[{"specversion":"1.0"}]`, "",
		`{"records":[{"value":"\ud800","key":"\u0000"}]}`, `{"records":[{"value":"YQ"}]}`,
		`{"partition_id":1,"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{}},` +
			`"headers":[{"name":"h","value":"aa=="}]}{}`,
	} {
		f.Add(uint8(i), uint8(0), []byte(body), "key")
	}
	f.Add(uint8(2), uint8(1), []byte("\x1f\x8b\x08"), "")
	node := startFirn(f, 1, func(o *rest.Options) { o.Limits.MaxBodyBytes, o.Limits.MaxRecords = 1<<16, 100 })[0]
	node.makeTopic(f, "t", 2)
	f.Fuzz(func(t *testing.T, kind, coding uint8, body []byte, key string) {
		path, contentType := "/v1/topics/t/records", types[int(kind)%len(types)]
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		switch contentType {
		case "binary event":
			r.Header["Ce-Specversion"], r.Header["Ce-Id"], r.Header["Ce-Source"], r.Header["Ce-Type"] = []string{"1.0"},
				[]string{key}, []string{"s"}, []string{"t"}
		case typeV2JSON, typeV2Binary:
			path = "/topics/t"
		case "v3":
			path, contentType = "/v3/clusters/"+node.node.View().ClusterID()+"/topics/t/records", typeJSON
		}
		r.URL.Path = path
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Content-Encoding", codings[int(coding)%len(codings)])
		before := node.ends("t")
		status, answer := serve(node.Server, r)
		after := node.ends("t")
		if status >= 500 || !json.Valid(answer) && path != "" && contentType != typeJSON {
			t.Fatalf("%d: %s", status, answer)
		}
		if status != 200 && after != before {
			t.Fatalf("%d, and records are written: %s", status, answer)
		}
		offsets := [2]int64(before)
		for dec := json.NewDecoder(bytes.NewReader(answer)); ; {
			var a struct {
				posted
				Partition *int32 `json:"partition_id"`
				Offset    int64  `json:"offset"`
				Offsets   []struct {
					Partition int32
					Offset    int64
				}
			}
			if err := dec.Decode(&a); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%d: %s: %v", status, answer, err)
			}
			next := func(partition int32, offset int64) {
				if offset != offsets[partition] {
					t.Fatalf("offset %d of partition %d after %d: %s", offset, partition, offsets[partition], answer)
				}
				offsets[partition]++
			}
			for _, at := range a.Records {
				next(at.Partition, at.Offset)
			}
			for _, at := range a.Offsets {
				next(at.Partition, at.Offset)
			}
			if a.Partition != nil {
				next(*a.Partition, a.Offset)
			}
		}
		if offsets != after {
			t.Fatalf("ends were %v and are %v: %s", before, after, answer)
		}
		if used := node.WriteMemory().Used(); used != 0 {
			t.Fatalf("%d bytes are held", used)
		}
	})
}

// ends are the high watermarks of a topic of two partitions.
func (f *firn) ends(topic string) (ends [2]int64) {
	t := f.node.View().Topic(topic)
	for i := range ends {
		info, _ := f.node.View().Partition(segments.Partition{Topic: t.ID, Index: int32(i)})
		ends[i] = info.HighWatermark
	}
	return ends
}

// benchmarkLine is a record in NDJSON.
const benchmarkLine = `{"key":"user-%d","value":{"id":%d,"text":"the quick brown fox jumps over the lazy dog",` +
	`"ok":true,"list":[1,2,3]}}` + "\n"

// BenchmarkProduce is the whole of a request but its connection, with a store in memory.
func BenchmarkProduce(b *testing.B) {
	for _, n := range []int{1, 1000} {
		var body strings.Builder
		for i := range n {
			fmt.Fprintf(&body, benchmarkLine, i, i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := startFirn(b, 1, nil)[0]
			f.makeTopic(b, "t", 4)
			b.ReportAllocs()
			b.SetBytes(int64(body.Len()))
			for b.Loop() {
				if a := f.post(b, "/v1/topics/t/records", body.String(), "Content-Type", typeNDJSON); a.status != 200 {
					b.Fatalf("%+v", a)
				}
			}
		})
	}
}

// BenchmarkDecode is the part of a request that its size decides.
func BenchmarkDecode(b *testing.B) {
	f := startFirn(b, 1, nil)[0]
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, benchmarkLine, i, i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(body.Len()))
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body.String()))
		r.Header.Set("Content-Type", typeNDJSON)
		if n, err := f.DecodeRecords(r); err != nil || n != 1000 {
			b.Fatal(n, err)
		}
	}
}
