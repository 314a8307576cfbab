package coordinator

import (
	"fmt"
	"time"

	"firn.dev/segments"
)

// coordinators says why an object of this package is in the bucket: what tidier keeps, and why.
func (a *audit) coordinators(o segments.Object) AuditObject {
	newest := a.newest
	if newest == nil { // nothing ever opened
		newest = &snapshotObject{}
	}
	t := tidier{in: a.base, retention: a.SealRetention}
	if t.needless(o, newest, a.now.Sub(o.Modified) > a.SealRetention) {
		return AuditObject{o, Covered, "a newer snapshot has it; it goes with the next"}
	}
	until := "until " + o.Modified.Add(a.SealRetention).UTC().Format(time.RFC3339)
	if in, n, ok := parseSnapshotKey(o.Key); ok {
		return a.snapshotReason(o, in, n, until)
	}
	if in, ok := parseIncarnationKey(o.Key); ok {
		if in < a.base {
			return AuditObject{o, History, "for recoveries that began then, " + until}
		}
		return AuditObject{o, Current, ""}
	}
	life, n, _ := parseJournalKey(o.Key)
	switch cov, covered := newest.covers[life]; {
	case !covered || n > cov.upTo:
		return AuditObject{o, Journaled, "no snapshot has it yet"}
	case cov.sealed:
		return AuditObject{o, Seal, "for a late put of the life that it ended, " + until}
	}
	return AuditObject{o, ChainEnd, "so that a recovery finds where the chain ends"}
}

func (a *audit) snapshotReason(o segments.Object, in Incarnation, n uint64, until string) AuditObject {
	switch {
	case in < a.base:
		return AuditObject{o, History, "says that its incarnation never opened, " + until}
	case in > a.base:
		return AuditObject{o, Snapshot, "of an incarnation that begins, or never will"}
	case n == 0:
		return AuditObject{o, Snapshot, fmt.Sprintf("says that incarnation %d opened", in)}
	}
	return AuditObject{o, Snapshot, fmt.Sprintf("of incarnation %d, the newest", in)}
}
