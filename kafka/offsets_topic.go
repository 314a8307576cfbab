package kafka

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// commitLog is what a node has to read as __consumer_offsets: a compacted log of what groups have
// committed, in which the newest commit of a group for a partition is always the only one. It is
// made of the view when somebody reads it, and let go when nobody does. Nothing of it is stored.
//
//   - A record's offset is made of its time: so what a client has read on one node it does not
//     read again on another, or on the same after a restart, and there are holes between offsets.
//   - The newest record stays, so the end does not go back while the log is kept. It may be lower
//     on another node, or when the log is made again, where what was deleted has left no record. So
//     a client that is ahead of the end waits; see reach.
//   - Commits come by the look, which takes a small part of one core. Those of one group for one
//     partition that come between two looks are one record.
//   - What a group has no longer is a record without a value. When the whole group is gone, so is a
//     record of its name, as Kafka writes it for the members of a group that is deleted. Such
//     records stay for a while.
//   - Share groups have none, as in Kafka, which keeps their state elsewhere.
//   - Records of the members of groups, which Kafka's topic has as well, are not made:
//     DescribeGroups answers for them.
//   - It is for tools that watch. Commits have the times of the coordinator's clock, and records
//     without a value those of the node's. If the first was set back or the second is ahead, or a
//     transaction takes long to end, a commit has an offset among later ones of another node: a
//     client that changes nodes in that moment may miss it until the group commits again.
type commitLog struct {
	view *coordinator.View

	mu       sync.Mutex
	standing map[commitKey]*commitRecord // of each partition of a group
	records  []*commitRecord             // by offset
	next     int64                       // no offset so far is as high
	looks    uint64                      // how often it was looked
	looked   time.Time                   // for the last time
	took     time.Duration
	asked    time.Time // when somebody read for the last time
	forget   *time.Timer
}

// commitKey is what the records of one key are about.
type commitKey struct {
	group string
	at    segments.Partition
}

// commitRecord is one record. It has no value if gone is set, and it is about the whole group if it
// has no topic.
type commitRecord struct {
	group, topic string
	offset       int64
	committed    coordinator.CommittedOffset
	gone         time.Time
	look         uint64 // that has found it last
	superseded   bool
}

const (
	// commitsLook is how often the log is looked at while somebody reads, at most. All looks take at
	// most one part in commitsLookShare of the time.
	commitsLook      = 250 * time.Millisecond
	commitsLookShare = 20
	// commitsKept is for how long the log stays without readers, and a record without a value in it.
	commitsKept = 10 * time.Minute
	// commitsPerMilli is how many offsets a millisecond has. When it has more commits, they take those
	// of the next.
	commitsPerMilli = 1 << 10
	// commitsAhead is how far the clocks of nodes may be apart.
	commitsAhead = 60_000 * commitsPerMilli
)

// reach is how far a client may have read: on another node, or from a log that was let go.
func reach(end int64) int64 { return max(end, time.Now().UnixMilli()*commitsPerMilli) + commitsAhead }

func newCommitLog(view *coordinator.View) *commitLog { return &commitLog{view: view} }

// end is the offset behind the last record.
func (l *commitLog) end() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	return l.endLocked()
}

func (l *commitLog) endLocked() int64 {
	if n := len(l.records); n > 0 {
		return l.records[n-1].offset + 1
	}
	return 0
}

// read returns the records from an offset on: of some of them, and of the first if atLeastOne is
// set, however small most is.
func (l *commitLog) read(offset int64, most int, atLeastOne bool) (index.Chunk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	end := l.endLocked()
	chunk := index.Chunk{HighWatermark: end, LastStable: end}
	for left := l.records[l.from(offset):]; len(left) > 0; {
		run := left[:contiguous(left)]
		b, taken, err := buildCommits(run, most, atLeastOne)
		if err != nil || taken == 0 {
			return chunk, err
		}
		chunk.Batches = append(chunk.Batches, b)
		if taken < len(run) {
			break
		}
		left, most, atLeastOne = left[taken:], most-len(b), false
	}
	return chunk, nil
}

// byTime returns where the first record that is not older than a timestamp stands, or the newest
// for maxTimestampOffset.
func (l *commitLog) byTime(timestamp int64) (index.Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	i := sort.Search(len(l.records), func(i int) bool { return l.records[i].timestamp() >= timestamp })
	if timestamp == maxTimestampOffset {
		i = len(l.records) - 1
	}
	if i < 0 || i == len(l.records) {
		return index.Position{}, false
	}
	return index.Position{Offset: l.records[i].offset, Timestamp: l.records[i].timestamp()}, true
}

// from is the number of the first record that stands at an offset or behind it.
func (l *commitLog) from(offset int64) int {
	return sort.Search(len(l.records), func(i int) bool { return l.records[i].offset >= offset })
}

// look takes in what was committed since the last look, unless that was just now.
func (l *commitLog) look() {
	now := time.Now()
	l.asked = now
	if l.forget == nil {
		l.forget = time.AfterFunc(commitsKept, l.letGo)
	}
	if now.Sub(l.looked) < max(commitsLook, commitsLookShare*l.took) {
		return
	}
	next := l.next
	if l.standing == nil {
		l.standing, next = map[commitKey]*commitRecord{}, 0 // their times say where they stand
	}
	l.looks++
	groups := l.view.Groups()
	records := l.committed(groups)
	slices.SortFunc(records, func(a, b *commitRecord) int {
		return cmp.Or(cmp.Compare(a.committed.Time, b.committed.Time), cmp.Compare(a.group, b.group),
			cmp.Compare(a.topic, b.topic), cmp.Compare(a.committed.Partition.Index, b.committed.Partition.Index))
	})
	records = append(records, l.gone(groups, now)...)
	for _, r := range records {
		r.offset = max(next, r.millis()*commitsPerMilli)
		next = r.offset + 1
	}
	records = append(l.records, records...)
	l.records = slices.DeleteFunc(records, func(r *commitRecord) bool {
		return r.superseded || r.offset < next-1 && !r.gone.IsZero() && now.Sub(r.gone) > commitsKept
	})
	l.next = max(l.next, next)
	l.looked = time.Now()
	l.took = l.looked.Sub(now)
}

