package quirks_test

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
	"firn.dev/test/quirks"
)

var long = flag.Bool("quirks.long", false, "let each fault last as long as it may, and try both drivers")

// lasts is how long a fault that passes lasts.
func lasts() time.Duration {
	if *long {
		return 30 * time.Second
	}
	return 2 * time.Second
}

// trial is a server on a store with a quirk.
type trial struct {
	name       string
	parameters string                    // of the store's URL
	always     quirks.Quirks             // from before the start on
	later      quirks.Quirks             // from the middle on, over the restart; zero: as always
	passes     bool                      // the quirk ends by itself, or is ended, before what was written is read
	refuses    string                    // what the server says before it ends with status 1; empty: it serves
	want       func(*quirks.Bucket) bool // whether the quirk was met at all; nil: nobody can see that
}

func met(code string) func(*quirks.Bucket) bool {
	return func(b *quirks.Bucket) bool { return b.Refused()[code] > 0 }
}

func trials() []trial {
	busy := quirks.Quirks{Busy: lasts()}
	return []trial{
		{name: "as S3"},
		{name: "condition ignored", always: quirks.Quirks{IgnoreCondition: true}, refuses: "does not honour If-None-Match"},
		{name: "304 instead of 412", always: quirks.Quirks{NotModified: true}, want: met("NotModified")},
		{name: "MD5 demanded on DeleteObjects", always: quirks.Quirks{DemandMD5: true}},
		{name: "checksums refused", parameters: "checksum=none",
			always: quirks.Quirks{RefuseChecksums: true, DemandMD5: true}},
		{name: "checksums refused, and nobody said so", always: quirks.Quirks{RefuseChecksums: true},
			refuses: "checksum=none"},
		{name: "no DeleteObjects", always: quirks.Quirks{NoDeleteObjects: true}, want: met("NotImplemented")},
		{name: "503 at start", always: busy, passes: true, want: met("SlowDown")},
		{name: "503 while it serves", later: busy, passes: true, want: met("SlowDown")},
		{name: "403 now and then", always: quirks.Quirks{DenyEvery: 20}, want: met("AccessDenied")},
		{name: "lists late", later: quirks.Quirks{ListLag: 4 * lasts()}, passes: true},
		{name: "clock a day ahead", always: quirks.Quirks{Clock: 24 * time.Hour}},
		{name: "clock a day behind", always: quirks.Quirks{Clock: -24 * time.Hour}},
	}
}

