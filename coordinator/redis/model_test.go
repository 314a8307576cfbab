package redis_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
)

// The embedded coordinator is the model: the same random operations, on it and on Redis, have
// the same answers, entry by entry and batch by batch, also after recoveries that keep a part
// of what was decided.
func TestAsEmbedded(t *testing.T) {
	server := redistest.Start(t)
	rapid.Check(t, func(r *rapid.T) {
		opts := redis.Options{Addrs: []string{server.Addr}, Prefix: newPrefix(), CommitDeadline: deadline}
		c, err := redis.New(t.Context(), opts)
		if err != nil {
			r.Fatal(err)
		}
		defer c.Close()
		p := &pair{T: r, ctx: t.Context(), model: embedded.New(embedded.Options{CommitDeadline: deadline}), redis: c,
			sequences: map[int64]int32{1: math.MaxInt32 - 8}} // soon it wraps
		p.recover()
		r.Repeat(map[string]func(*rapid.T){
			"commit":        p.commit,
			"commit more":   p.commit,
			"commit again":  p.commitAgain,
			"create":        p.create,
			"delete":        p.delete,
			"grow":          p.grow,
			"configure":     p.configure,
			"log start":     p.logStart,
			"producer ids":  p.producerIDs,
			"settings":      p.settings,
			"propose again": p.proposeAgain,
			"confirm":       p.confirm,
			"confirm more":  p.confirm,
			"settled":       p.settled,
			"marks":         p.marks,
			"follow":        p.follow,
			"leases":        p.leases,
			"offsets":       p.offsets,
			"merge":         p.merge,
			"merge more":    p.merge,
			"registry":      p.registry,
			"id":            p.changeID,
			"id more":       p.changeID,
			"transaction":   p.writeTransaction,
			"ending":        p.endTransaction,
			"atomic":        p.atomic,
			"atomic more":   p.atomic,
			"recover":       func(t *rapid.T) { p.T = t; p.recover() },
		})
	})
}

// pair is the model and Redis, and what the test knows of both.
type pair struct {
	*rapid.T
	ctx   context.Context
	model *embedded.Coordinator
	redis *redis.Coordinator

	in        coordinator.Incarnation
	decided   map[uint64]*coordinator.Fact // awaiting their confirmation
	last      uint64                       // number of the newest fact
	journal   []*coordinator.Fact          // confirmed ones
	merges    map[segments.Partition]uint64
	topics    []segments.TopicID
	requests  []coordinator.CommitRequest
	changes   []coordinator.Change
	sequences map[int64]int32 // next sequence numbers of producers, about
	version   uint64          // highest that a group's owner gave a commit
}

var sentinels = []error{
	coordinator.ErrNotOpen, coordinator.ErrIncarnation, coordinator.ErrTrimmed, coordinator.ErrTooOld,
	coordinator.ErrUnknownPartition, coordinator.ErrUnknownTopic, coordinator.ErrTopicExists,
	coordinator.ErrPartitionCount, coordinator.ErrOffsetRange, coordinator.ErrDuplicate,
	coordinator.ErrOutOfOrder, coordinator.ErrProducerEpoch, coordinator.ErrLeaseHeld,
	coordinator.ErrLeaseLost, coordinator.ErrMalformed, coordinator.ErrUnknownChange,
	coordinator.ErrKeyReused, coordinator.ErrMergedMeanwhile, coordinator.ErrTooYoung,
	coordinator.ErrTransactionalID, coordinator.ErrConcurrentTransactions, coordinator.ErrTransactionState,
	coordinator.ErrTransactionTooLarge, coordinator.ErrBuildAnew, coordinator.ErrNotOpenThere,
	coordinator.ErrNotWhole,
}

func sameError(a, b error) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	for _, s := range sentinels {
		if errors.Is(a, s) || errors.Is(b, s) {
			return errors.Is(a, s) && errors.Is(b, s)
		}
	}
	return a == nil
}

// both compares what the two answered.
func (p *pair) both(what string, model, redis any, modelErr, redisErr error) {
	p.Helper()
	if !sameError(modelErr, redisErr) {
		p.Fatalf("%s: the model says %v, Redis %v", what, modelErr, redisErr)
	}
	if !reflect.DeepEqual(model, redis) {
		p.Fatalf("%s: the model says\n%+v\nRedis\n%+v", what, model, redis)
	}
}

