package coordinator

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"firn.dev/segments"
)

// Describe writes what an object of the bucket says, as text for people. It knows the
// objects of this package by their keys: journal objects, snapshots, incarnations and index
// objects. For a damaged object it returns an error that says what is wrong with it, for one
// of a newer version ErrNewer.
func Describe(w io.Writer, key string, object []byte) error {
	p := &printer{w: w}
	var err error
	switch {
	case strings.HasPrefix(key, journalPrefix):
		err = p.journal(object)
	case strings.HasPrefix(key, snapshotPrefix):
		err = p.snapshot(object)
	case strings.HasPrefix(key, incarnationPrefix):
		err = p.incarnation(object)
	case strings.HasPrefix(key, indexPrefix):
		err = p.index(object)
	default:
		err = fmt.Errorf("%w: not a key of the coordinator", ErrMalformed)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return p.err
}

// printer writes lines until the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (p *printer) journal(object []byte) error {
	o, err := decodeJournalObject(object)
	if err != nil {
		return err
	}
	facts, err := o.decodeFacts()
	if err != nil {
		return err
	}
	p.linef("journal object %d of life %s: %s, incarnation %d, %d facts, %d bytes",
		o.n, o.life, o.kind, o.incarnation, len(facts), len(object))
	if o.nonce != (Nonce{}) {
		p.linef("  generation %s", Generation{o.incarnation, o.nonce})
	}
	if o.carries != (segments.ID{}) {
		p.linef("  carries segment %s", o.carries)
	}
	switch o.kind {
	case journalBegin:
		p.linef("  by %s at %s", o.who, stamp(o.when))
	case journalSeal:
		p.linef("  by %s at %s, for incarnation %d", o.who, stamp(o.when), o.by)
	}
	for _, f := range facts {
		p.fact(f)
	}
	if o.carries == (segments.ID{}) {
		return nil
	}
	return p.carried(carriedBy(object), o.carries)
}

// carried describes the segment that a journal object begins with.
func (p *printer) carried(segment []byte, want segments.ID) error {
	if p.err != nil {
		return nil
	}
	if err := segments.Describe(p.w, segment); err != nil {
		kind := ErrMalformed
		if errors.Is(err, segments.ErrVersion) {
			kind = ErrNewer
		}
		return fmt.Errorf("%w: the segment that it carries: %w", kind, err)
	}
	if index, err := segments.Decode(segment); err == nil && index.ID != want {
		return fmt.Errorf("%w: it carries segment %s, and says %s", ErrMalformed, index.ID, want)
	}
	return nil
}

func (p *printer) fact(f *Fact) {
	switch {
	case f.Commit != nil:
		p.linef("  commit of segment %s: %d spans, incarnation %d", f.Commit.Segment, len(f.Commit.Spans), f.Incarnation)
		for i := range f.Commit.Spans {
			s := &f.Commit.Spans[i]
			p.linef("    %s  %s", s.Partition, spanText(&s.Span))
			for _, b := range s.Producers {
				p.linef("      producer %d epoch %d sequence %d-%d at offset %d, %s%s", b.ProducerID, b.Epoch,
					b.BaseSequence, b.LastSequence,
					b.BaseOffset, stamp(b.LastTimestamp), ordinalText(b.Ordinal))
			}
			for i := range s.Keyed {
				p.linef("      %s", keyedText(&s.Keyed[i]))
			}
			if s.Marker != nil {
				p.linef("      %s", markerText(s.Marker))
			}
			if s.Atomic > 0 {
				p.linef("      of atomic request %d", s.Atomic)
			}
		}
		for i := range f.Commit.Endings {
			p.ended("    ", &f.Commit.Endings[i])
		}
		for i := range f.Commit.Atomic {
			p.atomic("    ", &f.Commit.Atomic[i])
		}
	case f.Topic != nil:
		p.linef("  topic, incarnation %d", f.Incarnation)
		p.topic(f.Topic)
	case f.LogStart != nil:
		p.linef("  log start, incarnation %d", f.Incarnation)
		for _, at := range sortedPartitions(f.LogStart.Offsets) {
			p.linef("    %s  %d", at, f.LogStart.Offsets[at])
		}
	case f.ProducerIDs != nil:
		p.linef("  producer ids below %d are handed out, incarnation %d", f.ProducerIDs.End, f.Incarnation)
	case f.Offsets != nil:
		p.offsets(f.Offsets, f.Incarnation)
	case f.Merge != nil:
		p.linef("  %s, incarnation %d", mergeText(f.Merge), f.Incarnation)
		p.mergedSpans(f.Merge)
	case f.Settings != nil:
		p.linef("  settings version %d at %s, incarnation %d", f.Settings.Version, stamp(f.Settings.Time), f.Incarnation)
		for _, c := range f.Settings.Changes {
			p.linef("    %s", settingText(settingKey{c.Kind, c.Key}, c.Value, c.Deleted))
		}
	case f.TransactionalID != nil:
		p.transactionalID("  ", f.TransactionalID)
	}
}