// TestServer runs a server on a store with each quirk: it is written to, killed and started again,
// and tidies up. Nothing that was acknowledged may be lost or there twice, nothing that nobody
// needs may stay, and it ends by itself only where no log can be kept.
func TestServer(t *testing.T) {
	bin, err := process.Build(t.Context(), t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	schemes := []string{"s3"}
	if *long {
		schemes = append(schemes, "minio")
	}
	var mu sync.Mutex
	var table []string
	t.Run("on", func(t *testing.T) {
		for _, scheme := range schemes {
			for _, tr := range trials() {
				t.Run(scheme+"/"+tr.name, func(t *testing.T) {
					t.Parallel()
					outcome, right := tr.run(t, bin, scheme)
					mu.Lock()
					defer mu.Unlock()
					table = append(table, fmt.Sprintf("%-6s %-38s %s", scheme, tr.name, outcome))
					if !right {
						t.Error(outcome)
					}
				})
			}
		}
	})
	slices.Sort(table)
	t.Logf("quirk and outcome:\n%s", strings.Join(table, "\n"))
}

const (
	patience = 3 * time.Minute // with everything but what is measured
	topic    = "numbers"
	writers  = 4
)

// run is one trial. It returns what came of it, and whether that is right.
func (tr trial) run(t *testing.T, bin, scheme string) (outcome string, right bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	bucket := quirks.NewBucket()
	bucket.Set(tr.always)
	store := httptest.NewServer(bucket)
	defer store.Close()
	spec, err := process.NewSpec(command(bin, scheme, store.Listener.Addr().String(), tr.parameters), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	spec.Env = []string{"AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=body"}
	start := func() *process.Process {
		server, err := process.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Kill)
		return server
	}
	server := start()
	if tr.refuses != "" {
		status, err := server.Wait(ctx)
		right = err == nil && status == 1 && strings.Contains(server.Output(), tr.refuses)
		return "refuses to serve: it says " + tr.refuses, right
	}
	if _, err := server.Ready(ctx); err != nil {
		return "exits: " + err.Error(), false
	}
	w := &writing{}
	w.run(ctx, t, spec.Kafka, func() {
		w.until(ctx, t, 200)
		if tr.later != (quirks.Quirks{}) {
			bucket.Set(tr.later)
			w.until(ctx, t, w.count()+writers)
		}
		server.Kill()
		server = start()
		if tr.passes {
			time.AfterFunc(lasts(), func() { bucket.Set(quirks.Quirks{}) })
		}
		if _, err = server.Ready(ctx); err == nil {
			w.until(ctx, t, w.count()+200)
		}
	})
	if err != nil {
		return "exits: " + err.Error(), false
	}
	most, tidy := bucket.Count("prefix/segments/"), tidied(ctx, bucket, server)
	left := bucket.Count("prefix/segments/")
	select {
	case <-server.Done():
		return "exits: " + server.Output(), false
	default:
	}
	lost, twice := w.judge(readAll(ctx, t, spec.Kafka))
	outcome = fmt.Sprintf("%d acknowledged, %d lost, %d twice, %d segments tidied to %d",
		w.count(), lost, twice, most, left)
	if !tidy {
		outcome += ": grows for ever"
	}
	seen := tr.want == nil || tr.want(bucket)
	if !seen {
		outcome += ": the quirk was not met"
	}
	return outcome, lost == 0 && twice == 0 && tidy && seen
}

// command serves with times that are short enough for a test.
func command(bin, scheme, addr, parameters string) []string {
	url := "minio://any:body@" + addr + "/bucket/prefix?secure=false&" + parameters
	if scheme == "s3" {
		url = "s3://bucket/prefix?region=us-east-1&endpoint=http://" + addr + "&" + parameters
	}
	return []string{bin, "serve", "--store", strings.TrimSuffix(url, "&"),
		"--kafka-addr", "{kafka}", "--http-addr", "{http}",
		"--put-budget", "none", "--flush-interval", "10ms", "--commit-deadline", "2s", "--gc-grace", "1s"}
}

// few is what may be left of the segments that were written: merged ones, and the newest.
const few = 12

// tidied waits until few segments are left.
func tidied(ctx context.Context, bucket *quirks.Bucket, server *process.Process) bool {
	waiting := time.NewTicker(100 * time.Millisecond)
	defer waiting.Stop()
	over := time.After(patience)
	for bucket.Count("prefix/segments/") > few {
		select {
		case <-waiting.C:
		case <-server.Done():
			return false
		case <-over:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// writing is what several producers write, each record once as far as it knows.
type writing struct {
	mu           sync.Mutex
	acknowledged map[string]bool
	grown        chan struct{} // closed, and replaced, when there is more
}

func (w *writing) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// run writes for as long as during takes.
func (w *writing) run(ctx context.Context, t *testing.T, kafka string, during func()) {
	w.acknowledged, w.grown = map[string]bool{}, make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
				kgo.AllowAutoTopicCreation(), kgo.RecordRetries(1<<30))
			if err != nil {
				t.Error(err)
				return
			}
			defer context.AfterFunc(ctx, client.Close)() // which also ends what waits for a server that is gone
			for n := 0; ctx.Err() == nil; n++ {
				value := fmt.Sprintf("%d/%d", i, n)
				if err := client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err == nil {
					w.add(value)
				} else if ctx.Err() == nil {
					t.Errorf("writing %s: %v", value, err)
				}
			}
		})
	}
	during()
	stop()
	all.Wait()
}

func (w *writing) add(value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acknowledged[value] = true
	close(w.grown)
	w.grown = make(chan struct{})
}

// until waits until so many records are acknowledged.
func (w *writing) until(ctx context.Context, t *testing.T, n int) {
	for {
		w.mu.Lock()
		enough, grown := len(w.acknowledged) >= n, w.grown
		w.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Errorf("%d of %d records were acknowledged", w.count(), n)
			return
		}
	}
}

// judge says how many acknowledged records are missing in what was read, and how many were read
// more than once.
func (w *writing) judge(read map[string]int) (lost, twice int) {
	for value := range w.acknowledged {
		if read[value] == 0 {
			lost++
		}
	}
	for _, times := range read {
		if times > 1 {
			twice++
		}
	}
	return lost, twice
}

// readAll counts the records of the topic by their values.
func readAll(ctx context.Context, t *testing.T, kafka string) map[string]int {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	read := map[string]int{}
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading at %d of %d: %v", next, end.Offset, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read[string(r.Value)]++
			next = r.Offset + 1
		})
	}
	return read
}
