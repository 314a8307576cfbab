package cleanup_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// history is a compacted partition, all that was ever written to it, and when what of it was
// cleaned first: enough to say what has to be there, what may be and what must not.
type history struct {
	*world
	cleaner *cleanup.Cleaner
	faults  *faults
	at      segments.Partition

	records []batch.Record      // by offset
	cleaned map[int64]time.Time // tombstones, by offset: when they first lay in a clean span
	keep    time.Duration       // the shortest delete.retention.ms so far
	steps   []string            // what was done, for the report
}

var errFault = errors.New("crashed here")

// faults is a store that fails for good after so many requests, as a process does that dies; until
// it is repaired.
type faults struct {
	segments.Store
	mu   sync.Mutex
	left int // negative: without end
}

// crashAfter sets how many requests succeed.
func (f *faults) crashAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

func (f *faults) fail() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return errFault
	}
	f.left--
	return nil
}

// Get implements segments.Store.
func (f *faults) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, key, offset, length)
}

// Create implements segments.Store.
func (f *faults) Create(ctx context.Context, key string) (segments.Upload, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	u, err := f.Store.Create(ctx, key)
	return &faultyUpload{u, f}, err
}

type faultyUpload struct {
	segments.Upload
	f *faults
}

// Commit implements segments.Upload. The object may be stored although nobody learns of it.
func (u *faultyUpload) Commit() error {
	before := u.f.fail()
	if before != nil {
		return before
	}
	return errors.Join(u.Upload.Commit(), u.f.fail())
}

func newHistory(t *testing.T, seed uint64, configs map[string]string, change func(*cleanup.Options)) *history {
	configs["cleanup.policy"] = cmp.Or(configs["cleanup.policy"], "compact")
	store := memory.New()
	h := &history{world: newWorld(t, store, 1, configs), faults: &faults{Store: store, left: -1},
		cleaned: map[int64]time.Time{}, keep: math.MaxInt64}
	h.random = rand.New(rand.NewPCG(seed, 7))
	h.at = h.part(0)
	h.cleaner = h.clean(func(o *cleanup.Options) {
		o.Store, o.TargetBytes = h.faults, cleanup.LeastTarget
		if change != nil {
			change(o)
		}
	})
	h.stop(h.cleaner) // it does nothing by itself: the test says what is done, and when
	return h
}

