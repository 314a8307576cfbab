package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report is the judgement.
type Report struct {
	Sent         int64
	Acknowledged int64
	Read         int64 // by all readers together
	Records      int64 // that the partitions hold at the end
	Retried      int64 // records that are there more than once, and may be
	MaybeWritten int64 // never acknowledged, and there
	MaybeNot     int64 // never acknowledged, and not there
	Faults       map[Kind]int
	First        []Fault // the first of them
	Phases       map[string]*Phase
}

// Phase is what happened while something went on. A fault is counted where its record was
// acknowledged, if it was.
type Phase struct {
	Acknowledged int64
	Read         int64
	Faults       map[Kind]int
}

func newPhase() *Phase { return &Phase{Faults: map[Kind]int{}} }

// Err says what is wrong, or nil.
func (r Report) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, "%d %s, ", r.Faults[kind], kind)
	}
	for _, fault := range r.First {
		fmt.Fprintf(&b, "\n  %v", fault)
	}
	return fmt.Errorf("the history is wrong: %s", b.String())
}

// Finish judges the whole history. The final reader has read every partition from offset 0 to its
// end, when nobody wrote any more.
func (c *Checker) Finish(final *Reader) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	for partition, log := range c.logs {
		end := final.next[partition]
		for offset := end; offset < int64(len(log)); offset++ {
			if log[offset].taken {
				c.fault(Lost, c.phaseOf(partition, log[offset].record), partition, offset,
					"%v was there, and the partition ends at %d", log[offset].record, end)
			}
		}
		c.walk(partition, log[:min(end, int64(len(log)))])
	}
	for s, outcomes := range c.sent {
		c.settle(s, outcomes)
	}
	return c.report
}

// phaseOf is the phase in which a record was acknowledged.
func (c *Checker) phaseOf(partition int32, r Record) int32 {
	return c.sent[stream{r.Producer, partition}][r.Number].phase
}

// walk goes through a partition as it is at the end, and looks at the order of each producer's
// records and at how often each is there.
func (c *Checker) walk(partition int32, log []slot) {
	latest := map[int32]int64{} // the highest number so far of each producer
	for offset, s := range log {
		if !s.taken {
			continue // the final reader has complained about it
		}
		c.report.Records++
		r := s.record
		o := &c.sent[stream{r.Producer, partition}][r.Number]
		last, any := latest[r.Producer]
		switch {
		case o.found && c.retries && o.retriable():
			c.report.Retried++
		case o.found:
			c.fault(Duplicate, o.phase, partition, int64(offset), "%v is there a second time", r)
		case any && r.Number < last:
			c.fault(Reordered, o.phase, partition, int64(offset), "%v comes behind number %d", r, last)
		default:
			latest[r.Producer] = r.Number
		}
		o.found = true
	}
}

// settle looks for each record that was sent.
func (c *Checker) settle(s stream, outcomes []outcome) {
	for number, o := range outcomes {
		switch {
		case o.found && o.answered < 0:
			c.report.MaybeWritten++
		case !o.found && o.answered < 0:
			c.report.MaybeNot++
		case !o.found:
			c.fault(Lost, o.phase, s.partition, -1, "number %d of producer %d was acknowledged and is not there", number,
				s.producer)
		}
	}
}
