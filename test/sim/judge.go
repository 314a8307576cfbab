package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/segments"
	"firn.dev/test/linear"
)

// judge knows what clients were told, and finds contradictions in it. Records are known by their
// values, each of which is sent by one client, in one request.
type judge struct {
	mu         sync.Mutex
	partitions map[segments.Partition]*history
	positions  map[string][]position // of every record that was served
	refused    map[string]string     // records of which clients know that they are not written, and why
	groups     map[string]*groupHistory
	offsets    map[decision]*groupCommit
	opened     []incarnationOpened
	begun      time.Time
	// bytes that the newest records of a partition have to have before older ones may go; 0: older
	// ones stay
	retention int64
	compact   bool  // a record may go when a later one has its key
	verdict   error // the first contradiction
	over      chan struct{}

	acknowledged, served int
	expired, compacted   int // records that are gone in the end, by retention and by compaction
}

// position is where a record lies.
type position struct {
	at     segments.Partition
	offset int64
}

// history is what is known of a partition.
type history struct {
	served  map[int64]string // what was served at an offset, for ever
	by      map[int64]string // and by whom first
	acked   map[int64]string // what was acknowledged at an offset
	start   int64            // below it somebody may have deleted records
	deleted bool             // somebody may have deleted the topic
	writes  []linear.Operation
	reads   []linear.Operation
}

// Of a partition so many operations at most go into its history for porcupine.
const (
	maxWrites = 400
	maxReads  = 400
)

func newJudge(p *Plan) *judge {
	return &judge{retention: int64(p.Retention), compact: p.Compact, partitions: map[segments.Partition]*history{},
		positions: map[string][]position{}, refused: map[string]string{},
		groups: map[string]*groupHistory{}, offsets: map[decision]*groupCommit{},
		begun: time.Now(), over: make(chan struct{})}
}

// violated notes a contradiction.
func (j *judge) violated(format string, args ...any) {
	if j.verdict == nil {
		j.verdict = fmt.Errorf(format, args...)
		close(j.over)
	}
}

func (j *judge) violation(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.violated(format, args...)
}

func (j *judge) found() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.verdict
}

func (j *judge) history(at segments.Partition) *history {
	h := j.partitions[at]
	if h == nil {
		h = &history{served: map[int64]string{}, by: map[int64]string{}, acked: map[int64]string{}}
		j.partitions[at] = h
	}
	return h
}

func (j *judge) now() int64 { return int64(time.Since(j.begun)) }

// write is a request of a client on its way: it is one append, however often it is tried.
type write struct {
	at      segments.Partition
	records []string
	call    int64
}

func (j *judge) sends(at segments.Partition, records []string) *write {
	j.mu.Lock()
	defer j.mu.Unlock()
	return &write{at, records, j.now()}
}

// operation notes what became of a write.
func (j *judge) operation(w *write, o linear.Outcome, offset int64) {
	h := j.history(w.at)
	if len(h.writes) < maxWrites {
		h.writes = append(h.writes, linear.Operation{Call: w.call, Return: j.now(), Input: linear.Input{Append: w.records},
			Output: linear.Output{Outcome: o, Offset: offset}})
	}
}

// acknowledges notes that a client was told where its records are.
func (j *judge) acknowledges(who string, w *write, offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation(w, linear.Acknowledged, offset)
	h := j.history(w.at)
	for i, record := range w.records {
		o := offset + int64(i)
		if other, taken := h.acked[o]; taken && other != record {
			j.violated("P2: offset %d of %s is acknowledged for %s by %s, and was for %s", o, w.at, record, who, other)
		}
		if other, taken := h.served[o]; taken && other != record {
			j.violated("P2: offset %d of %s is acknowledged for %s by %s, and %s was served there by %s", o, w.at, record, who,
				other, h.by[o])
		}
		h.acked[o] = record
		j.acknowledged++
		j.placed(position{w.at, o}, record, who)
	}
}

// gaveUp notes that a client does not know what became of its records.
func (j *judge) gaveUp(w *write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation(w, linear.Unknown, -1)
}

// gaveUpAnywhere is the same for records of a request to a topic: they may come to any of its
// partitions.
func (j *judge) gaveUpAnywhere(call int64, records []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for at := range j.partitions {
		for _, r := range records {
			j.operation(&write{at, []string{r}, call}, linear.Unknown, -1)
		}
	}
}

// refuses notes that a client was told that its records are not written, and never will be.
func (j *judge) refuses(who string, w *write, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation(w, linear.Failed, -1)
	for _, r := range w.records {
		j.refused[r] = fmt.Sprintf("%s (%v)", who, why)
		if len(j.positions[r]) > 0 {
			j.violated("%s was served, and %s says that it is not written: %v", r, who, why)
		}
	}
}

// placed notes where a record is. It is nowhere else.
func (j *judge) placed(p position, record, who string) {
	if why, refused := j.refused[record]; refused {
		j.violated("%s is at offset %d of %s, says %s, and was not written, says %s", record, p.offset, p.at, who, why)
	}
	known := j.positions[record]
	if slices.Contains(known, p) {
		return
	}
	if len(known) > 0 && !j.history(known[0].at).deleted { // a topic of the same name gets it once more
		j.violated("P4: %s is at offset %d of %s, says %s, and at offset %d of %s", record, p.offset, p.at, who,
			known[0].offset, known[0].at)
	}
	j.positions[record] = append(known, p)
}

