package segments

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names a segment. It is a ULID: unique, and ordered by the time at which the segment was
// sealed. The order of ids says nothing about the order of commits.
type ID [16]byte

// NewID returns a new id stamped with the time now.
func NewID(now time.Time) ID {
	return ID(ulid.MustNew(ulid.Timestamp(now), rand.Reader))
}

// ParseID reads the 26 characters that String writes.
func ParseID(s string) (ID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return ID{}, fmt.Errorf("segment id %q: %w", s, err)
	}
	return ID(id), nil
}

func (id ID) String() string { return ulid.ULID(id).String() }

// Time is when the segment was sealed, to the millisecond, by the clock of the node that sealed it.
func (id ID) Time() time.Time { return ulid.Time(ulid.ULID(id).Time()) }

// Prefix is where every segment lies in the bucket.
const Prefix = "segments/"

// Key is where the segment lies in the bucket.
func (id ID) Key() string { return Prefix + id.String() }

// TopicID is Kafka's topic id (KIP-516): a random UUID that a topic keeps for life and that is
// never used again.
type TopicID [16]byte

// NewTopicID returns a random (version 4) id. Like Kafka it never returns one whose text begins
// with a dash, which command lines would take for a flag.
func NewTopicID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:])
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// String is the unpadded URL-safe base64 that Kafka's own tools print.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Partition names one partition of one topic.
type Partition struct {
	Topic TopicID
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Index) }
