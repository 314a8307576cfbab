package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firn.dev/segments"
)

// AuditOptions give an audit its measures. Zero values mean the defaults, which are
// those of a cluster.
type AuditOptions struct {
	CommitDeadline time.Duration
	Grace          time.Duration // of the collectors: see Node.Unreferenced; an hour
	SealRetention  time.Duration

	// Object is called for each object of the bucket; those that need a second look come last. An
	// error ends the audit.
	Object func(AuditObject) error
}

func (o AuditOptions) withDefaults() AuditOptions {
	if o.CommitDeadline == 0 {
		o.CommitDeadline = DefaultCommitDeadline
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.SealRetention == 0 {
		o.SealRetention = defaultSealRetention
	}
	return o
}

// DefaultGrace is how long a collector waits unless an option says otherwise: far longer than
// clocks differ, or than a reader goes on with an index.
const DefaultGrace = time.Hour

// Reason is why an object is in the bucket.
type Reason string

// Reasons. Nothing should be leaked, missing or unknown.
const (
	Referenced  Reason = "referenced"  // a segment, or an index object, that spans refer to
	Young       Reason = "young"       // a segment that nothing refers to, but its commit or merge may be on its way
	Uncollected Reason = "uncollected" // a segment that nothing refers to, and that a collector will delete in its time
	Leaked      Reason = "leaked"      // … that it should have deleted long ago
	InDoubt     Reason = "in doubt"    // a segment that only spans refer to which contradict others: see Doubt
	Missing     Reason = "missing"     // a segment that spans refer to and that is not there
	Journaled   Reason = "journal"     // of the journal, and in no snapshot yet
	ChainEnd    Reason = "chain end"   // the last of a chain that goes on or is not sealed yet
	Seal        Reason = "seal"        // kept for a late put of the life that it ended
	Snapshot    Reason = "snapshot"    // the newest, or the opening one
	History     Reason = "history"     // an incarnation that was, kept for late recoveries
	Current     Reason = "incarnation" // the current one, or one that begins
	Covered     Reason = "covered"     // a newer snapshot has it; it goes with the next
	Unknown     Reason = "unknown"     // nothing that firn puts there
)

// AuditObject is an object, and why it is there.
type AuditObject struct {
	segments.Object
	Reason Reason
	Detail string // for people
}

// Tally counts objects.
type Tally struct {
	Objects int
	Bytes   int64
}

// AuditReport is what an audit found.
type AuditReport struct {
	Incarnation Incarnation // whose state was looked at; 0 if none ever opened
	Now         time.Time   // by the store's clock, about
	Tallies     map[Reason]Tally
	Leaked      []AuditObject // the first of them
	Missing     []AuditObject // the first of them; nobody knows how large they were
	Doubts      []Doubt       // what contradicts the rest of the journal, and is left out
}

// auditNames is how many of the leaked and of the missing an audit names.
const auditNames = 1000

// Audit says of each object of the bucket why it is there, and finds objects that nothing needs and
// needed objects that are missing. It works from the bucket alone, and writes nothing. A cluster at
// work moves on meanwhile: so the audit looks once more, with the state as it is then, at what
// seems leaked or missing.
//
// It needs memory for the state, 28 bytes for each segment that is referred to (three times that
// while they are gathered), and for what it is not sure of; none for each object listed. It
// reads every index object.
func Audit(ctx context.Context, store segments.Store, opts AuditOptions) (AuditReport, error) {
	a := &audit{AuditOptions: opts.withDefaults(), loader: loader{store, defaultParallel}}
	a.report.Tallies = map[Reason]Tally{}
	if err := a.look(ctx); err != nil {
		return AuditReport{}, err
	}
	a.report.Incarnation, a.report.Doubts = a.base, a.doubtful
	if err := a.list(ctx); err != nil {
		return AuditReport{}, err
	}
	a.report.Now = a.now
	for _, object := range a.ours {
		if err := a.tell(a.coordinators(object)); err != nil {
			return AuditReport{}, err
		}
	}
	if err := a.doubts(ctx); err != nil {
		return AuditReport{}, err
	}
	return a.report, nil
}

// audit is one run of Audit.
type audit struct {
	AuditOptions
	loader
	report AuditReport

	base   Incarnation
	newest *snapshotObject // with covers only; nil if nothing ever opened
	names  map[segments.TopicID]string
	needed needs

	carriers map[string]segments.ID // segments of needed that journal objects carry, by key

	doubtful []Doubt

	now   time.Time         // by the store's clock, about
	ours  []segments.Object // of the coordinator
	loose []segments.Object // segments that nothing referred to
}

// look loads what the bucket says of itself.
func (a *audit) look(ctx context.Context) error {
	_, err := again(ctx, func() (_ struct{}, err error) {
		a.needed, a.names, a.newest = needs{}, map[segments.TopicID]string{}, nil
		if a.base, err = a.newestOpened(ctx); errors.Is(err, ErrEmptyBucket) {
			return struct{}{}, nil
		} else if err != nil {
			return struct{}{}, err
		}
		snapshot, err := a.newestSnapshot(ctx, a.base)
		if err != nil {
			return struct{}{}, err
		}
		chains, err := a.listChains(ctx, snapshot.covers)
		if err != nil {
			return struct{}{}, err
		}
		found, err := a.apply(ctx, snapshot, chains)
		if err != nil {
			return struct{}{}, err
		}
		a.newest = &snapshotObject{incarnation: a.base, n: snapshot.n, covers: snapshot.covers}
		a.doubtful = found.state.Doubts()
		return struct{}{}, a.take(ctx, found.state)
	})
	return err
}

func (a *audit) take(ctx context.Context, state *State) error {
	for id, t := range state.topics {
		a.names[id] = t.Name
	}
	a.carriers = map[string]segments.ID{}
	for _, id := range state.carriers().ids {
		a.carriers[id.Key()] = id
	}
	return a.needed.take(ctx, a.loader, state)
}

// list goes through the bucket.
func (a *audit) list(ctx context.Context) error {
	for object, err := range a.store.List(ctx, "", "") {
		if err != nil {
			return err
		}
		if object.Modified.After(a.now) {
			a.now = object.Modified
		}
		if err := a.object(object); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) object(object segments.Object) error {
	id, index, ok := parseReferredKey(object.Key)
	if carried, carrier := a.carriers[object.Key]; carrier {
		id, ok = carried, true
	}
	if !ok {
		if isCoordinators(object.Key) {
			a.ours = append(a.ours, object)
			return nil
		}
		return a.tell(AuditObject{object, Unknown, "nothing that firn puts there"})
	}
	n := a.needed.find(id, index)
	if n == nil {
		a.loose = append(a.loose, object)
		return nil
	}
	n.seen = true
	return a.tell(AuditObject{object, Referenced, a.needText(n)})
}

func (a *audit) needText(n *need) string {
	at := a.needed.partitions[n.at]
	return fmt.Sprintf("%d spans, one of them of %s/%d", n.spans, a.names[at.Topic], at.Index)
}

func isCoordinators(key string) bool {
	_, _, journal := parseJournalKey(key)
	_, _, snapshot := parseSnapshotKey(key)
	_, incarnation := parseIncarnationKey(key)
	return journal || snapshot || incarnation
}

// tell counts an object, and tells of it.
func (a *audit) tell(o AuditObject) error {
	t := a.report.Tallies[o.Reason]
	a.report.Tallies[o.Reason] = Tally{t.Objects + 1, t.Bytes + o.Size}
	switch {
	case o.Reason == Leaked && len(a.report.Leaked) < auditNames:
		a.report.Leaked = append(a.report.Leaked, o)
	case o.Reason == Missing && len(a.report.Missing) < auditNames:
		a.report.Missing = append(a.report.Missing, o)
	}
	if a.Object == nil {
		return nil
	}
	return a.Object(o)
}

// doubts decides about the segments that nothing refers to, and those that are not there.
func (a *audit) doubts(ctx context.Context) error {
	var missing []need
	for _, n := range a.needed.list {
		if !n.seen {
			missing = append(missing, n)
		}
	}
	leaked := slices.ContainsFunc(a.loose, func(o segments.Object) bool { return a.unreferenced(o).Reason == Leaked })
	if len(missing) > 0 || leaked {
		if err := a.look(ctx); err != nil {
			return err
		}
	}
	for _, o := range a.loose {
		if err := a.tellLoose(ctx, o); err != nil {
			return err
		}
	}
	for _, m := range missing {
		n := a.needed.find(m.id, m.index)
		if n == nil {
			continue
		}
		key := referredKey(m.id, m.index)
		there, err := a.there(ctx, key)
		if err == nil && !there {
			err = a.tell(AuditObject{segments.Object{Key: key}, Missing, a.needText(n)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) tellLoose(ctx context.Context, o segments.Object) error {
	id, index, _ := parseReferredKey(o.Key)
	if n := a.needed.find(id, index); n != nil { // by now
		return a.tell(AuditObject{o, Referenced, a.needText(n)})
	}
	verdict := a.unreferenced(o)
	if verdict.Reason == Leaked {
		if there, err := a.there(ctx, o.Key); err != nil || !there {
			return err // a collector was faster
		}
	}
	return a.tell(verdict)
}

// there says whether an object is in the bucket. It reads one byte of it: some stores take minutes
// to list thousands of objects one by one.
func (a *audit) there(ctx context.Context, key string) (bool, error) {
	_, err := a.store.Get(ctx, key, 0, 1)
	switch {
	case errors.Is(err, segments.ErrNotFound):
		return false, nil
	case errors.Is(err, segments.ErrRange):
		return true, nil
	}
	return err == nil, err
}

// unreferenced gives the verdict on a segment that nothing refers to. A collector deletes it one
// grace after it has first seen it, and sees it first one grace after it could have been needed;
// the audit allows a third grace.
func (a *audit) unreferenced(o segments.Object) AuditObject {
	id, index, _ := parseReferredKey(o.Key)
	for i := range a.doubtful {
		if d := &a.doubtful[i]; d.Span.Segment == id && !index {
			return AuditObject{o, InDoubt, d.String()}
		}
	}
	age, limit := min(a.now.Sub(o.Modified), a.now.Sub(id.Time())), MergeDeadline(a.CommitDeadline)
	verdict := AuditObject{o, Young, "its commit or merge may be on its way"}
	switch {
	case age > limit+a.Grace && a.needed.gone > 0:
		verdict.Reason, verdict.Detail = Uncollected, fmt.Sprintf("nothing is collected, since %d index objects are "+
			"missing, and with them the list of the segments that they refer to", a.needed.gone)
	case age > limit+3*a.Grace:
		verdict.Reason, verdict.Detail = Leaked, fmt.Sprintf("nothing refers to it, and it is %s old", age.Round(time.Second))
	case age > limit+a.Grace:
		verdict.Reason, verdict.Detail = Uncollected, fmt.Sprintf("nothing refers to it, it is %s old, "+
			"and waits for a collector", age.Round(time.Second))
	}
	return verdict
}
