package kafka

import (
	"math/bits"
	"sync"
)

// buffers keeps the memory of large Produce requests for the next ones: getting it anew for each, and having it collected, would be a good part of
// what a Produce costs. What is not used for a while goes to the garbage collector.
type buffers struct {
	classes [maxBufferBits - minBufferBits + 1]sync.Pool // by the power of two of their size
}

const (
	minBufferBits = 15 // those up to firstStepBytes are cheap
	maxBufferBits = 24 // larger ones are rare
)

// class is where a buffer of size bytes belongs, rounded up; false if it is not kept.
func (*buffers) class(size int) (int, bool) {
	n := bits.Len(uint(size - 1))
	return n - minBufferBits, n >= minBufferBits && n <= maxBufferBits
}

// take returns a buffer of size bytes with anything in it, or nil.
func (b *buffers) take(size int) []byte {
	class, kept := b.class(size)
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
	if class, kept := b.class(cap(buffer)); kept && cap(buffer) == 1<<(class+minBufferBits) {
		b.classes[class].Put(&buffer)
	}
}

// make returns a new buffer that give will keep.
func (b *buffers) make(size int) []byte {
	if class, kept := b.class(size); kept {
		return make([]byte, size, 1<<(class+minBufferBits))
	}
	return make([]byte, size)
}
