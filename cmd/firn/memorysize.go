package main

import (
	"math"

	"firn.dev/segments/stores"
)

// memorySize is the flag value of --cache-bytes, --tail-bytes and --carry-bytes: a size, or auto,
// which leaves it to the store.
type memorySize struct {
	byteSize
	auto bool
}

// What auto stands for. A disk is close, and the operating system keeps what was written or read
// last in memory that nobody else needs; a bucket across a network is far, and each request to it
// may be billed.
const (
	cacheOnDisk, cacheOnNetwork byteSize = 32 << 20, 64 << 20
	tailOnDisk, tailOnNetwork   byteSize = 8 << 20, 64 << 20
)

func (m *memorySize) Set(text string) error {
	if m.auto = text == "auto"; m.auto {
		m.byteSize = 0
		return nil
	}
	return m.byteSize.Set(text)
}

func (m *memorySize) String() string {
	if m.auto {
		return "auto"
	}
	return m.byteSize.String()
}

// check refuses a size in which hardly a segment fits.
func (m *memorySize) check() error {
	if m.auto {
		return nil
	}
	return within(int64(m.byteSize), 8<<20, math.MaxInt64)
}

// at is the size for a bucket at a place.
func (m *memorySize) at(p stores.Location, onDisk, onNetwork byteSize) int64 {
	switch {
	case !m.auto:
		return int64(m.byteSize)
	case p.Local():
		return int64(onDisk)
	}
	return int64(onNetwork)
}
