package coordinator

import (
	"maps"
	"slices"

	"firn.dev/segments"
)

// group holds what a consumer group has committed. A deletion leaves a trace with its version, so
// that a commit which was decided before it and is applied after it stays deleted. After a day
// nothing that old can be on its way any more, and forgetOffsets removes the traces.
type group struct {
	forgotten     uint64 // version of the newest deletion of the whole group; 0: never
	forgottenTime int64
	offsets       map[segments.Partition]committed
}

// committed is what stands for one partition of a group. A deleted one is the trace of a deletion.
type committed struct {
	version     uint64
	time        int64
	offset      int64
	leaderEpoch int32
	deleted     bool
	metadata    string
}

func (c *committed) take(p *GroupOffset) {
	c.offset, c.leaderEpoch, c.deleted, c.metadata = p.Offset, p.LeaderEpoch, p.Deleted, p.Metadata
}

func (c *committed) of(at segments.Partition) GroupOffset {
	return GroupOffset{at, c.offset, c.leaderEpoch, c.deleted, c.metadata}
}

func (g *group) clone() *group {
	c := *g
	c.offsets = maps.Clone(g.offsets)
	return &c
}

func (g *group) empty() bool { return g.forgotten == 0 && len(g.offsets) == 0 }

// exists says that the group has members stored, or has committed offsets, the last of which may
// have been deleted lately.
func (g *group) exists() bool {
	for at, c := range g.offsets {
		if at != memberships || !c.deleted {
			return true
		}
	}
	return false
}

// applyOffsets takes in what a group committed or gave up.
func (s *State) applyOffsets(o *Offsets) {
	s.offsetsVersion = max(s.offsetsVersion, o.Version)
	if s.bare {
		return
	}
	g := s.groups[o.Group]
	if g == nil {
		g = &group{offsets: map[segments.Partition]committed{}}
	}
	if o.Forget && o.Version > g.forgotten {
		g.forgotten, g.forgottenTime = o.Version, o.Time
		maps.DeleteFunc(g.offsets, func(_ segments.Partition, c committed) bool { return c.version <= o.Version })
	}
	for i := range o.Partitions {
		p := &o.Partitions[i]
		if t := s.topics[p.Partition.Topic]; t != nil && t.Deleted {
			continue
		}
		if o.Version <= g.forgotten || o.Version <= g.offsets[p.Partition].version {
			continue
		}
		c := committed{version: o.Version, time: o.Time}
		c.take(p)
		g.offsets[p.Partition] = c
	}
	if !g.empty() {
		s.groups[o.Group] = g
	}
}

// dropOffsets deletes what groups committed for a topic that is deleted.
func (s *State) dropOffsets(topic segments.TopicID) {
	for name, g := range s.groups {
		maps.DeleteFunc(g.offsets, func(at segments.Partition, _ committed) bool { return at.Topic == topic })
		if g.empty() {
			delete(s.groups, name)
		}
	}
}

// forgetOffsets takes away the traces of deletions that were decided before a time.
func (s *State) forgetOffsets(before int64) {
	for name, g := range s.groups {
		maps.DeleteFunc(g.offsets, func(_ segments.Partition, c committed) bool { return c.deleted && c.time < before })
		if g.forgottenTime < before {
			g.forgotten, g.forgottenTime = 0, 0
		}
		if g.empty() {
			delete(s.groups, name)
		}
	}
}

// OffsetsVersion is the highest version of an Offsets fact so far: a coordinator that loads the
// state counts on from it.
func (s *State) OffsetsVersion() uint64 { return s.offsetsVersion }

// CommittedOffset is what a group committed for a partition.
type CommittedOffset struct {
	GroupOffset
	Time int64 // of the commit, in milliseconds by the coordinator's clock
}

func (g *group) committed(at segments.Partition) (CommittedOffset, bool) {
	c, known := g.offsets[at]
	return CommittedOffset{c.of(at), c.time}, known && !c.deleted
}

// Committed returns what a group has committed for a partition; false if it has committed nothing.
// Unlike all else in a View it shows from the moment of its decision, and may be undone, for at
// most about a second, if the coordinator is lost.
func (v *View) Committed(name string, at segments.Partition) (CommittedOffset, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if g := v.state.groups[name]; g != nil {
		return g.committed(at)
	}
	return CommittedOffset{}, false
}

// CommittedOffsets returns all that a group has committed, ordered by partition.
func (v *View) CommittedOffsets(name string) []CommittedOffset {
	v.mu.RLock()
	defer v.mu.RUnlock()
	g := v.state.groups[name]
	if g == nil {
		return nil
	}
	all := make([]CommittedOffset, 0, len(g.offsets))
	for _, at := range sortedPartitions(g.offsets) {
		if c, there := g.committed(at); there && at != memberships {
			all = append(all, c)
		}
	}
	return all
}

// EachCommitted tells what a group has committed for each partition, as long as there is one, and
// where the partition stands: in no order, all of one moment. The function must not call the View.
func (v *View) EachCommitted(name string, each func(CommittedOffset, PartitionInfo)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	g := v.state.groups[name]
	if g == nil {
		return
	}
	for at := range g.offsets {
		v.tellCommitted(g, at, each)
	}
}

// EachCommittedOf is EachCommitted for the partitions of one topic.
func (v *View) EachCommittedOf(name string, topic segments.TopicID, each func(CommittedOffset, PartitionInfo)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	g, t := v.state.groups[name], v.topics[topic]
	if g == nil || t == nil {
		return
	}
	if len(g.offsets) > int(t.Partitions) {
		for i := range t.Partitions {
			v.tellCommitted(g, segments.Partition{Topic: topic, Index: i}, each)
		}
		return
	}
	for at := range g.offsets {
		if at.Topic == topic {
			v.tellCommitted(g, at, each)
		}
	}
}

func (v *View) tellCommitted(g *group, at segments.Partition, each func(CommittedOffset, PartitionInfo)) {
	c, committed := g.committed(at)
	if info, exists := v.partition(at); committed && exists {
		each(c, info)
	}
}

// CommittedCount is for how many partitions a group has committed offsets, at most.
func (v *View) CommittedCount(name string) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if g := v.state.groups[name]; g != nil {
		return len(g.offsets)
	}
	return 0
}

// GroupCount is how many groups have committed offsets, or lately had.
func (v *View) GroupCount() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.state.groups)
}

// GroupExists says that a group has committed offsets, or stored its members. One whose last offset
// was deleted lately exists until it is forgotten.
func (v *View) GroupExists(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	g := v.state.groups[name]
	return g != nil && g.exists()
}

// Groups returns the names of the groups that exist, in order.
func (v *View) Groups() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var names []string
	for name, g := range v.state.groups {
		if g.exists() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
