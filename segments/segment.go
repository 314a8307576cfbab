package segments

// Kind tells the two kinds of segment apart.
type Kind uint8

const (
	// Mixed segments are written by one flush and hold runs of many partitions. Offsets are not known
	// when they are written: their batches carry base offset 0 and the commit decides.
	Mixed Kind = 1
	// Merged segments are written by a merge and hold one partition, with absolute offsets, and an
	// index of blocks to seek in.
	Merged Kind = 2
)

// MaxRunBytes is where a run is cut: a partition with more bytes in one segment has several runs
// there. A run holds whole batches, so a single larger batch makes a larger run. It bounds what a
// reader fetches at once.
const MaxRunBytes = 1 << 20

// Run is one entry of a segment's footer index: contiguous batches of one partition.
type Run struct {
	Partition    Partition
	Position     int64 // of the first byte, in the object
	Length       int64
	CRC          uint32  // CRC-32C of the run's bytes
	BaseOffset   int64   // of the first record; -1 in a mixed segment
	LastOffset   int64   // of the last record; -1 in a mixed segment
	Records      int64   // how many the run holds
	MinTimestamp int64   // smallest base timestamp of its batches, milliseconds
	MaxTimestamp int64   // largest max timestamp of its batches, milliseconds
	Batches      []int32 // position of each batch in the run, ascending, the first 0
}
