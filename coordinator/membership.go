package coordinator

import "firn.dev/segments"

// Besides offsets, a group may store who its members are, so that the next owner knows them: an entry for a partition that no topic has, whose metadata
// is whatever the owner wants its successor to know. So it has all that offsets have: versions, journal, snapshots, and the same moment from which it shows.

// memberships is the partition of that entry.
var memberships = segments.Partition{}

// Membership is the entry that stores a group's members; empty: it has none.
func Membership(members []byte) GroupOffset {
	if len(members) == 0 {
		return DeletedOffset(memberships)
	}
	return GroupOffset{Partition: memberships, LeaderEpoch: -1, Metadata: string(members)}
}

// Memberships returns what groups have stored of their members, by group, of those that the caller wants.
func (v *View) Memberships(want func(group string) bool) map[string][]byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	found := map[string][]byte{}
	for name, g := range v.state.groups {
		if c := g.offsets[memberships]; c.metadata != "" && want(name) {
			found[name] = []byte(c.metadata)
		}
	}
	return found
}
