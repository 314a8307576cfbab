package index

import (
	"context"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

const (
	// BrokenFor is how long a corrupt block is not asked for again.
	BrokenFor = brokenFor
	// MaxLookups is how often a reader looks up a span whose segment is gone.
	MaxLookups = maxLookups
	// FooterOfOneBlock is what the footer of a segment of one block takes of FooterBytes.
	FooterOfOneBlock = footerOverhead + blockBytes
)

// Cached returns the block of a span in the cache, and nil if it is not there.
func (x *Index) Cached(span coordinator.Span) []byte {
	if b := x.fetcher.cache.get(piece{Span: span}); b != nil {
		return b.bytes
	}
	return nil
}

// Fetching says whether a get of a span's block is under way.
func (x *Index) Fetching(span coordinator.Span) bool {
	return x.fetcher.underway(piece{Span: span}) != nil
}

// Ahead returns up to which offset, and how many bytes, the index has fetched ahead of the reader
// that it expects at an offset.
func (x *Index) Ahead(p segments.Partition, next int64) (until, bytes int64, expected bool) {
	s, ok := x.ahead.recall(streamKey{p, next})
	return s.until, s.bytes, ok
}

// TakeRoomAhead leaves room for one get ahead of readers, until it is given back.
func (x *Index) TakeRoomAhead() (giveBack func()) {
	taken := x.fetcher.room.limit/2 - minGetWeight
	if !x.fetcher.room.ahead.TryAcquire(taken) {
		panic("there is no room")
	}
	return func() { x.fetcher.room.ahead.Release(taken) }
}

// SearchesNothing says whether no search by time has a block before it. There is no metric for it.
func (x *Index) SearchesNothing() bool {
	free := x.searched.TryAcquire(searchBytes)
	if free {
		x.searched.Release(searchBytes)
	}
	return free
}

// ReadFooter returns the size of a footer in memory, and how many blocks it names.
func (x *Index) ReadFooter(ctx context.Context, p segments.Partition, s *coordinator.Span) (size int64, blocks int,
	err error) {
	f, err := x.footers.get(ctx, p, s)
	if err != nil {
		return 0, 0, err
	}
	return f.size(), len(f.blocks), nil
}
