package coordinator

import "firn.dev/segments"

// Besides offsets, a group may store its members, so that the next owner knows them: an entry for a
// partition that no topic has, whose metadata is whatever the owner wants its successor to know. So
// memberships have all that offsets have: versions, journal, snapshots, and they show in a View
// from the same moment.

// memberships is the partition of that entry.
var memberships = segments.Partition{}

// Membership is the entry that stores a group's members; empty: it has none.
func Membership(members []byte) GroupOffset {
	if len(members) == 0 {
		return DeletedOffset(memberships)
	}
	return GroupOffset{Partition: memberships, LeaderEpoch: -1, Metadata: string(members)}
}

// Membership returns what a group has stored of its members, nil if that is nothing.
func (v *View) Membership(name string) []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if g := v.state.groups[name]; g != nil && g.offsets[memberships].metadata != "" {
		return []byte(g.offsets[memberships].metadata)
	}
	return nil
}