func mergeText(m *Merge) string {
	return fmt.Sprintf("merge %d of %s: offsets %d-%d become %d spans",
		m.Version, m.Partition, m.Base, m.Last, len(m.Spans))
}

func (p *printer) mergedSpans(m *Merge) {
	for i := range m.Spans {
		p.linef("    %s  %s", m.Spans[i].Segment, spanText(&m.Spans[i]))
	}
}

func (p *printer) offsets(o *Offsets, in Incarnation) {
	what := "commits"
	if o.Forget {
		what = "is deleted"
	}
	p.linef("  group %q %s at %s, version %d, lease epoch %d, incarnation %d",
		o.Group, what, stamp(o.Time), o.Version, o.Epoch, in)
	for i := range o.Partitions {
		q := &o.Partitions[i]
		p.linef("    %s  %s", q.Partition, offsetText(q))
	}
}

func offsetText(p *GroupOffset) string {
	if p.Deleted {
		return "deleted"
	}
	return fmt.Sprintf("offset %d, leader epoch %d, metadata %q", p.Offset, p.LeaderEpoch, p.Metadata)
}

func spanText(s *Span) string {
	text := fmt.Sprintf("offsets %d-%d  bytes %d+%d  newest %s",
		s.Base, s.Last, s.Position, s.Length, stamp(s.MaxTimestamp))
	if s.Version > 0 {
		text += fmt.Sprintf("  merge %d", s.Version)
	}
	switch {
	case s.Listed > 0:
		text += fmt.Sprintf("  index object, stands for %d spans", s.Listed)
	case s.Compacted && s.Horizon != 0:
		text += "  compacted, tombstones stay until " + stamp(s.Horizon)
	case s.Compacted:
		text += "  compacted, no tombstones"
	}
	return text
}

func keyedText(k *Keyed) string {
	return fmt.Sprintf("request %x body %x: %d records at offset %d, %s, of %d partitions, records' time %s",
		k.ID, k.Body, k.Records, k.BaseOffset, stamp(k.Time), k.Partitions, stamp(k.Timestamp))
}

func (p *printer) topic(t *TopicFact) {
	deleted := ""
	if t.Deleted {
		deleted = ", deleted"
	}
	p.linef("    %s %q version %d, %d partitions%s", t.ID, t.Name, t.Version, t.Partitions, deleted)
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		p.linef("      %s=%s", key, t.Configs[key])
	}
}

