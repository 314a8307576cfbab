package coordinator

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"firn.dev/segments"
)

// The bytes of committed offsets, in facts and in snapshots: FORMAT.md.

func appendOffsets(dst []byte, o *Offsets) []byte {
	dst = appendString(dst, o.Group)
	dst = binary.AppendUvarint(dst, o.Version)
	dst = binary.AppendUvarint(dst, o.Epoch)
	dst = binary.AppendVarint(dst, o.Time)
	dst = appendBool(dst, o.Forget)
	dst = binary.AppendUvarint(dst, uint64(len(o.Partitions)))
	for i := range o.Partitions {
		p := &o.Partitions[i]
		dst = appendCommitted(appendPartition(dst, p.Partition), p.Offset, p.LeaderEpoch, p.Metadata)
	}
	return dst
}

func (d *decoder) offsets() *Offsets {
	o := &Offsets{Group: d.string(), Version: d.uvarint(), Epoch: d.uvarint(), Time: d.varint(), Forget: d.bool()}
	n := d.count(16 + 4)
	for i := 0; i < n && d.err == nil; i++ {
		p := GroupOffset{Partition: d.partition()}
		p.Offset, p.LeaderEpoch, p.Metadata = d.committed()
		o.Partitions = append(o.Partitions, p)
	}
	return o
}

// appendCommitted appends an offset and a leader epoch, both plus one, because -1 means none, and the metadata.
func appendCommitted(dst []byte, offset int64, leaderEpoch int32, metadata string) []byte {
	dst = binary.AppendUvarint(dst, uint64(offset+1))
	dst = binary.AppendUvarint(dst, uint64(leaderEpoch+1))
	return appendString(dst, metadata)
}

func (d *decoder) committed() (offset int64, leaderEpoch int32, metadata string) {
	return d.int64() - 1, int32(d.upTo(math.MaxInt32)) - 1, d.string()
}

// hasGroups says whether a snapshot of the state needs the part that version 2 added.
func (s *State) hasGroups() bool { return s.offsetsVersion > 0 || len(s.groups) > 0 }

func appendGroups(b []byte, s *State) []byte {
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
			b = appendCommitted(b, c.offset, c.leaderEpoch, c.metadata)
		}
	}
	return b
}

func (d *decoder) groups(s *State) {
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
			c.offset, c.leaderEpoch, c.metadata = d.committed()
			g.offsets[at] = c
		}
		s.groups[name] = g
	}
}
