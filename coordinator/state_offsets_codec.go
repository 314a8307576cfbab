package coordinator

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"firn.dev/segments"
)

// The bytes of committed offsets, in facts and in snapshots: FORMAT.md.

// anyOffsetVersion is of facts with an offset that version 1 has no number for.
const anyOffsetVersion = 2

// plain says that version 1 has a number for what is committed: it writes offset and leader epoch
// plus one, with 0 for a deletion.
func (p *GroupOffset) plain() bool {
	return p.Deleted || p.Offset >= 0 && p.Offset < math.MaxInt64 && p.LeaderEpoch < math.MaxInt32
}

func (o *Offsets) version() byte {
	for i := range o.Partitions {
		if !o.Partitions[i].plain() {
			return anyOffsetVersion
		}
	}
	return factVersion
}

func appendOffsets(dst []byte, o *Offsets, version byte) []byte {
	dst = appendString(dst, o.Group)
	dst = binary.AppendUvarint(dst, o.Version)
	dst = binary.AppendUvarint(dst, o.Epoch)
	dst = binary.AppendVarint(dst, o.Time)
	dst = appendBool(dst, o.Forget)
	dst = binary.AppendUvarint(dst, uint64(len(o.Partitions)))
	for i := range o.Partitions {
		p := &o.Partitions[i]
		dst = appendCommitted(appendPartition(dst, p.Partition), p, version >= anyOffsetVersion)
	}
	return dst
}

func (d *decoder) offsets(version byte) *Offsets {
	o := &Offsets{Group: d.string(), Version: d.uvarint(), Epoch: d.uvarint(), Time: d.varint(), Forget: d.bool()}
	n := d.count(16 + 4)
	for i := 0; i < n && d.err == nil; i++ {
		o.Partitions = append(o.Partitions, d.committed(d.partition(), version >= anyOffsetVersion))
	}
	return o
}

// appendCommitted appends what is committed for a partition; anyOffset chooses the layout that can
// hold every offset.
func appendCommitted(dst []byte, p *GroupOffset, anyOffset bool) []byte {
	switch {
	case anyOffset:
		dst = appendBool(dst, p.Deleted)
		dst = binary.AppendVarint(dst, p.Offset)
		dst = binary.AppendVarint(dst, int64(p.LeaderEpoch))
	case p.Deleted:
		dst = append(dst, 0, 0)
	default:
		dst = binary.AppendUvarint(dst, uint64(p.Offset+1))
		dst = binary.AppendUvarint(dst, uint64(p.LeaderEpoch+1))
	}
	return appendString(dst, p.Metadata)
}

func (d *decoder) committed(at segments.Partition, anyOffset bool) GroupOffset {
	p := GroupOffset{Partition: at}
	if anyOffset {
		p.Deleted, p.Offset = d.bool(), d.varint()
		epoch := d.varint()
		if epoch < -1 || epoch > math.MaxInt32 {
			d.fail("leader epoch %d", epoch)
		}
		p.LeaderEpoch = int32(epoch)
	} else {
		p.Offset, p.LeaderEpoch = d.int64()-1, int32(d.upTo(math.MaxInt32))-1
		p.Deleted = p.Offset < 0
	}
	p.Metadata = d.string()
	return p
}

// hasGroups says whether a snapshot of the state needs the part that version 2 added.
func (s *State) hasGroups() bool { return s.offsetsVersion > 0 || len(s.groups) > 0 }

// hasAnyOffsets says whether a snapshot of the state needs the layout that version 6 added.
func (s *State) hasAnyOffsets() bool {
	for _, g := range s.groups {
		for at, c := range g.offsets {
			if p := c.of(at); !p.plain() {
				return true
			}
		}
	}
	return false
}

func appendGroups(b []byte, s *State, version uint16) []byte {
	b = binary.AppendUvarint(b, s.offsetsVersion)
	b = binary.AppendUvarint(b, uint64(len(s.groups)))
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[name]
		b = appendString(b, name)
		b = binary.AppendUvarint(b, g.forgotten)
		b = binary.AppendVarint(b, g.forgottenTime)
		b = binary.AppendUvarint(b, uint64(len(g.offsets)))
		for _, at := range sortedPartitions(g.offsets) {
			c := g.offsets[at]
			b = binary.AppendUvarint(appendPartition(b, at), c.version)
			b = binary.AppendVarint(b, c.time)
			p := c.of(at)
			b = appendCommitted(b, &p, version >= snapshotAnyOffset)
		}
	}
	return b
}

func (d *decoder) groups(s *State, version uint16) {
	s.offsetsVersion = d.uvarint()
	for i, n := 0, d.count(4); i < n && d.err == nil; i++ {
		name := d.string()
		if s.groups[name] != nil {
			d.fail("group %q twice", name)
		}
		g := &group{forgotten: d.uvarint(), forgottenTime: d.varint(), offsets: map[segments.Partition]committed{}}
		for j, n := 0, d.count(16+6); j < n && d.err == nil; j++ {
			at := d.partition()
			if _, twice := g.offsets[at]; twice {
				d.fail("group %q, partition %s twice", name, at)
			}
			c := committed{version: d.uvarint(), time: d.varint()}
			p := d.committed(at, version >= snapshotAnyOffset)
			c.take(&p)
			g.offsets[at] = c
		}
		s.groups[name] = g
	}
}