// serves notes what a reader was given from an offset on.
func (j *judge) serves(who string, at segments.Partition, call int64, offsets []int64, records []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.history(at)
	for i, o := range offsets {
		if i > 0 && o != offsets[i-1]+1 && (!j.compact || o <= offsets[i-1]) {
			j.violated("P3: %s serves offset %d of %s, and then %d", who, offsets[i-1], at, o)
		}
		before, known := h.served[o]
		switch {
		case known && before != records[i]:
			j.violated("P2: %s serves %s at offset %d of %s, and %s served %s", who, records[i], o, at, h.by[o], before)
		case known:
			continue
		}
		if acked, known := h.acked[o]; known && acked != records[i] {
			j.violated("P2: %s serves %s at offset %d of %s, which was acknowledged for %s", who, records[i], o, at, acked)
		}
		h.served[o], h.by[o] = records[i], who
		j.served++
		j.placed(position{at, o}, records[i], who)
	}
	if len(offsets) > 0 && len(h.reads) < maxReads && !j.compact {
		h.reads = append(h.reads, linear.Operation{Call: call, Return: j.now(), Input: linear.Input{Offset: offsets[0]},
			Output: linear.Output{Records: records}})
	}
}

// deletes notes that somebody wants records deleted: from now on they may be gone.
func (j *judge) deletes(at segments.Partition, below int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.history(at)
	h.start = max(h.start, below)
}

// deletesTopic is the same for a whole topic.
func (j *judge) deletesTopic(id segments.TopicID, partitions int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range partitions {
		j.history(segments.Partition{Topic: id, Index: i}).deleted = true
	}
}

// whole is a partition as somebody reads it in the end.
type whole struct {
	start, end int64
	bytes      int64
	records    map[int64]string
}

// ends compares what somebody serves in the end with what was promised.
func (j *judge) ends(who string, log map[segments.Partition]whole) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.expired, j.compacted = 0, 0
	for at, h := range j.partitions {
		got, there := log[at]
		if h.deleted {
			continue
		}
		if !there && len(h.acked)+len(h.served) > 0 {
			j.violated("P1: %s does not know partition %s, of which %d records were acknowledged", who, at, len(h.acked))
			continue
		}
		if got.start > h.start && (j.retention == 0 || got.bytes < j.retention) {
			j.violated("P1: %s begins %s at offset %d, where %d bytes are left, and nobody asked for more than %d to be deleted",
				who, at, got.start, got.bytes, h.start)
		}
		for o := got.start; o < got.end && !j.compact; o++ {
			if _, there := got.records[o]; !there {
				j.violated("P3: %s has no record at offset %d of %s, which goes from %d to %d", who, o, at, got.start, got.end)
			}
		}
		j.expired += int(max(0, got.start-h.start))
		j.compacted += int(got.end-got.start) - len(got.records)
		last := lastOfKeys(got.records)
		for _, promised := range []map[int64]string{h.acked, h.served} {
			for o, record := range promised {
				if _, there := got.records[o]; j.compact && !there && last[keyOf(record)] > o {
					continue
				}
				if o >= got.start && got.records[o] != record {
					j.violated("P1: %s has %q at offset %d of %s, which goes from %d to %d: %s was acknowledged or served there", who,
						got.records[o], o, at, got.start, got.end, record)
				}
			}
		}
		j.ordered(who, at, got)
	}
}

// lastOfKeys gives for each key the offset of its last record.
func lastOfKeys(records map[int64]string) map[string]int64 {
	last := map[string]int64{}
	for o, r := range records {
		last[keyOf(r)] = max(last[keyOf(r)], o)
	}
	return last
}

// ordered checks that the records of each client are in the order in which it sent them, if it
// waits for each answer. Names of records are client, dot, number.
func (j *judge) ordered(who string, at segments.Partition, log whole) {
	last := map[string]int{}
	for _, o := range slices.Sorted(maps.Keys(log.records)) {
		client, number, _ := strings.Cut(log.records[o], ".")
		var n int
		if _, err := fmt.Sscan(number, &n); err != nil {
			j.violated("%s serves %q, which nobody wrote", who, log.records[o])
			continue
		}
		if n <= last[client] && !strings.HasPrefix(client, "plain") && !strings.HasPrefix(client, "last") {
			j.violated("P3: %s has record %d of %s behind its record %d, in %s", who, n, client, last[client], at)
		}
		last[client] = n
	}
}

// linearizable has porcupine judge the histories.
func (j *judge) linearizable() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for at, h := range j.partitions {
		// Of a deleted topic nobody knows which of the requests that were made again under its name it
		// still got.
		if len(h.writes) == maxWrites || h.deleted {
			continue
		}
		if ok, explanation := linear.Check(slices.Concat(h.writes, h.reads)); !ok {
			j.violated("porcupine: %s: %s", at, explanation)
		}
	}
	j.committedOffsets()
}