// factBytes are the bytes of a fact without the coordinator's time, which differs.
func factBytes(f *coordinator.Fact) string {
	if f == nil {
		return ""
	}
	same, err := coordinator.DecodeFact(coordinator.AppendFact(nil, f))
	if err != nil {
		return err.Error()
	}
	if same.Offsets != nil {
		same.Offsets.Time = 0
	}
	if same.Settings != nil {
		same.Settings.Time = 0
	}
	if same.TransactionalID != nil {
		same.TransactionalID.Time, same.TransactionalID.Started = 0, 0
	}
	if same.Commit != nil {
		for i := range same.Commit.Endings {
			same.Commit.Endings[i].Time = 0
		}
		for i := range same.Commit.Atomic {
			same.Commit.Atomic[i].Time = 0
		}
		for i := range same.Commit.Spans {
			for j := range same.Commit.Spans[i].Producers {
				same.Commit.Spans[i].Producers[j].LastTimestamp = 0
			}
			for j := range same.Commit.Spans[i].Keyed {
				same.Commit.Spans[i].Keyed[j].Time = 0
			}
		}
	}
	return string(coordinator.AppendFact(nil, same))
}

func entryText(e coordinator.Entry) string {
	return fmt.Sprintf("%d %q %v", e.Seq, factBytes(e.Fact), e.Confirmed)
}

func batchesText(runs [][]coordinator.BatchAnswer) string {
	var b bytes.Buffer
	for _, run := range runs {
		for _, a := range run {
			which := slices.IndexFunc(sentinels, func(s error) bool { return errors.Is(a.Err, s) })
			fmt.Fprintf(&b, "%d %d %d %v, ", a.BaseOffset, a.LogStartOffset, which, a.Err == nil)
		}
		b.WriteString("; ")
	}
	return b.String()
}

// partition draws one that exists, mostly.
func (p *pair) partition() segments.Partition {
	topics := append(p.topics[max(0, len(p.topics)-3):len(p.topics):len(p.topics)], segments.TopicID{1})
	topic := rapid.SampledFrom(topics).Draw(p.T, "topic")
	return segments.Partition{Topic: topic, Index: rapid.Int32Range(-1, 2).Draw(p.T, "index")}
}

func (p *pair) batch() coordinator.CommitBatch {
	b := coordinator.CommitBatch{ProducerID: -1}
	b.Length = rapid.Int32Range(1, 100).Draw(p.T, "length")
	b.Records = rapid.Int32Range(1, 4).Draw(p.T, "records")
	b.MaxTimestamp = rapid.SampledFrom([]int64{-1, 0, 5, math.MaxInt64, math.MinInt64}).Draw(p.T, "timestamp")
	switch rapid.IntRange(0, 5).Draw(p.T, "kind") {
	case 0, 1, 2:
		return b
	case 3:
		b.Key = &coordinator.RequestKey{Partitions: 3, Timestamp: b.MaxTimestamp}
		b.Key.ID[0] = rapid.Byte().Draw(p.T, "request") % 8
		b.Key.Body[0] = rapid.Byte().Draw(p.T, "body") % 2
		return b
	}
	b.ProducerID = rapid.SampledFrom([]int64{0, 1, 1 << 60}).Draw(p.T, "producer")
	b.ProducerEpoch = rapid.SampledFrom([]int16{0, 0, 0, 0, 1, 1, math.MaxInt16}).Draw(p.T, "epoch")
	b.BaseSequence = p.sequences[b.ProducerID]
	switch rapid.IntRange(0, 9).Draw(p.T, "sequence") {
	case 0:
		b.BaseSequence = 0
	case 1:
		b.BaseSequence = math.MaxInt32 - 1
	case 2:
		b.BaseSequence = max(0, b.BaseSequence-rapid.Int32Range(0, 12).Draw(p.T, "back"))
	}
	p.sequences[b.ProducerID] = int32((int64(b.BaseSequence) + int64(b.Records)) & math.MaxInt32)
	return b
}

func (p *pair) commit(t *rapid.T) {
	p.T = t
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now())}
	if rapid.IntRange(0, 30).Draw(t, "old") == 0 {
		req.Segment = segments.NewID(time.Now().Add(-2 * deadline))
	}
	position := int64(32)
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		run := coordinator.CommitRun{Partition: p.partition(), Position: position}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			run.Batches = append(run.Batches, p.batch())
			position += int64(run.Batches[len(run.Batches)-1].Length)
		}
		req.Runs = append(req.Runs, run)
	}
	p.requests = append(p.requests, req)
	p.submit(req)
}

