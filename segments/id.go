package segments

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names a segment. It is a ULID: unique, and ordered by the time at which the segment was
// sealed. The order of ids says nothing about the order of commits.
//
// The id of a segment that a journal object carries says which: it is the id of the life that the
// object is of, with the object's number in bytes 10 to 12, in bytes 13 to 15 how many seconds
// after the beginning of the life the segment was sealed, and the highest bit set, which no time
// needs before the year 6429.
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

// Time is when the segment was sealed, by the clock of the node that sealed it: to the millisecond,
// or to the second if a journal object carries it.
func (id ID) Time() time.Time {
	life, _, after, carried := id.carrier()
	if !carried {
		return ulid.Time(ulid.ULID(id).Time())
	}
	return life.Time().Add(after)
}

// Prefix is where every segment lies in the bucket, but for those that journal objects carry.
const Prefix = "segments/"

// Key is where the segment lies in the bucket: an object of its own, or the beginning of a journal
// object.
func (id ID) Key() string {
	if life, n, carried := id.Carrier(); carried {
		return JournalKey(life.String(), n)
	}
	return Prefix + id.String()
}

// JournalPrefix is where journal objects lie in the bucket.
const JournalPrefix = "journal/"

// JournalKey is where an object of a life's journal lies.
func JournalKey(life string, n uint64) string {
	return fmt.Sprintf("%s%s/%020d", JournalPrefix, life, n)
}

const (
	carriedBit     = 0x80    // of the first byte
	mostCarriers   = 1 << 24 // objects of a life that may carry segments
	longestCarrier = 1 << 24 // seconds of a life in which they may
)

// NewLifeID returns an id for a life that begins now, whose journal may carry segments.
func NewLifeID(now time.Time) ID {
	id := NewID(now)
	clear(id[10:])
	return id
}

// CarriedID returns the id of a segment that is sealed now and carried by an object of a life's
// journal. It returns false if there is none: the life was not named by NewLifeID, or is too old.
func CarriedID(life ID, n uint64, now time.Time) (ID, bool) {
	after := now.Sub(life.Time()) / time.Second
	if [6]byte(life[10:]) != [6]byte{} || life[0]&carriedBit != 0 || n >= mostCarriers ||
		after < 0 || after >= longestCarrier {
		return ID{}, false
	}
	id := life
	id[0] |= carriedBit
	binary.BigEndian.PutUint64(id[8:], binary.BigEndian.Uint64(id[8:])|n<<24|uint64(after))
	return id, true
}

// Carrier returns the life and the number of the journal object that carries the segment, if one
// does.
func (id ID) Carrier() (life ID, n uint64, carried bool) {
	life, n, _, carried = id.carrier()
	return life, n, carried
}

func (id ID) carrier() (life ID, n uint64, after time.Duration, carried bool) {
	if id[0]&carriedBit == 0 {
		return ID{}, 0, 0, false
	}
	low := binary.BigEndian.Uint64(id[8:])
	life = id
	life[0] &^= carriedBit
	clear(life[10:])
	return life, low >> 24 & (mostCarriers - 1), time.Duration(low&(longestCarrier-1)) * time.Second, true
}

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
