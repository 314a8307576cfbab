package segments

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// Block is what a reader needs to know of one run of a merged segment, in 40 bytes.
type Block struct {
	Position     int64
	BaseOffset   int64
	LastOffset   int64
	MaxTimestamp int64
	Length       int32
	CRC          uint32 // CRC-32C of its bytes
}

// footerChunk is how much of a long footer is in memory at once.
const footerChunk = 256 << 10

// ReadBlocks reads the index of a merged segment, whatever its size, in bounded memory beside what
// it returns: a few requests for the footers of the largest segments, and one for those that end
// within the last suffix bytes, which a caller guesses by SuffixFor.
func ReadBlocks(ctx context.Context, store Store, id ID, suffix int64) ([]Block, error) {
	blocks, err := readBlocks(ctx, store, id, max(suffix, trailerLen))
	if err != nil {
		return nil, fmt.Errorf("index of segment %s: %w", id, err)
	}
	return blocks, nil
}

// SuffixFor is about how much of the end of a merged segment holds its footer, if its body is that
// long and its batches are not tiny. It is at most maxSuffix.
func SuffixFor(body int64) int64 {
	return min(body/BlockBytes*2*entryLen+4<<10, maxSuffix)
}

// maxSuffix is the most of a segment's end that is asked for at once.
const maxSuffix = 1 << 20

func readBlocks(ctx context.Context, store Store, id ID, suffix int64) ([]Block, error) {
	end, err := store.Get(ctx, id.Key(), -suffix, -1)
	if err != nil {
		return nil, err
	}
	t, err := parseTrailer(end)
	if err != nil {
		return nil, err
	}
	if t.kind != Merged {
		return nil, corrupt("it is %s, not merged", t.kind)
	}
	end = end[:len(end)-trailerLen]
	var footer io.Reader
	if have := int64(len(end)); have >= t.length {
		footer = bytes.NewReader(end[have-t.length:])
	} else {
		missing := &ranged{ctx: ctx, store: store, key: id.Key(), next: t.footer, end: t.footer + t.length - have}
		footer = io.MultiReader(missing, bytes.NewReader(end))
	}
	d := blockDecoder{crc: crc32.New(castagnoli), trailer: t}
	d.r = bufio.NewReader(io.TeeReader(footer, d.crc))
	blocks, err := d.decode(id)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = corrupt("footer ends within an entry")
	}
	return blocks, err
}

// ranged reads a range of an object, a chunk at a time.
type ranged struct {
	ctx       context.Context
	store     Store
	key       string
	next, end int64
	chunk     bytes.Reader
}

// Read implements io.Reader.
func (r *ranged) Read(p []byte) (int, error) {
	if r.chunk.Len() == 0 && r.next < r.end {
		b, err := r.store.Get(r.ctx, r.key, r.next, min(footerChunk, r.end-r.next))
		if err != nil {
			return 0, err
		}
		r.next += int64(len(b))
		r.chunk.Reset(b)
	}
	return r.chunk.Read(p)
}

// blockDecoder reads a footer from its beginning on.
type blockDecoder struct {
	r       *bufio.Reader
	crc     hash.Hash32
	trailer trailer
}

func (d *blockDecoder) decode(id ID) ([]Block, error) {
	var head [footerLen]byte
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[len(id):]))
	if n < 1 || n > (d.trailer.length-footerLen)/(entryLen+4) {
		return nil, corrupt("%d runs in %d bytes of footer", n, d.trailer.length)
	}
	blocks := make([]Block, n)
	length := int64(footerLen)
	var before *Run
	var runs [2]Run // the one before, and the one that is read
	for i := range blocks {
		run := &runs[i%2]
		batches, err := d.entry(run, before)
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i, err)
		}
		blocks[i] = Block{run.Position, run.BaseOffset, run.LastOffset, run.MaxTimestamp, int32(run.Length), run.CRC}
		length += entryLen + 4*int64(batches)
		before = run
	}
	if _, err := io.Copy(io.Discard, d.r); err != nil { // for the CRC
		return nil, err
	}
	switch {
	case d.crc.Sum32() != d.trailer.crc:
		return nil, badCRC("footer")
	case length != d.trailer.length:
		return nil, corrupt("%d bytes of footer, its entries have %d", d.trailer.length, length)
	case ID(head[:len(id)]) != id:
		return nil, corrupt("it says that it is %s", ID(head[:len(id)]))
	}
	return blocks, checkEnd(before, d.trailer.footer)
}

// entry reads one entry, without the positions of its batches: batches say themselves how long they
// are.
func (d *blockDecoder) entry(r, before *Run) (batches int, err error) {
	head, err := d.r.Peek(entryLen)
	if err != nil {
		return 0, err
	}
	if batches, err = parseEntryHead(r, head); err != nil {
		return 0, err
	}
	if _, err := d.r.Discard(entryLen + 4*batches); err != nil {
		return 0, err
	}
	return batches, checkRun(r, before, Merged, d.trailer.footer)
}