func (p *pair) commitAgain(t *rapid.T) {
	p.T = t
	if len(p.requests) > 0 {
		p.submit(rapid.SampledFrom(p.requests[max(0, len(p.requests)-8):]).Draw(t, "request"))
	}
}

func (p *pair) submit(req coordinator.CommitRequest) {
	a, errA := p.model.Commit(p.ctx, p.in, req)
	b, errB := p.redis.Commit(p.ctx, p.in, req)
	p.both("commit", entryText(a.Entry)+batchesText(a.Runs)+endingsText(a.Endings),
		entryText(b.Entry)+batchesText(b.Runs)+endingsText(b.Endings), errA, errB)
	p.remember(a.Entry)
}

func (p *pair) remember(e coordinator.Entry) {
	if e.Fact != nil && e.Seq > p.last {
		p.decided[e.Seq], p.last = e.Fact, e.Seq
	}
}

func (p *pair) propose(c coordinator.Change) {
	if c.ID == (segments.ID{}) {
		c.ID = segments.NewID(time.Now())
		p.changes = append(p.changes, c)
	}
	a, errA := p.model.Propose(p.ctx, p.in, c)
	b, errB := p.redis.Propose(p.ctx, p.in, c)
	p.both("propose", entryText(a), entryText(b), errA, errB)
	p.remember(a)
}

func (p *pair) topic() segments.TopicID { return p.partition().Topic }

func (p *pair) create(t *rapid.T) {
	p.T = t
	id := segments.NewTopicID()
	if len(p.topics) > 0 && rapid.IntRange(0, 5).Draw(t, "same id") == 0 {
		id = p.topic()
	} else {
		p.topics = append(p.topics, id)
	}
	p.propose(coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID:         id,
		Name:       rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"),
		Partitions: rapid.Int32Range(0, 2).Draw(t, "partitions"),
		Configs:    map[string]string{"k": "v"},
	}})
}

func (p *pair) delete(t *rapid.T) {
	p.T = t
	if rapid.Bool().Draw(t, "really") {
		id := p.topic()
		p.propose(coordinator.Change{DeleteTopic: &id})
	}
}

func (p *pair) grow(t *rapid.T) {
	p.T = t
	grow := &coordinator.Grow{Topic: p.topic(), Partitions: rapid.Int32Range(1, 3).Draw(t, "partitions")}
	p.propose(coordinator.Change{Grow: grow})
}

