package cleanup

import (
	"testing"

	"firn.dev/segments/batch"
)

// testCompactor compacts with nothing in its map.
func testCompactor() *compactor {
	return &compactor{latest: newOffsetMap(1 << 16), now: 1000, horizon: 5000, last: -1, limit: 1 << 20}
}

func build(t *testing.T, o batch.Options, records ...batch.Record) []byte {
	t.Helper()
	b, err := batch.Build(records, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unreadableBatch has the right CRC and records that nobody can decompress.
func unreadableBatch(t *testing.T) []byte {
	b := build(t, batch.NoProducer(batch.Gzip), batch.Record{Offset: 3, Key: []byte("a"), Value: []byte("1")},
		batch.Record{Offset: 4, Key: []byte("b")})
	b[batch.HeaderLen+12] ^= 0xff
	batch.SetLogAppendTime(b, 500) // writes the CRC anew
	return b
}

// A batch that cannot be read stays, its keys count for nothing, and no tombstone behind it goes.
func TestUnreadable(t *testing.T) {
	bad := unreadableBatch(t)
	large := build(t, batch.NoProducer(batch.LZ4), batch.Record{Key: []byte("a"), Value: make([]byte, 2<<20)})
	gone := build(t, batch.NoProducer(batch.None), batch.Record{Offset: 9, Key: []byte("a"), Timestamp: 900})
	marker := testCompactor()
	marker.horizon = 990
	gone, _, err := marker.clean(gone, false)
	if err != nil || marker.earliest != 990 {
		t.Fatal(marker.earliest, err)
	}
	for name, b := range map[string][]byte{"corrupt": bad, "too large": large} {
		c := testCompactor()
		if left, changed, err := c.clean(gone, true); left != nil || !changed || err != nil || c.counts.tombstones != 1 {
			t.Errorf("%s: a tombstone whose time has come stays: %v %v", name, changed, err)
		}
		if !c.learn(b) || c.latest.used > 0 {
			t.Errorf("%s: %d keys were learnt", name, c.latest.used)
		}
		if left, changed, err := c.clean(b, false); err != nil || changed || &left[0] != &b[0] || c.counts.unreadable != 1 {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		c.earliest = 0
		if left, changed, err := c.clean(gone, true); len(left) == 0 || changed || err != nil || c.earliest != 0 {
			t.Errorf("%s: a tombstone behind it goes, or asks for another look: %v %v %d", name, changed, err, c.earliest)
		}
	}
}

// What a producer says of horizons counts for nothing, and control batches stay as they are.
func TestForeignBatches(t *testing.T) {
	claimed, _, err := (&compactor{latest: newOffsetMap(1 << 10), horizon: 10, limit: 1 << 20, last: -1}).clean(
		build(t, batch.NoProducer(batch.None), batch.Record{Key: []byte("a"), Timestamp: 900}), false)
	if err != nil {
		t.Fatal(err)
	}
	c := testCompactor()
	left, _, err := c.clean(claimed, false)
	if err != nil || left == nil || c.earliest != 5000 {
		t.Errorf("a tombstone goes because its producer said so: %v, horizon %d", err, c.earliest)
	}
	o := batch.NoProducer(batch.None)
	o.Control = true
	control := build(t, o, batch.Record{Key: []byte{0, 0, 0, 1}})
	if left, changed, err := c.clean(control, false); err != nil || changed || &left[0] != &control[0] ||
		!c.learn(control) || c.latest.used > 0 {
		t.Error("a control batch was compacted", err)
	}
}
