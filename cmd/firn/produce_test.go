package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// turns chooses one partition after the other, and goes on where a new batch begins.
type turns struct{ next int }

func (t *turns) ForTopic(string) kgo.TopicPartitioner        { return t }
func (t *turns) RequiresConsistency(*kgo.Record) bool        { return false }
func (t *turns) Partition(_ *kgo.Record, partitions int) int { return t.next % partitions }
func (t *turns) OnNewBatch()                                 { t.next++ }

// TestRecordsChooseTheirPartition asks as the client does: it puts the choice into the record, and
// where that needs a new batch, says so and asks again.
func TestRecordsChooseTheirPartition(t *testing.T) {
	p := namedPartitioner{&turns{}}.ForTopic("t")
	for _, test := range []struct {
		names int32
		again int // what a second question gets
	}{{-1, 1}, {2, 2}, {-1, 3}, {0, 0}} {
		r := &kgo.Record{Partition: test.names}
		if got, want := p.RequiresConsistency(r), test.names >= 0; got != want {
			t.Errorf("a record with partition %d: %t", test.names, got)
		}
		first := p.Partition(r, 4)
		if test.names >= 0 && first != int(test.names) {
			t.Errorf("a record with partition %d goes to %d", test.names, first)
		}
		r.Partition = int32(first)
		p.(kgo.TopicPartitionerOnNewBatch).OnNewBatch()
		if again := p.Partition(r, 4); again != test.again {
			t.Errorf("a record with partition %d, asked for again, goes to %d, not to %d", test.names, again, test.again)
		}
	}
}

// TestTimestamps holds which times a record may have.
func TestTimestamps(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "-86400001": -86400001, "1767225600000": 1767225600000,
		`"1969-12-31T23:59:59.999Z"`: -1, `"2026-01-01T00:00:00Z"`: 1767225600000} {
		if at, err := parseTimestamp([]byte(text)); err != nil || at.UnixMilli() != want {
			t.Errorf("%s is %d: %v", text, at.UnixMilli(), err)
		}
	}
	for _, text := range []string{"1.5", "true", `"yesterday"`, "9223372036854775807", "-9223372036854775808", "1e30",
		`"0001-01-01T00:00:00Z"`} {
		if at, err := parseTimestamp([]byte(text)); err == nil {
			t.Errorf("%s is %v", text, at)
		}
	}
}