func (p *pair) configure(t *rapid.T) {
	p.T = t
	value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
	set := map[string]*string{rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"): &value}
	if rapid.Bool().Draw(t, "unset") {
		set["k"] = nil
	}
	p.propose(coordinator.Change{Configure: &coordinator.Configure{Topic: p.topic(), Set: set}})
}

func (p *pair) logStart(t *rapid.T) {
	p.T = t
	p.propose(coordinator.Change{LogStart: &coordinator.LogStart{Offsets: map[segments.Partition]int64{
		p.partition(): rapid.Int64Range(-1, 20).Draw(t, "offset")}}})
}

func (p *pair) producerIDs(t *rapid.T) {
	p.T = t
	p.propose(coordinator.Change{ProducerIDs: rapid.Int64Range(0, 5).Draw(t, "ids")})
}

func (p *pair) settings(t *rapid.T) {
	p.T = t
	key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
	changes := []coordinator.Setting{{Kind: coordinator.ACLSetting, Key: key}}
	if changes[0].Deleted = rapid.Bool().Draw(t, "deleted"); !changes[0].Deleted {
		changes[0].Value = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
	}
	p.propose(coordinator.Change{Settings: changes})
}

func (p *pair) proposeAgain(t *rapid.T) {
	p.T = t
	if len(p.changes) > 0 {
		p.propose(rapid.SampledFrom(p.changes[max(0, len(p.changes)-5):]).Draw(t, "change"))
	}
}

func (p *pair) confirm(t *rapid.T) {
	p.T = t
	seqs := []uint64{p.last + 5}
	for seq, f := range p.decided {
		if rapid.Bool().Draw(t, "confirm") {
			seqs = append(seqs, seq, seq)
			p.journal = append(p.journal, f)
			delete(p.decided, seq)
		}
	}
	p.both("confirm", nil, nil, p.model.Confirm(p.ctx, p.in, seqs), p.redis.Confirm(p.ctx, p.in, seqs))
	if len(seqs) > 1 {
		p.last++
	}
}

func (p *pair) settled(t *rapid.T) {
	p.T = t
	a, errA := p.model.Settled(p.ctx, p.in)
	b, errB := p.redis.Settled(p.ctx, p.in)
	p.both("settled", a, b, errA, errB)
}

func (p *pair) marks(t *rapid.T) {
	p.T = t
	at := []segments.Partition{p.partition(), p.partition(), p.partition()}
	a, errA := p.model.HighWatermarks(p.ctx, p.in, at)
	b, errB := p.redis.HighWatermarks(p.ctx, p.in, at)
	p.both("high watermarks", a, b, errA, errB)
}

func (p *pair) follow(t *rapid.T) {
	p.T = t
	if p.last == 0 {
		return
	}
	after := rapid.Uint64Range(0, p.last-1).Draw(t, "after")
	read := func(c coordinator.Coordinator) (entries []string, err error) {
		for e, err := range c.Follow(p.ctx, p.in, after) {
			if err != nil {
				return entries, err
			}
			if entries = append(entries, entryText(e)); e.Seq >= p.last {
				return entries, nil
			}
		}
		return entries, nil
	}
	a, errA := read(p.model)
	b, errB := read(p.redis)
	p.both("follow", a, b, errA, errB)
}

func (p *pair) leases(t *rapid.T) {
	p.T = t
	name := rapid.SampledFrom([]string{"l", "m"}).Draw(t, "name")
	holder := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "holder")
	a, errA := p.model.Acquire(p.ctx, p.in, name, holder, time.Hour)
	b, errB := p.redis.Acquire(p.ctx, p.in, name, holder, time.Hour)
	if late := a.Expires - b.Expires; late.Abs() > time.Minute {
		t.Fatalf("a lease ends in %s and in %s", a.Expires, b.Expires)
	}
	a.Expires, b.Expires = 0, 0
	p.both("acquire", a, b, errA, errB)
	if rapid.Bool().Draw(t, "release") {
		other := uint64(rapid.IntRange(0, 1).Draw(t, "other epoch"))
		epoch := a.Epoch + other<<rapid.SampledFrom([]int{0, 32}).Draw(t, "half")
		p.both("release", nil, nil,
			p.model.Release(p.ctx, p.in, name, holder, epoch),
			p.redis.Release(p.ctx, p.in, name, holder, epoch))
	}
}

func (p *pair) offsets(t *rapid.T) {
	p.T = t
	name := rapid.SampledFrom([]string{"l", "m"}).Draw(t, "name")
	holder := rapid.SampledFrom([]string{"", "a"}).Draw(t, "holder")
	lease, _ := p.model.Acquire(p.ctx, p.in, name, holder, time.Hour)
	_, err := p.redis.Acquire(p.ctx, p.in, name, holder, time.Hour)
	if err != nil && !errors.Is(err, coordinator.ErrLeaseHeld) {
		t.Fatal(err)
	}
	c := &coordinator.CommitOffsets{Lease: rapid.SampledFrom([]string{"l", "m"}).Draw(t, "lease"), Epoch: lease.Epoch,
		Group: rapid.SampledFrom([]string{"", "g"}).Draw(t, "group"), Forget: rapid.Bool().Draw(t, "forget")}
	if rapid.Bool().Draw(t, "numbered") {
		p.version += 1000 // which those that are numbered by the coordinator do not reach
		c.Version = p.version
	}
	for index := range rapid.Int32Range(0, 2).Draw(t, "offsets") {
		c.Offsets = append(c.Offsets, coordinator.GroupOffset{
			Partition:   segments.Partition{Topic: segments.TopicID{1}, Index: 9 - index},
			Offset:      rapid.Int64Range(-2, 3).Draw(t, "offset"),
			LeaderEpoch: -1,
			Deleted:     rapid.Bool().Draw(t, "deleted"),
			Metadata:    "m",
		})
	}
	p.propose(coordinator.Change{ID: segments.ID{1}, Offsets: c})
}

