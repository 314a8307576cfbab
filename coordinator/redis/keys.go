package redis

import (
	"encoding/binary"
	"fmt"
	"slices"

	"firn.dev/segments"
)

// shard is the part of the state that lies in one slot of a Redis Cluster, and so is changed by one
// script at a time: its hash tag, which every key begins with.
type shard struct{ tag string }

func newShard(prefix string, number int) shard {
	return shard{fmt.Sprintf("{firn:%s:%d}", prefix, number)}
}

// current names the generation that is open: a hash of generation, server, cluster.
func (s shard) current() string { return s.tag + ":current" }

// generations is a sorted set of all generations whose keys may exist, by the time
// at which loading began.
func (s shard) generations() string { return s.tag + ":generations" }

// recovering is a hash of the newest recovery that said that it lives: see lua/recovering.lua.
func (s shard) recovering() string { return s.tag + ":recovering" }

// generation is one load of the state: a new one for each try to open an incarnation, so that no
// two tries share a key. Its name begins with the incarnation.
func (s shard) generation(name string) generation { return generation{s, name} }

type generation struct {
	shard
	name string
}

func (g generation) key(what string) string { return g.tag + ":" + g.name + ":" + what }

// The keys of a generation; doc.go has the table.
func (g generation) counters() string { return g.key("counters") }
func (g generation) usable() string   { return g.key("usable") }
func (g generation) ends() string     { return g.key("ends") }
func (g generation) starts() string   { return g.key("starts") }
func (g generation) topics() string   { return g.key("topics") }
func (g generation) names() string    { return g.key("names") }
func (g generation) settling() string { return g.key("settling") }
func (g generation) merges() string   { return g.key("merges") }
func (g generation) stream() string   { return g.key("stream") }
func (g generation) pending() string  { return g.key("pending") }
func (g generation) order() string    { return g.key("order") }
func (g generation) islands() string  { return g.key("islands") }
func (g generation) leases() string   { return g.key("leases") }
func (g generation) nodes() string    { return g.key("nodes") }
func (g generation) ids() string      { return g.key("ids") }
func (g generation) writers() string  { return g.key("writers") }

// transaction is the key of what is decided of a producer id that a transactional id has.
func (g generation) transaction(producer int64) string {
	return g.key(fmt.Sprintf("transaction:%d", producer))
}

// commits is the key of what is remembered of commits: one for each second of their
// segments' times, so that Redis drops it as a whole when the last of them may not be
// committed again any more.
func (g generation) commits(id segments.ID) string { return g.commitsOf(id.Time().Unix()) }

func (g generation) commitsOf(second int64) string { return g.key(fmt.Sprintf("commits:%d", second)) }

// change is the key of what is remembered of one change. It expires.
func (g generation) change(id segments.ID) string { return g.key("change:" + string(id[:])) }

// producers is the key of what one partition knows of its idempotent producers. It takes
// the partition's field name.
func (g generation) producers(field string) string {
	at := parsePartition(field)
	return g.key("producers:" + at.String())
}

// keySlots is how many hashes a partition's keyed requests are spread over, by the time of their
// commits: each holds those of half an expiration, and Redis drops it as a whole when the last of
// them has expired. So nobody has to look for expired ones.
const keySlots = 4

// keySlot names one of them.
func (g generation) keySlot(at segments.Partition, slot int64) string {
	return g.key(fmt.Sprintf("keyed:%s:%d", at, slot))
}

func (g generation) keySlots(at segments.Partition) []string {
	return slots(func(slot int64) string { return g.keySlot(at, slot) })
}

// requestSlot names one of the hashes of what a topic knows of keyed requests, whichever partitions
// remember them. The slots are divided as those of partitions.
func (g generation) requestSlot(topic segments.TopicID, slot int64) string {
	return g.key(fmt.Sprintf("requests:%s:%d", topic, slot))
}

func (g generation) requestSlots(topic segments.TopicID) []string {
	return slots(func(slot int64) string { return g.requestSlot(topic, slot) })
}

func slots(name func(slot int64) string) []string {
	names := make([]string, keySlots)
	for i := range names {
		names[i] = name(int64(i))
	}
	return names
}

// ofPartition are the keys of one partition, and those of its topic.
func (g generation) ofPartition(at segments.Partition) []string {
	return slices.Concat(g.keySlots(at), g.requestSlots(at.Topic), []string{g.producers(partitionField(at))})
}

// all are the keys of a generation without those of single partitions, and without those that
// expire: stream, commits and changes. The ends come last: they tell which partitions there are.
func (g generation) all() []string {
	return []string{
		g.counters(), g.usable(), g.starts(), g.topics(), g.names(), g.settling(), g.merges(), g.pending(),
		g.order(), g.islands(), g.leases(), g.nodes(), g.ids(), g.writers(), g.ends(),
	}
}

// partitionLen is the length of a partition's name in hash fields and requests: topic id, index.
const partitionLen = 16 + 4

func appendPartition(b []byte, at segments.Partition) []byte {
	return binary.BigEndian.AppendUint32(append(b, at.Topic[:]...), uint32(at.Index))
}

func partitionField(at segments.Partition) string { return string(appendPartition(nil, at)) }

// parsePartition reads what appendPartition wrote. The caller knows that it is long enough.
func parsePartition(field string) segments.Partition {
	index := binary.BigEndian.Uint32([]byte(field[16:partitionLen]))
	return segments.Partition{Topic: segments.TopicID([]byte(field[:16])), Index: int32(index)}
}