// committed returns the commits that are new, as records that have no offset yet.
func (l *commitLog) committed(names []string) (records []*commitRecord) {
	for _, group := range names {
		first := len(records)
		l.view.EachCommitted(group, func(c coordinator.CommittedOffset, _ coordinator.PartitionInfo) {
			if r := l.standing[commitKey{group, c.Partition}]; r != nil && r.committed == c {
				r.look = l.looks
				return
			}
			if groups.OfShareGroup(c) {
				return
			}
			records = append(records, &commitRecord{group: group, committed: c, look: l.looks})
		})
		for _, r := range records[first:] {
			key := commitKey{group, r.committed.Partition}
			if t := l.view.TopicByID(key.at.Topic); t != nil {
				r.topic = t.Name
			} else if before := l.standing[key]; before != nil {
				r.topic = before.topic // it was deleted just now
			}
			l.supersede(key, r)
		}
	}
	return slices.DeleteFunc(records, func(r *commitRecord) bool { return r.topic == "" })
}

// supersede has a record stand for its key; nil: none stands for it any more.
func (l *commitLog) supersede(key commitKey, r *commitRecord) {
	if before := l.standing[key]; before != nil {
		before.superseded = true
	}
	if r == nil {
		delete(l.standing, key)
	} else {
		l.standing[key] = r
	}
}

// gone returns records without a value for what the last look has not found any more. For Kafka's
// keys a topic that was deleted and created again is the same: what is committed for it now stands.
func (l *commitLog) gone(groups []string, now time.Time) (records []*commitRecord) {
	deleted := map[string]bool{}
	for key, r := range l.standing {
		if r.look == l.looks {
			continue
		}
		l.supersede(key, nil)
		if r.topic == "" || l.stands(key, r.topic) {
			continue
		}
		lost := &commitRecord{group: r.group, topic: r.topic, gone: now}
		lost.committed.Partition = key.at
		records = append(records, lost)
		if _, there := slices.BinarySearch(groups, r.group); !there && !deleted[r.group] {
			deleted[r.group] = true
			records = append(records, &commitRecord{group: r.group, gone: now})
		}
	}
	return records
}

// stands says that there is a commit for the partition under the id that its topic's name has now.
func (l *commitLog) stands(key commitKey, topic string) bool {
	t := l.view.Topic(topic)
	if t == nil {
		return false
	}
	key.at.Topic = t.ID
	return l.standing[key] != nil
}

// close ends what runs by itself.
func (l *commitLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.forget != nil {
		l.forget.Stop()
	}
}

// letGo drops everything when nobody has read for a while. New records still get higher offsets.
func (l *commitLog) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := commitsKept - time.Since(l.asked); left > 0 {
		l.forget.Reset(left)
		return
	}
	l.standing, l.records, l.forget, l.looked = nil, nil, nil, time.Time{}
}

// millis is when the record came to be.
func (r *commitRecord) millis() int64 {
	if !r.gone.IsZero() {
		return r.gone.UnixMilli()
	}
	return r.committed.Time
}

// timestamp is the record's, in milliseconds. Those of a log are in order.
func (r *commitRecord) timestamp() int64 { return r.offset / commitsPerMilli }

// The versions of Kafka's records that are made: older readers know them as well.
const (
	commitKeyVersion   = 1
	commitValueVersion = 3
	groupKeyVersion    = 2
)

// record is the record as Kafka encodes it.
func (r *commitRecord) record() batch.Record {
	b := batch.Record{Offset: r.offset, Timestamp: r.timestamp()}
	if r.topic == "" {
		key := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: r.group}
		b.Key = key.AppendTo(nil)
		return b
	}
	c := &r.committed
	key := kmsg.OffsetCommitKey{Version: commitKeyVersion, Group: r.group, Topic: r.topic, Partition: c.Partition.Index}
	b.Key = key.AppendTo(nil)
	if r.gone.IsZero() {
		value := kmsg.OffsetCommitValue{Version: commitValueVersion, Offset: c.Offset, LeaderEpoch: c.LeaderEpoch,
			Metadata: c.Metadata, CommitTimestamp: c.Time}
		b.Value = value.AppendTo(nil)
	}
	return b
}

// contiguous is how many of some records have offsets without holes: batches that are built have
// none.
func contiguous(records []*commitRecord) int {
	n := 1
	for n < len(records) && records[n].offset == records[0].offset+int64(n) {
		n++
	}
	return n
}

// recordOverhead is how many bytes a record of a batch takes at most, beside key and value.
const recordOverhead = 40

// buildCommits makes a batch of as many records as fit into most bytes.
func buildCommits(run []*commitRecord, most int, atLeastOne bool) (b []byte, taken int, err error) {
	var records []batch.Record
	for size := batch.HeaderLen; taken < len(run); taken++ {
		r := run[taken].record()
		if size += recordOverhead + len(r.Key) + len(r.Value); size > most && !(atLeastOne && taken == 0) {
			break
		}
		records = append(records, r)
	}
	if taken == 0 {
		return nil, 0, nil
	}
	b, err = batch.Build(records, batch.NoProducer(batch.None))
	return b, taken, err
}
