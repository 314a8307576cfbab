package batch

import (
	"runtime"
	"sync"
)

// What decoders hold is bounded for the whole process, whoever has them decode: each has a slot
// while it is at work. It only computes meanwhile and waits for nobody, so that slots are as free
// as the cores. Those who have one must not ask for another.
const (
	usualBytes = 8 << 20 // that a usual decoder has as its window, and makes as its result
	leastSlots = 8       // of usual decoders: a few long ones leave room for short ones
)

// SlotsBytes is about how much all decoders together hold at most: the usual ones their window, a
// result, and half of that when it grows; the large one a window of maxZstdWindow, and of the
// largest result likewise.
func SlotsBytes() int64 {
	usual := int64(cap(usualSlots)) * (usualBytes + usualBytes*3/2)
	return usual + maxZstdWindow + MaxDecompressed*3/2
}

var (
	usualSlots = make(chan struct{}, max(leastSlots, runtime.GOMAXPROCS(0)))
	largeSlot  sync.Mutex
)

// slot is where one decoder works.
type slot struct {
	large bool
	paced int // bytes decoded since the last turn of others
}

// takeSlot waits for the slot of a usual decoder.
func takeSlot() *slot {
	usualSlots <- struct{}{}
	return new(slot)
}

// slotFor is takeSlot for those who make something of n bytes, from what is not compressed
// perhaps.
func slotFor(n int) *slot {
	s := takeSlot()
	if n > usualBytes {
		s.enlarge()
	}
	return s
}

// enlarge makes a slot the one at which more than the usual may be held. Whoever has it must hold
// nothing while it waits.
func (s *slot) enlarge() {
	if !s.large {
		<-usualSlots
		largeSlot.Lock()
		s.large = true
	}
}

// paceBytes is how much is decoded before whoever waits for a core has its turn: a heartbeat that
// came meanwhile, say. The scheduler would let a few decoders have 10 ms each, one after the other.
const paceBytes = 256 << 10

// pace is called when n bytes more were decoded.
func (s *slot) pace(n int) {
	if s.paced += n; s.paced >= paceBytes {
		s.paced = 0
		runtime.Gosched()
	}
}

func (s *slot) leave() {
	if s.large {
		largeSlot.Unlock()
	} else {
		<-usualSlots
	}
}