func (h *history) did(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

func (h *history) fatal(format string, args ...any) {
	h.t.Helper()
	for _, s := range h.steps {
		h.t.Log(s)
	}
	h.t.Fatalf(format, args...)
}

// append writes batches of records of one segment.
func (h *history) append(batches ...[]batch.Record) {
	h.t.Helper()
	id := segments.NewID(time.Now())
	req := coordinator.CommitRequest{Segment: id}
	var all [][]byte
	position := int64(0)
	for _, records := range batches {
		for i := range records {
			records[i].Offset, records[i].Timestamp = int64(len(h.records)), cmp.Or(records[i].Timestamp, time.Now().UnixMilli())
			h.records = append(h.records, records[i])
		}
		// its library has channels that no bubble shares
		b, err := batch.Build(records, batch.NoProducer(batch.Codec(h.random.IntN(int(batch.Zstd)))))
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, b)
	}
	object, index, err := segments.EncodeMixed(id, []segments.RunData{{Partition: h.at, Batches: all}})
	if err == nil {
		err = h.store.Put(h.t.Context(), id.Key(), object)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, run := range index {
		r := coordinator.CommitRun{Partition: h.at, Position: run.Position}
		for i := range run.Batches {
			header, _ := batch.ReadHeader(object[run.Position+int64(run.Batches[i]):])
			r.Batches = append(r.Batches, coordinator.CommitBatch{Length: int32(header.Size()), Records: header.Records,
				MaxTimestamp: header.MaxTimestamp, ProducerID: -1})
			position += int64(header.Size())
		}
		req.Runs = append(req.Runs, r)
	}
	life, err := h.node.Life(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := life.Commit(h.t.Context(), req)
	if err == nil {
		err = life.Settle(h.t.Context(), answer.Entry)
	}
	if err == nil {
		err = h.node.CatchUp(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// some are random records: few keys, so that they come again, tombstones, and if need be records
// without a key.
func (h *history) some(keys int, keyless bool) []batch.Record {
	records := make([]batch.Record, 1+h.random.IntN(8))
	for i := range records {
		r := &records[i]
		r.Key = fmt.Appendf(nil, "key-%d", h.random.IntN(keys))
		if h.random.IntN(4) > 0 {
			r.Value = make([]byte, h.random.IntN(2000))
			for j := range r.Value {
				r.Value[j] = byte(h.random.Uint32())
			}
		}
		if keyless && h.random.IntN(5) == 0 {
			r.Key = nil
		}
		if h.random.IntN(3) == 0 {
			r.Headers = []batch.RecordHeader{{Key: "h", Value: []byte("v")}}
		}
	}
	return records
}

// config is the topic's.
func (h *history) config() topicconfig.Config {
	c, err := topicconfig.Parse(h.node.View().TopicByID(h.topic).Configs)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *history) configure(set map[string]string) {
	h.t.Helper()
	changes := map[string]*string{}
	for name, value := range set {
		changes[name] = &value
	}
	if _, err := h.node.Change(h.t.Context(), coordinator.Change{Configure: &coordinator.Configure{Topic: h.topic,
		Set: changes}}); err != nil {
		h.t.Fatal(err)
	}
	h.did("configs %v", set)
}

// attempt merges these spans, or compacts if there are none, and crashes after so many requests, if
// that is not negative. It says whether it came to its end.
func (h *history) attempt(crash int, merge []coordinator.Span, after uint64) bool {
	h.t.Helper()
	h.faults.crashAfter(crash)
	err := h.cleaner.Attempt(h.t.Context(), h.at, merge, after)
	h.faults.crashAfter(-1)
	if err != nil && !errors.Is(err, errFault) {
		h.fatal("%+v: %v", merge, err)
	}
	h.note()
	return err == nil
}

// note notes which tombstones are clean now.
func (h *history) note() {
	if config := h.config(); config.Compact {
		h.keep = min(h.keep, time.Duration(min(config.DeleteRetentionMillis, 1e12))*time.Millisecond)
	}
	for _, s := range h.spans(0) {
		if !s.Compacted {
			break
		}
		for o := s.Base; o <= s.Last; o++ {
			if _, known := h.cleaned[o]; !known && h.records[o].Value == nil {
				h.cleaned[o] = time.Now()
			}
		}
	}
}

// compact compacts, and says up to which offset everything is clean then; -1 if it crashed before.
func (h *history) compact(crash int) int64 {
	h.t.Helper()
	done := h.attempt(crash, nil, 0)
	clean := int64(-1)
	for _, s := range h.spans(0) {
		if s.Compacted {
			clean = s.Last
		}
	}
	h.did("compact, crash after %d requests: done %v, clean up to %d of %d", crash, done, clean, len(h.records))
	if !done {
		return -1
	}
	return clean
}

// merge makes one segment of some adjacent dirty spans, as plain merging does.
func (h *history) merge() {
	h.t.Helper()
	all, after := h.node.View().Plan(h.at, 0, 1<<20)
	var dirty []coordinator.Span
	for _, s := range all {
		if s.Version == 0 && time.Since(s.Segment.Time()) <= cleanup.Ripeness(deadline) {
			break
		}
		if !s.Compacted {
			dirty = append(dirty, s)
		}
	}
	if len(dirty) < 2 {
		return
	}
	from := h.random.IntN(len(dirty) - 1)
	to := from + 2 + h.random.IntN(min(len(dirty)-from-1, 6))
	h.did("merge %d-%d", dirty[from].Base, dirty[to-1].Last)
	h.attempt(-1, dirty[from:to], after)
}

// survivors are the records that can be read, by offset.
func (h *history) survivors() map[int64]batch.Record {
	h.t.Helper()
	found := map[int64]batch.Record{}
	last, before := int64(-1), int64(-1)
	var list []coordinator.Span
	for s, err := range coordinator.Expand(h.t.Context(), h.store, h.at, h.spans(0), 0) {
		if err != nil {
			h.fatal("reading: %v", err)
		}
		list = append(list, s)
	}
	for b, err := range (&spans.Reader{Store: h.store}).Batches(h.t.Context(), list) {
		if err != nil {
			h.fatal("reading: %v", err)
		}
		header, _ := batch.ReadHeader(b)
		last = header.BaseOffset + int64(header.LastOffsetDelta)
		for r, err := range batch.Records(bytes.Clone(b), 1<<20) {
			if err != nil || r.Offset <= before {
				h.fatal("offset %d: %v", r.Offset, err)
			}
			before = r.Offset
			found[r.Offset] = r
		}
	}
	if int(last) != len(h.records)-1 {
		h.fatal("reading ends at offset %d of %d", last, len(h.records))
	}
	return found
}

// check checks what has to be so at any time: nothing is there that was not written, and who reads
// all from the beginning has the last value of each key and no key that was deleted, and knows of
// each deletion as long as delete.retention.ms promises.
func (h *history) check() map[int64]batch.Record {
	h.t.Helper()
	found := h.survivors()
	want, got := map[string]string{}, map[string]string{}
	lastOf := map[string]int64{}
	for o, r := range h.records {
		play(want, &r)
		if r.Key != nil {
			lastOf[string(r.Key)] = int64(o)
		}
	}
	for _, o := range slices.Sorted(maps.Keys(found)) {
		r := found[o]
		if diff := differs(&r, &h.records[o]); diff {
			h.fatal("offset %d is %+v, was %+v", o, r, h.records[o])
		}
		play(got, &r)
	}
	if !maps.Equal(want, got) {
		h.fatal("read from the beginning: %d keys, not %d", len(got), len(want))
	}
	for key, o := range lastOf {
		if _, there := found[o]; there {
			continue
		}
		since, cleaned := h.cleaned[o]
		if h.records[o].Value != nil || !cleaned || time.Since(since) < h.keep {
			h.fatal("the last record of %s at offset %d is gone: a tombstone that was cleaned %v ago (%v)", key, o,
				time.Since(since), cleaned)
		}
	}
	return found
}

// checkClean checks in addition what has to be so after a compaction that has come to its end: up
// to where it came, each key has one record at most, which is its last up to there, and no
// tombstone is left whose time has come.
func (h *history) checkClean(end int64) {
	h.t.Helper()
	found := h.check()
	lastOf := map[string]int64{}
	for o, r := range h.records[:end+1] {
		lastOf[string(r.Key)] = int64(o)
	}
	for o := range found {
		if o > end {
			continue
		}
		r := found[o]
		if r.Key == nil || lastOf[string(r.Key)] != o {
			h.fatal("offset %d, key %q, is still there after a compaction up to %d", o, r.Key, end)
		}
		if since := h.cleaned[o]; r.Value == nil && time.Since(since) >= h.longest() {
			h.fatal("the tombstone at offset %d is still there %v after it was cleaned", o, time.Since(since))
		}
	}
}

// longest is the longest delete.retention.ms that these tests use.
func (h *history) longest() time.Duration { return 3 * time.Hour }

func play(table map[string]string, r *batch.Record) {
	switch {
	case r.Key == nil:
	case r.Value == nil:
		delete(table, string(r.Key))
	default:
		table[string(r.Key)] = string(r.Value)
	}
}

func differs(a, b *batch.Record) bool {
	return a.Timestamp != b.Timestamp || !bytes.Equal(a.Key, b.Key) || (a.Key == nil) != (b.Key == nil) ||
		!bytes.Equal(a.Value, b.Value) ||
		(a.Value == nil) != (b.Value == nil) || len(a.Headers) != len(b.Headers)
}

var modelSeeds = flag.Int("cleanup.seeds", 9, "how many random histories TestCompactionModel compacts")

// TestCompactionModel makes random histories: records of few keys, tombstones, compactions that
// crash anywhere or come to their end, plain merges, configs that change, and time. With a map of a
// few keys compactions take several rounds, or shares of the keys; with a small target they take
// many merges.
func TestCompactionModel(t *testing.T) {
	for seed := range uint64(*modelSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHistory(t, seed, map[string]string{"delete.retention.ms": "3600000", "min.cleanable.dirty.ratio": "0"},
					func(o *cleanup.Options) {
						o.MapBytes = []int64{1 << 10, 2 << 10, 1 << 20}[seed%3]
						o.Stale = 2 * deadline
					})
				defer h.close()
				for range 120 {
					h.step()
				}
				h.configure(map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "0"})
				time.Sleep(time.Hour)
				for end := int64(-2); ; {
					clean := h.compact(-1)
					if clean == end {
						break
					}
					end = clean
				}
				h.checkClean(int64(len(h.records)) - 1)
				time.Sleep(4 * time.Hour)
				h.compact(-1)
				h.checkClean(int64(len(h.records)) - 1)
				for o, r := range h.survivors() {
					if r.Value == nil {
						h.fatal("offset %d: a tombstone is left", o)
					}
				}
			})
		})
	}
}

