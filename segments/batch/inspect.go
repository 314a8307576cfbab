package batch

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
)

// MaxDecompressed is how many bytes the records of one batch may have at most when they are
// decompressed. Producers may be held to less, but whatever was once taken from them has to be read
// later: by lookups, replay, compaction and HTTP.
const MaxDecompressed = 100 << 20

// Scanned is what Scan tells of one record.
type Scanned struct {
	Index     int
	Offset    int64
	Timestamp int64 // milliseconds
	NullKey   bool
}

// Scan goes through the records of a batch without taking them apart: they are well formed, as many
// as it says, and nothing is between or behind them. It decompresses as it goes, holds no more than
// a buffer and what the decoder needs, and allocates nothing for a record. visit is called for each
// record in order, until it returns false; it must not read batches itself, since it has the slot
// of a decoder, and must not wait for anything. Records that decompress to more than
// maxDecompressed bytes are ErrTooLarge.
func Scan(b []byte, maxDecompressed int, visit func(Scanned) bool) error {
	h, err := ReadHeader(b)
	if err != nil {
		return err
	}
	s := scanners.Get().(*scanner)
	defer s.release()
	records := b[HeaderLen:h.Size()]
	codec := h.Attributes.Codec()
	if codec == None {
		s.buf, s.end = records, len(records)
		return s.scan(h, visit)
	}
	p := takeSlot()
	defer p.leave()
	r, err := p.open(codec, records, maxDecompressed)
	if err != nil {
		return undecoded(codec, err)
	}
	defer r.Close()
	s.from(r, maxDecompressed)
	s.slot = p
	err = s.scan(h, visit)
	if s.failed != nil {
		err = undecoded(codec, s.failed)
	}
	return err
}

// Inspect looks at every record of a batch that has passed Check, as it came from a producer: what
// Scan looks at; offsets count up by one; and Kafka's own clients can decompress it. It returns the
// largest timestamp of a record, -1 if none has one, which is not always what the header says.
func Inspect(b []byte, maxDecompressed int, visit func(Scanned)) (maxTimestamp int64, err error) {
	h, err := ReadHeader(b)
	if err != nil {
		return -1, err
	}
	if err := checkFrame(h.Attributes.Codec(), b[HeaderLen:]); err != nil {
		return -1, err
	}
	maxTimestamp = -1
	var misplaced error
	err = Scan(b, maxDecompressed, func(r Scanned) bool {
		if r.Offset != h.BaseOffset+int64(r.Index) {
			misplaced = corruptRecord(int32(r.Index), errOffset)
			return false
		}
		maxTimestamp = max(maxTimestamp, r.Timestamp)
		visit(r)
		return true
	})
	return maxTimestamp, cmp.Or(err, misplaced)
}

// lz4Independent is the bit in the flags of an LZ4 frame that says that no block needs another.
const lz4Independent = 1 << 5

// checkFrame refuses what this package reads and Java's client does not: LZ4 frames whose blocks
// look back into others.
func checkFrame(codec Codec, src []byte) error {
	if codec == LZ4 && len(src) > 4 && src[4]&lz4Independent == 0 {
		return fmt.Errorf("%w: %s: the blocks of its frame depend on each other, which Kafka's own clients do not read",
			ErrCorrupt, codec)
	}
	return nil
}

// scanBytes is what is decompressed at once. Records that are larger pass through it piece by
// piece.
const scanBytes = 32 << 10

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// scanner reads records from a stream. Its first failure is sticky, and ends every loop over what a
// record claims.
type scanner struct {
	r      io.Reader
	slot   *slot
	buf    []byte // all of the records if r is nil
	own    []byte // for buf, if r is not nil
	pos    int
	end    int
	most   int         // bytes that may come from r
	came   int         // bytes that have
	left   int         // bytes of the record
	wrong  recordError // what is wrong with the record
	failed error       // of the decoder, or ErrTooLarge
}

func (s *scanner) from(r io.Reader, maxDecompressed int) {
	if s.own == nil {
		s.own = make([]byte, scanBytes)
	}
	s.r, s.buf, s.most = r, s.own, maxDecompressed
}

func (s *scanner) release() {
	*s = scanner{own: s.own}
	scanners.Put(s)
}

func (s *scanner) scan(h Header, visit func(Scanned) bool) error {
	for i := range h.Records {
		r := s.record()
		if s.failed != nil || s.wrong != "" {
			return corruptRecord(i, s.wrong)
		}
		r.Index = int(i)
		r.Offset += h.BaseOffset
		if r.Timestamp += h.BaseTimestamp; h.Attributes.LogAppendTime() {
			r.Timestamp = h.MaxTimestamp
		}
		if !visit(r) {
			return nil
		}
	}
	if s.pos < s.end || s.fill() {
		return corruptRecord(h.Records-1, errBehind)
	}
	return nil
}

// record reads a record. Its offset and its timestamp are what to add to those of the batch.
func (s *scanner) record() (r Scanned) {
	s.left = binary.MaxVarintLen64
	s.left = int(s.varint(0, math.MaxInt32))
	s.skip(1) // attributes, none of which are in use
	r.Timestamp = s.varint(math.MinInt64, math.MaxInt64)
	r.Offset = s.varint(0, math.MaxInt32)
	r.NullKey = s.bytes()
	s.bytes() // value
	for n := s.varint(0, math.MaxInt32); n > 0 && s.wrong == ""; n-- {
		if s.bytes() {
			s.fail(errLength) // a header's key is never null
		}
		s.bytes()
	}
	if s.left > 0 {
		s.fail(errLength)
	}
	return r
}

func (s *scanner) fail(err recordError) {
	if s.wrong == "" {
		s.wrong = err
	}
	s.left = 0
}

// bytes skips a length and as many bytes, and says whether they are null: the length is -1.
func (s *scanner) bytes() (null bool) {
	n := s.varint(-1, math.MaxInt32)
	if n < 0 {
		return true
	}
	s.skip(int(n))
	return false
}

func (s *scanner) varint(least, most int64) int64 {
	if s.end-s.pos < binary.MaxVarintLen64 {
		s.ahead()
	}
	v, n := binary.Varint(s.buf[s.pos:s.end])
	switch {
	case s.wrong != "":
		return 0
	case n == 0 || n > s.left:
		s.fail(errEnd)
		return 0
	case n < 0 || v < least || v > most:
		s.fail(errVarint)
		return 0
	}
	s.pos += n
	s.left -= n
	return v
}

func (s *scanner) skip(n int) {
	if n > s.left {
		s.fail(errEnd)
		return
	}
	s.left -= n
	for n > s.end-s.pos {
		n -= s.end - s.pos
		s.pos = s.end
		if !s.fill() {
			s.fail(errEnd)
			return
		}
	}
	s.pos += n
}

// ahead makes a varint's bytes lie in the buffer, if there are as many.
func (s *scanner) ahead() {
	if s.r == nil {
		return
	}
	for s.end-s.pos < binary.MaxVarintLen64 && s.fill() {
	}
}

// fill reads more, behind what has not been read yet. It returns false at the end, and after a
// failure.
func (s *scanner) fill() bool {
	if s.r == nil || s.failed != nil {
		return false
	}
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos = 0
	for {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.came += n
		s.slot.pace(n)
		switch {
		case s.came > s.most:
			s.failed = tooLarge(s.most)
			return false
		case n > 0:
			return true // what is behind err comes again
		case err == io.EOF:
			return false
		case err != nil:
			s.failed = err
			return false
		}
	}
}
