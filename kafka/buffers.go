package kafka

import (
	"math/bits"
	"sync"
)

// buffers keeps the memory of large Produce requests for the next ones, whatever became of them. To
// get it anew for each, to clear it and to have it collected would be a good part of what a Produce
// costs, and all other requests wait meanwhile: for the cores, and for the collector. Memory that
// is not used for a while goes to the garbage collector.
type buffers struct {
	classes [(maxBufferBits - minBufferBits + 1) * classSteps]sync.Pool
}

const (
	minBufferBits = 15 // those up to firstStepBytes are cheap
	maxBufferBits = 27 // as large as requests are
	classSteps    = 4  // to the double: a buffer has at most a quarter more than was asked for
)

// class is where a buffer of size bytes belongs, and how long those are; false if it is not kept.
func (*buffers) class(size int) (class, length int, kept bool) {
	n := bits.Len(uint(size - 1))
	if n < minBufferBits || n > maxBufferBits {
		return 0, 0, false
	}
	step := 1 << (n - 1) / classSteps
	steps := (size + step - 1) / step // of the power of two and up to its double
	return (n-minBufferBits)*classSteps + steps - classSteps - 1, steps * step, true
}

// take returns a buffer of size bytes with anything in it, or nil.
func (b *buffers) take(size int) []byte {
	class, _, kept := b.class(size)
	if !kept {
		return nil
	}
	buffer, _ := b.classes[class].Get().(*[]byte)
	if buffer == nil {
		return nil
	}
	return (*buffer)[:size]
}

// give takes a buffer back that nobody uses any more.
func (b *buffers) give(buffer []byte) {
	if class, length, kept := b.class(cap(buffer)); kept && cap(buffer) == length {
		b.classes[class].Put(&buffer)
	}
}

// make returns a new buffer that give will keep.
func (b *buffers) make(size int) []byte {
	if _, length, kept := b.class(size); kept {
		return make([]byte, size, length)
	}
	return make([]byte, size)
}