// step does one random thing and checks.
func (h *history) step() {
	h.t.Helper()
	config := h.config()
	switch n := h.random.IntN(20); {
	case n < 9:
		var all [][]batch.Record
		for range 1 + h.random.IntN(4) {
			all = append(all, h.some([]int{4, 30, 200}[h.random.IntN(3)], !config.Compact))
		}
		h.append(all...)
		h.did("write up to %d", len(h.records))
	case n < 12:
		d := time.Duration(h.random.IntN(40)) * time.Minute
		h.did("sleep %v", d)
		time.Sleep(d)
	case n < 16 && config.Compact:
		if crash := h.random.IntN(30) - 4; h.random.IntN(3) > 0 && crash >= 0 {
			h.compact(crash)
			h.check()
		} else if end := h.compact(-1); end >= 0 {
			h.checkClean(end)
		}
	case n < 18:
		h.merge()
		h.check()
	case n == 18:
		h.configure(map[string]string{"cleanup.policy": []string{"compact", "compact", "delete"}[h.random.IntN(3)]})
	case n == 19:
		h.configure(map[string]string{
			"delete.retention.ms":   []string{"0", "600000", "10800000"}[h.random.IntN(3)],
			"min.compaction.lag.ms": []string{"0", "0", "1200000"}[h.random.IntN(3)],
		})
	}
}