func (p *printer) snapshot(object []byte) error {
	o, err := decodeSnapshotObject(object)
	if err != nil {
		return err
	}
	if o.state == nil {
		p.linef("snapshot %d of incarnation %d: void, this incarnation never opens", o.n, o.incarnation)
		return nil
	}
	s := o.state
	p.linef("snapshot %d of incarnation %d: cluster %s, %d topics, %d spans, next producer id %d, %d bytes",
		o.n, o.incarnation, s.clusterID, len(s.topics), s.spans(), s.nextProducerID, len(object))
	if s.nonce != (Nonce{}) {
		p.linef("  generation %s", Generation{o.incarnation, s.nonce})
	}
	for i := range s.doubts {
		p.linef("  in doubt: %s", &s.doubts[i])
	}
	for _, life := range slices.Sorted(maps.Keys(o.covers)) {
		sealed := ""
		if o.covers[life].sealed {
			sealed = ", sealed"
		}
		p.linef("  covers journal of life %s up to %d%s", life, o.covers[life].upTo, sealed)
	}
	for _, t := range sortedTopics(s.topics) {
		p.topic(t)
	}
	for _, at := range sortedPartitions(s.partitions) {
		q := s.partitions[at]
		p.linef("  partition %s: begins at offset %d, ends before %d, %d spans, %d bytes, %d producers",
			at, q.logStart, q.end, len(q.spans), q.bytes, len(q.producers))
		for i := range q.spans {
			p.linef("    %s  %s", q.spans[i].Segment, spanText(&q.spans[i].Span))
		}
		for i := range q.beyond {
			p.linef("    %s  %s (beyond a hole)", q.beyond[i].span.Segment, spanText(&q.beyond[i].span))
			if q.beyond[i].atomic > 0 {
				p.linef("      of atomic request %d", q.beyond[i].atomic)
			}
		}
		if q.merges > 0 {
			p.linef("    merged %d times", q.merges)
		}
		for _, m := range q.waiting {
			p.linef("    waits: %s", mergeText(m))
			p.mergedSpans(m)
		}
		for _, id := range slices.Sorted(maps.Keys(q.producers)) {
			pr := q.producers[id]
			p.linef("    producer %d epoch %d, last sequence %d at offset %d, %s",
				id, pr.epoch, pr.last().last, pr.last().offset, stamp(pr.lastTimestamp))
		}
		for _, k := range q.keyedIn(at) {
			p.linef("    %s", keyedText(&k))
		}
		p.partitionTransactions(q.txns)
	}
	p.groups(s)
	p.transactions(&s.transactions)
	p.incompleteAtomic(s)
	for _, at := range s.settings.sorted() {
		v := s.settings.byKey[at]
		p.linef("  %s, at %s, version %d", settingText(at, v.value, v.deleted), stamp(v.time), v.version)
	}
	return nil
}

func (p *printer) groups(s *State) {
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[name]
		p.linef("  group %q", name)
		if g.forgotten > 0 {
			p.linef("    deleted at %s, version %d", stamp(g.forgottenTime), g.forgotten)
		}
		for _, at := range sortedPartitions(g.offsets) {
			c := g.offsets[at]
			q := c.of(at)
			p.linef("    %s  %s, at %s, version %d", at, offsetText(&q), stamp(c.time), c.version)
		}
	}
}

func (p *printer) incarnation(object []byte) error {
	o, err := decodeIncarnationObject(object)
	if err != nil {
		return err
	}
	p.linef("incarnation %d, begun by %s at %s", o.n, o.who, stamp(o.when))
	if o.clusterID != "" {
		p.linef("  cluster %s", o.clusterID)
	}
	return nil
}

func (p *printer) index(object []byte) error {
	o, err := decodeIndexObject(object)
	if err != nil {
		return err
	}
	all := o.listedAs(segments.ID{})
	p.linef("index object of %s: %d spans, offsets %d-%d, %d bytes, newest %s",
		o.partition, len(o.spans), all.Base, all.Last, all.Length, stamp(all.MaxTimestamp))
	for i := range o.spans {
		p.linef("    %s  %s", o.spans[i].Segment, spanText(&o.spans[i]))
	}
	return nil
}
