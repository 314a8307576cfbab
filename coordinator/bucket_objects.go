package coordinator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"firn.dev/segments"
)

// Kinds of journal objects.
type journalKind byte

const (
	journalBegin journalKind = 1
	journalFacts journalKind = 2
	journalSeal  journalKind = 3
)

func (k journalKind) String() string {
	return [...]string{"?", "begin", "facts", "seal"}[min(k, 3)]
}

const (
	journalMagic     = "FIRNJRNL"
	snapshotMagic    = "FIRNSNAP"
	incarnationMagic = "FIRNINCR"
	objectVersion    = 1
	journalNonces    = 2 // version of journal objects that tell the generation; one without is written as version 1
	journalCarries   = 3 // of journal objects that carry a segment
	journalVersion   = journalCarries
	snapshotGroups   = 2 // version of snapshots with consumer groups; one without is written as version 1
	snapshotMerges   = 3 // of snapshots with merges or keyed requests
	snapshotKinds    = 4 // of snapshots with spans that stand for others, or were compacted
	snapshotDoubts   = 5 // of snapshots that tell the generation, or what is in doubt

	snapshotAnyOffset = 6  // of snapshots with a committed offset that version 2 has no number for
	snapshotSettings  = 7  // of snapshots with settings
	snapshotTxns      = 8  // of snapshots with transactional ids
	snapshotAtomic    = 9  // of snapshots with atomic requests that are not complete
	snapshotCarried   = 10 // of snapshots with segments that journal objects carry
	snapshotVersion   = snapshotCarried
)

// journalObject is one object of a life's chain.
type journalObject struct {
	kind        journalKind
	incarnation Incarnation // that the life is lived in
	nonce       Nonce       // of the opening that it is lived in; zero if an older version wrote this
	life        string
	n           uint64
	who         string      // of begin and seal
	when        int64       // of begin and seal, milliseconds by the writer's clock
	by          Incarnation // of a seal: that whose recovery put it there
	facts       [][]byte    // as AppendFact wrote them
	carries     segments.ID // of the segment before it in the same object; zero: none
	segment     []byte      // that segment, as EncodeMixed made it; not read again
}

func (o *journalObject) key() string { return journalKey(o.life, o.n) }

