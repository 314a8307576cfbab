package segments

import (
	"fmt"
	"io"
	"strings"
	"time"

	"firn.dev/segments/batch"
)

func (k Kind) String() string {
	switch k {
	case Mixed:
		return "mixed"
	case Merged:
		return "merged"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Describe writes what a segment holds in readable form, down to each batch. It returns what
// Validate says of the object, after it has written as much as can be read.
func Describe(w io.Writer, object []byte) error {
	index, err := Decode(object)
	if err != nil {
		return err
	}
	d := describer{w: w}
	d.printf("segment %s, %s, version %d, %d bytes, sealed %s\n", index.ID, index.Kind, object[8], len(object),
		index.ID.Time().UTC().Format(time.RFC3339Nano))
	for i := range index.Runs {
		r := &index.Runs[i]
		d.printf("run %d: partition %s, %d bytes at %d, crc %08x, %d batches, %d records%s, time %s to %s\n", i, r.Partition,
			r.Length, r.Position,
			r.CRC, len(r.Batches), r.Records, offsets(index.Kind, r.BaseOffset, r.LastOffset), timestamp(r.MinTimestamp),
			timestamp(r.MaxTimestamp))
		d.batches(object[r.Position:r.Position+r.Length], index.Kind)
	}
	if d.err != nil {
		return d.err
	}
	return Validate(object)
}

// describer prints until it fails.
type describer struct {
	w   io.Writer
	err error
}

func (d *describer) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

func (d *describer) batches(run []byte, kind Kind) {
	position := 0
	for h, err := range batch.All(run) {
		if err != nil {
			d.printf("  %8d  %v\n", position, err)
			return
		}
		d.printf("  %8d  %d bytes, %d records%s, %s, time %s to %s%s\n", position, h.Size(), h.Records,
			offsets(kind, h.BaseOffset, h.BaseOffset+int64(h.LastOffsetDelta)), h.Attributes.Codec(), timestamp(h.BaseTimestamp),
			timestamp(h.MaxTimestamp), producer(h))
		position += h.Size()
	}
}

func offsets(kind Kind, base, last int64) string {
	if kind == Mixed {
		return ""
	}
	return fmt.Sprintf(", offsets %d to %d", base, last)
}

func producer(h batch.Header) string {
	var b strings.Builder
	if h.ProducerID >= 0 {
		fmt.Fprintf(&b, ", producer %d epoch %d", h.ProducerID, h.ProducerEpoch)
	}
	if h.BaseSequence >= 0 {
		fmt.Fprintf(&b, " sequence %d to %d", h.BaseSequence, h.LastSequence())
	}
	if h.Attributes.Transactional() {
		b.WriteString(", transactional")
	}
	if h.Attributes.Control() {
		b.WriteString(", control")
	}
	return b.String()
}

func timestamp(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}
