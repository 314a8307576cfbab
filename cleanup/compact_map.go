package cleanup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"golang.org/x/sync/semaphore"
)

// keyHash stands for a key. It is long and strong enough that no two keys have the same, by chance
// or by intention: records would be lost.
type keyHash [16]byte

func hashOf(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:16])
}

// share is a part of all keys: those whose hashes begin with certain bits, counted from byte 8 on
// (the bytes before choose the slot).
type share struct {
	bits  int    // how many; 0: all keys
	value uint32 // of them
}

// maxShareBits is how small a share may become. Shares that are smaller by one bit hold half as
// many keys.
const maxShareBits = 32

func (s share) has(h keyHash) bool {
	return s.bits == 0 || binary.BigEndian.Uint32(h[8:])>>(maxShareBits-s.bits) == s.value
}

// halves are the two shares that make up s.
func (s share) halves() (share, share) {
	return share{s.bits + 1, s.value << 1}, share{s.bits + 1, s.value<<1 | 1}
}

// offsetMap knows the last offset of each of many keys. It is a hash table with open addressing
// that never grows.
type offsetMap struct {
	slots []slot
	used  int
	most  int
}

type slot struct {
	hash keyHash
	next int64 // the offset, and one; 0: the slot is free
}

const (
	slotBytes = int64(unsafe.Sizeof(slot{}))
	// mapLoad is how full the table gets, in percent.
	mapLoad = 80
)

// keysIn is how many keys a map of so many bytes holds.
func keysIn(bytes int64) int64 { return max(bytes/slotBytes*mapLoad/100, 1) }

// bytesFor is how large a map for so many keys is.
func bytesFor(keys int64) int64 { return (keys*100/mapLoad + 2) * slotBytes }

func newOffsetMap(bytes int64) *offsetMap {
	n := max(bytes/slotBytes, 2)
	return &offsetMap{slots: make([]slot, n), most: int(keysIn(n * slotBytes))}
}

// find returns the slot of a key, or the one that it would have.
func (m *offsetMap) find(h keyHash) *slot {
	n := uint64(len(m.slots))
	at, _ := bits.Mul64(binary.BigEndian.Uint64(h[:]), n)
	for {
		s := &m.slots[at]
		if s.next == 0 || s.hash == h {
			return s
		}
		if at++; at == n {
			at = 0
		}
	}
}

// put notes that a key has a record at an offset. It returns false if there is no room for another
// key.
func (m *offsetMap) put(h keyHash, offset int64) bool {
	s := m.find(h)
	if s.next == 0 {
		if m.used == m.most {
			return false
		}
		m.used++
		s.hash = h
	}
	s.next = max(s.next, offset+1)
	return true
}

// last returns the last offset of a key; -1 if it has none.
func (m *offsetMap) last(h keyHash) int64 { return m.find(h).next - 1 }

// clear forgets all keys.
func (m *offsetMap) clear() {
	clear(m.slots)
	m.used = 0
}

// mapMemory is the memory for the maps of all compactions of a node.
type mapMemory struct {
	bytes int64
	free  *semaphore.Weighted
}

func newMapMemory(bytes int64) *mapMemory { return &mapMemory{bytes, semaphore.NewWeighted(bytes)} }

// take returns a map for so many keys, or as large as there may be, when there is room for it.
func (r *mapMemory) take(ctx context.Context, keys int64) (m *offsetMap, release func(), err error) {
	bytes := r.bytes
	if keys < keysIn(r.bytes) {
		bytes = min(bytesFor(keys), r.bytes)
	}
	if err := r.free.Acquire(ctx, bytes); err != nil {
		return nil, nil, context.Cause(ctx)
	}
	return newOffsetMap(bytes), func() { r.free.Release(bytes) }, nil
}