func (p *pair) merge(t *rapid.T) {
	p.T = t
	lease, _ := p.model.Acquire(p.ctx, p.in, "merges", "a", time.Hour)
	if _, err := p.redis.Acquire(p.ctx, p.in, "merges", "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	base := rapid.Int64Range(0, 6).Draw(t, "base")
	c := &coordinator.ProposeMerge{Lease: "merges", Epoch: lease.Epoch, Segment: segments.NewID(time.Now()),
		Merge: coordinator.Merge{Partition: p.partition(), Base: base, Last: base + rapid.Int64Range(-1, 6).Draw(t, "more")}}
	c.After = p.merges[c.Merge.Partition]
	switch rapid.IntRange(0, 20).Draw(t, "how") {
	case 0:
		c.Epoch += 1 << 32
	case 1:
		c.Epoch++
	case 2:
		c.Lease = "none"
	case 3:
		c.After++
	case 4:
		c.Segment = segments.NewID(time.Now().Add(-2 * coordinator.MergeDeadline(deadline)))
	case 5:
		c.Segment = segments.NewID(time.Now().Add(2 * deadline))
	case 6:
		c.Merge.Base = -1
	case 7:
		c.Youngest = segments.NewID(time.Now().Add(-deadline / 2))
	case 8:
		c.Youngest = segments.NewID(time.Now().Add(-2 * deadline))
	}
	if rapid.Bool().Draw(t, "survivors") {
		span := coordinator.Span{Segment: c.Segment, Base: c.Merge.Base, Last: c.Merge.Base, Position: 32, Length: 9}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			span.Compacted, span.Horizon = true, 5
		case 1:
			span.Position, span.Listed = 0, 1
		}
		c.Merge.Spans = []coordinator.Span{span}
	}
	before := p.last
	p.propose(coordinator.Change{Merge: c})
	if p.last > before {
		p.merges[c.Merge.Partition]++
	}
}

func (p *pair) registry(t *rapid.T) {
	p.T = t
	node := coordinator.NodeInfo{ID: rapid.Int32Range(0, 3).Draw(t, "id"), KafkaHost: "h", KafkaPort: 1}
	node.Life = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "life")
	ttl := rapid.SampledFrom([]time.Duration{0, time.Hour, time.Hour}).Draw(t, "ttl")
	p.both("register", nil, nil, p.model.Register(p.ctx, p.in, node, ttl), p.redis.Register(p.ctx, p.in, node, ttl))
	a, errA := p.model.Nodes(p.ctx, p.in)
	b, errB := p.redis.Nodes(p.ctx, p.in)
	p.both("nodes", a, b, errA, errB)
}

// recover opens both with what was confirmed, up to the first hole of each partition, as Recover
// does. A state is opened once, so each gets its own.
func (p *pair) recover() {
	p.in++
	var spans []coordinator.CommitSpan
	var kept []*coordinator.Fact
	keep := func(f coordinator.Fact) {
		f.Incarnation = p.in
		kept = append(kept, &f)
	}
	for _, f := range p.journal {
		if f.Commit == nil {
			keep(*f)
		} else {
			if len(f.Commit.Endings)+len(f.Commit.Atomic) > 0 {
				keep(coordinator.Fact{Commit: &coordinator.Commit{Segment: f.Commit.Segment, Endings: f.Commit.Endings,
					Atomic: f.Commit.Atomic}})
			}
			spans = append(spans, f.Commit.Spans...)
		}
	}
	slices.SortFunc(spans, func(a, b coordinator.CommitSpan) int { return cmp.Compare(a.Span.Base, b.Span.Base) })
	ends := map[segments.Partition]int64{}
	for _, s := range spans {
		if s.Span.Base == ends[s.Partition] {
			ends[s.Partition] = s.Span.Last + 1
			keep(coordinator.Fact{Commit: &coordinator.Commit{Segment: s.Span.Segment, Spans: []coordinator.CommitSpan{s}}})
		}
	}
	var states [2]*coordinator.State
	for i := range states {
		states[i] = coordinator.NewState(p.in, "cluster")
		for _, f := range kept {
			if err := states[i].Apply(f); err != nil {
				p.Fatal(err)
			}
		}
	}
	p.journal, p.decided, p.last, p.merges = kept, map[uint64]*coordinator.Fact{}, 0, map[segments.Partition]uint64{}
	for at, partition := range states[0].Partitions() {
		p.merges[at] = partition.Merges
	}
	p.both("open", nil, nil, p.model.Open(p.ctx, states[0]), p.redis.Open(p.ctx, states[1]))
}
