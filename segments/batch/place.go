package batch

import (
	"runtime"
	"sync"
)

// What decoders hold is bounded for the whole process, whoever has them decode: each has a place
// while it is at work. It only computes meanwhile and waits for nobody, so that places are as free
// as the cores. Those who have one must not ask for another.
const (
	usualBytes  = 8 << 20 // that a usual decoder has as its window, and makes as its result
	leastPlaces = 8       // of usual decoders: a few long ones leave room for short ones
)

// PlacesBytes is about how much all decoders together hold at most: the usual ones their window, a
// result, and half of that when it grows; the large one a window of maxZstdWindow, and of the
// largest result likewise.
func PlacesBytes() int64 {
	usual := int64(cap(usualPlaces)) * (usualBytes + usualBytes*3/2)
	return usual + maxZstdWindow + MaxDecompressed*3/2
}

var (
	usualPlaces = make(chan struct{}, max(leastPlaces, runtime.GOMAXPROCS(0)))
	largePlace  sync.Mutex
)

// place is where one decoder works.
type place struct {
	large bool
	paced int // bytes decoded since the last turn of others
}

// takePlace waits for the place of a usual decoder.
func takePlace() *place {
	usualPlaces <- struct{}{}
	return new(place)
}

// placeFor is takePlace for those who make something of n bytes, from what is not compressed
// perhaps.
func placeFor(n int) *place {
	p := takePlace()
	if n > usualBytes {
		p.enlarge()
	}
	return p
}

// enlarge makes a place the one at which more than the usual may be held. Whoever has it must hold
// nothing while it waits.
func (p *place) enlarge() {
	if !p.large {
		<-usualPlaces
		largePlace.Lock()
		p.large = true
	}
}

// paceBytes is how much is decoded before whoever waits for a core has its turn: a heartbeat that
// came meanwhile, say. The scheduler would let a few decoders have 10 ms each, one after the other.
const paceBytes = 256 << 10

// pace is called when n bytes more were decoded.
func (p *place) pace(n int) {
	if p.paced += n; p.paced >= paceBytes {
		p.paced = 0
		runtime.Gosched()
	}
}

func (p *place) leave() {
	if p.large {
		largePlace.Unlock()
	} else {
		<-usualPlaces
	}
}
