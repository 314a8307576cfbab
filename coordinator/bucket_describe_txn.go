package coordinator

import (
	"fmt"
	"maps"
	"slices"
)

// What Describe says of transactions.

func idText(t *TransactionalID) string {
	text := fmt.Sprintf("transactional id %q version %d at %s: producer %d epoch %d, timeout %d ms, transaction %d, "+
		"the one before: %s",
		t.ID, t.Version, stamp(t.Time), t.ProducerID, t.Epoch, t.TimeoutMillis, t.Ordinal, t.Result)
	if t.EndedEpoch >= 0 {
		text += fmt.Sprintf(" by producer %d epoch %d", t.EndedProducerID, t.EndedEpoch)
	}
	if t.PreviousEpoch >= 0 {
		text += fmt.Sprintf(", previous epoch %d", t.PreviousEpoch)
	}
	if t.Aborting {
		text += ", to be aborted"
	}
	if t.Gone {
		text += ", forgotten"
	}
	return text
}

func (p *printer) transactionalID(indent string, t *TransactionalID) {
	p.linef("%s%s", indent, idText(t))
	if t.Started != 0 {
		p.linef("%s  since %s", indent, stamp(t.Started))
	}
	for _, at := range t.Added {
		p.linef("%s  %s added", indent, at)
	}
	for _, group := range t.Groups {
		p.linef("%s  group %q added", indent, group)
	}
	p.staged(indent, "staged", t.Staged)
}

func (p *printer) staged(indent, how string, staged []StagedOffsets) {
	for i := range staged {
		s := &staged[i]
		p.linef("%s  group %q %s, lease epoch %d", indent, s.Group, how, s.Epoch)
		for j := range s.Partitions {
			o := &s.Partitions[j]
			p.linef("%s    %s  %s, version %d", indent, o.Partition, offsetText(&o.GroupOffset), o.Version)
		}
	}
}

func (p *printer) ended(indent string, e *Ended) {
	p.transactionalID(indent+"ends a transaction: ", &e.TransactionalID)
	p.staged(indent, "counts when it is complete", e.Offsets)
}

func ordinalText(ordinal uint64) string {
	if ordinal == 0 {
		return ""
	}
	return fmt.Sprintf(", in transaction %d", ordinal)
}

func markerText(m *Marker) string {
	return fmt.Sprintf("marker of producer %d: %s of transaction %d", m.ProducerID, m.Result, m.Ordinal)
}

func (p *printer) partitionTransactions(t *partitionTransactions) {
	if t == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(t.open)) {
		open := t.open[id]
		p.linef("    open: transaction %d of producer %d, offsets %d-%d, since %s", open.ordinal, id, open.first,
			open.last, stamp(open.since))
	}
	for _, a := range t.aborted {
		p.linef("    aborted: producer %d, offsets %d-%d", a.ProducerID, a.FirstOffset, a.LastOffset)
	}
}

func (p *printer) transactions(t *transactions) {
	for _, id := range slices.Sorted(maps.Keys(t.ids)) {
		p.transactionalID("  ", t.ids[id])
	}
	for _, key := range t.incompleteKeys() {
		e := t.incomplete[key]
		p.ended("  ", &e.Ended)
		for _, at := range sortedPartitions(e.markers) {
			p.linef("    awaits its marker at offset %d of %s", e.markers[at], at)
		}
	}
}

func (p *printer) atomic(indent string, a *AtomicOffsets) {
	p.linef("%satomic request %d at %s", indent, a.Number, stamp(a.Time))
	p.staged(indent, "counts when it is complete", []StagedOffsets{a.StagedOffsets})
}

func (p *printer) incompleteAtomic(s *State) {
	for _, key := range s.atomicKeys() {
		a := s.atomic[key]
		p.linef("  segment %s:", key.segment)
		p.atomic("  ", &a.AtomicOffsets)
		for _, at := range sortedPartitions(a.awaited) {
			p.linef("    awaits its record at offset %d of %s", a.awaited[at], at)
		}
	}
}