func (o *journalObject) encode() []byte {
	size := 128
	for _, f := range o.facts {
		size += len(f) + binary.MaxVarintLen32
	}
	version := uint16(objectVersion)
	switch {
	case o.carries != (segments.ID{}):
		version = journalCarries
	case o.nonce != (Nonce{}):
		version = journalNonces
	}
	b := appendHeader(append(make([]byte, 0, len(o.segment)+size), o.segment...), journalMagic, version)
	b = append(b, byte(o.kind))
	b = binary.BigEndian.AppendUint64(b, uint64(o.incarnation))
	if version >= journalNonces {
		b = append(b, o.nonce[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, o.n)
	b = appendString(b, o.life)
	b = appendString(b, o.who)
	b = binary.AppendVarint(b, o.when)
	b = binary.AppendUvarint(b, uint64(o.by))
	if version >= journalCarries {
		b = append(b, o.carries[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(o.facts)))
	for _, f := range o.facts {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	if version < journalCarries {
		return appendCRC(b)
	}
	b = appendCRCFrom(b, len(o.segment))
	b = binary.BigEndian.AppendUint32(b, uint32(len(b)-len(o.segment)))
	return append(b, carrierMagic...)
}

// carrierMagic ends a journal object that begins with a segment.
const carrierMagic = "FIRNCARR"

// openJournal checks what a journal object says of itself: all of it, or what lies between a
// segment and the trailer. Of an object that begins with a segment the end will do.
func openJournal(object []byte) (d *decoder, version uint16, err error) {
	d, err = openObject(object, journalMagic, journalVersion)
	if body, carries := bytes.CutSuffix(object, []byte(carrierMagic)); err != nil && carries && len(body) > 4 {
		body, length := body[:len(body)-4], binary.BigEndian.Uint32(body[len(body)-4:])
		if int64(length) <= int64(len(body)) {
			object = body[len(body)-int(length):]
			d, err = openObject(object, journalMagic, journalVersion)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return d, objectVersionOf(object), nil
}

// carriedBy is the segment that a journal object begins with, which openJournal has read; nil if
// it is the end of an object alone.
func carriedBy(object []byte) []byte {
	body, carries := bytes.CutSuffix(object, []byte(carrierMagic))
	end := len(body) - 4
	if !carries || end < 0 || int64(binary.BigEndian.Uint32(body[end:])) > int64(end) {
		return nil
	}
	return object[:end-int(binary.BigEndian.Uint32(body[end:]))]
}

// decodeJournalObject decodes a journal object, or the end of one.
func decodeJournalObject(object []byte) (*journalObject, error) {
	d, version, err := openJournal(object)
	if err != nil {
		return nil, err
	}
	o := &journalObject{kind: journalKind(d.byte()), incarnation: Incarnation(d.uint64())}
	if version >= journalNonces {
		o.nonce = d.nonce()
	}
	o.n, o.life, o.who, o.when, o.by = d.uint64(), d.string(), d.string(), d.varint(), Incarnation(d.uvarint())
	if version >= journalCarries {
		o.carries = segments.ID(d.id())
	}
	if d.err == nil && (o.kind < journalBegin || o.kind > journalSeal) {
		return nil, fmt.Errorf("%w: journal object of kind %d", ErrNewer, o.kind)
	}
	n := d.count(4)
	for i := 0; i < n && d.err == nil; i++ {
		o.facts = append(o.facts, d.bytes(d.count(1)))
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return o, nil
}

// decodeFacts decodes the facts.
func (o *journalObject) decodeFacts() ([]*Fact, error) {
	facts := make([]*Fact, len(o.facts))
	for i, b := range o.facts {
		f, err := DecodeFact(b)
		if err != nil {
			return nil, fmt.Errorf("fact %d: %w", i, err)
		}
		facts[i] = f
	}
	return facts, nil
}

// incarnationObject says who made an incarnation, and of which bucket. Older versions wrote the
// cluster id into the first only.
type incarnationObject struct {
	n         Incarnation
	who       string
	when      int64 // milliseconds by the writer's clock
	clusterID string
}

func (o *incarnationObject) encode() []byte {
	b := appendHeader(nil, incarnationMagic, objectVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(o.n))
	b = appendString(b, o.who)
	b = binary.AppendVarint(b, o.when)
	b = appendString(b, o.clusterID)
	return appendCRC(b)
}

func decodeIncarnationObject(object []byte) (*incarnationObject, error) {
	d, err := openObject(object, incarnationMagic, objectVersion)
	if err != nil {
		return nil, err
	}
	o := &incarnationObject{n: Incarnation(d.uint64()), who: d.string(), when: d.varint(), clusterID: d.string()}
	if err := d.end(); err != nil {
		return nil, err
	}
	return o, nil
}

// cover says how much of a chain is in a snapshot.
type cover struct {
	upTo   uint64 // number of the last object that is
	sealed bool   // and that this object is the seal
}

// snapshotObject is a state, and how much of the journal is in it. A void one has neither: it takes
// the place of an opening snapshot and says that this incarnation never opens.
type snapshotObject struct {
	incarnation Incarnation
	n           uint64
	covers      map[string]cover // by life
	state       *State           // nil if void
}

// voidSize is the size of a void snapshot. One with a state is larger.
const voidSize = headerLen + 8 + 8 + 1 + crcLen

func (o *snapshotObject) encode() []byte {
	size := 128
	if o.state != nil {
		size += o.state.spans()*40 + len(o.covers)*40 + len(o.state.topics)*64
	}
	version := uint16(objectVersion)
	if o.state != nil {
		version = o.state.version()
	}
	b := appendHeader(make([]byte, 0, size), snapshotMagic, version)
	b = binary.BigEndian.AppendUint64(b, uint64(o.incarnation))
	b = binary.BigEndian.AppendUint64(b, o.n)
	b = appendBool(b, o.state != nil)
	if o.state != nil {
		b = binary.AppendUvarint(b, uint64(len(o.covers)))
		for _, life := range slices.Sorted(maps.Keys(o.covers)) {
			b = appendString(b, life)
			b = binary.AppendUvarint(b, o.covers[life].upTo)
			b = appendBool(b, o.covers[life].sealed)
		}
		b = appendState(b, o.state, version)
	}
	if version >= snapshotGroups {
		b = appendGroups(b, o.state, version)
	}
	if version >= snapshotDoubts {
		b = appendDoubts(b, o.state)
	}
	if version >= snapshotSettings {
		b = appendAllSettings(b, &o.state.settings)
	}
	if version >= snapshotTxns {
		b = appendTransactions(b, &o.state.transactions)
	}
	if version >= snapshotAtomic {
		b = appendIncompleteAtomic(b, o.state)
	}
	return appendCRC(b)
}

func decodeSnapshotObject(object []byte) (*snapshotObject, error) {
	d, err := openObject(object, snapshotMagic, snapshotVersion)
	if err != nil {
		return nil, err
	}
	o := &snapshotObject{incarnation: Incarnation(d.uint64()), n: d.uint64()}
	if d.bool() {
		o.covers = map[string]cover{}
		for i, n := 0, d.count(3); i < n && d.err == nil; i++ {
			life := d.string()
			o.covers[life] = cover{d.uvarint(), d.bool()}
		}
		version := objectVersionOf(object)
		o.state = d.state(o.incarnation, version)
		if version >= snapshotGroups {
			d.groups(o.state, version)
		}
		if version >= snapshotDoubts {
			d.doubts(o.state)
		}
		if version >= snapshotSettings {
			o.state.settings = d.allSettings()
		}
		if version >= snapshotTxns {
			d.transactions(o.state)
		}
		if version >= snapshotAtomic {
			d.incompleteAtomic(o.state)
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return o, nil
}
