package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Bounds of a request that reads.
const (
	maxReadBytes     = 8 << 20
	defaultReadBytes = 1 << 20
	maxReadRecords   = 100_000
	maxWait          = 60 * time.Second

	bucketTimeout = 25 * time.Second // for the bucket to answer
	sendTimeout   = 30 * time.Second // for the client to take an answer
)

// reading is one request for the records of one partition.
type reading struct {
	topic      *coordinator.Topic
	at         segments.Partition
	offset     int64
	maxBytes   int // of batches as they are stored, and of the answer; one record or batch is always given
	maxRecords int
	wait       time.Duration
	filter     recordFilter
}

// readRecords answers with the records of a partition from an offset on.
func (s *Server) readRecords(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, append([]string{"offset", "from", "max_bytes", "max_records", "wait"}, filterParameters...)...)
	read := &reading{
		filter:     q.filter(),
		maxBytes:   int(q.number("max_bytes", defaultReadBytes, 1, maxReadBytes)),
		maxRecords: int(q.number("max_records", maxReadRecords, 1, maxReadRecords)),
		wait:       q.duration("wait", maxWait),
	}
	from, err := q.placeOf()
	if q.err != nil || err != nil {
		return errors.Join(q.err, err)
	}
	kind, err := negotiate(r, typeJSON, typeNDJSON, typeBatches)
	if err != nil {
		return err
	}
	if kind == typeBatches && !read.filter.all() {
		return refuse(http.StatusBadRequest, "Accept", "batches are given as they are: %s have no meaning for them",
			strings.Join(filterParameters, ", "))
	}
	if read.topic, read.at, err = s.namedPartition(r); err != nil {
		return err
	}
	if newest(from) {
		_ = s.catchUp(r.Context()) // a node that is cut off answers as well as it can, like ListOffsets
	}
	if read.offset, err = s.offsetOf(r.Context(), read.at, from); err != nil {
		return err
	}
	lastFor(w, read.wait)
	memory := s.readShare(r.Context())
	defer memory.giveBack()
	chunk, err := s.poll(r.Context(), read, memory)
	if err != nil {
		return s.outOfRange(read, err)
	}
	if !read.filter.all() { // what the filter leaves out was read as well
		s.opts.Quotas.Use(access.FetchedBytes, quotaClient(r), float64(sizeOf(chunk.Batches)))
	}
	if read.wait > 0 { // the client may have lost its login or a permission meanwhile
		if err := s.goesOn(r, access.Read, access.Topic, read.topic.Name); err != nil {
			return err
		}
	}
	return s.sendRecords(w, r, kind, read, chunk, memory)
}

// lastFor lets an answer take some time more than the server's timeout, which is for clients that
// are slow.
func lastFor(w http.ResponseWriter, d time.Duration) {
	_ = http.NewResponseController(w).
		SetWriteDeadline(time.Now().Add(d + patience + sendTimeout))
	// which a recorder in a test does not have
}

// patience is how long a request may wait for memory, for the news, and for the bucket.
const patience = bucketTimeout + catchUpTimeout + 5*time.Second

// outOfRange says what the range is.
func (s *Server) outOfRange(read *reading, err error) error {
	if !errors.Is(err, index.ErrOffsetOutOfRange) && !errors.Is(err, coordinator.ErrOffsetRange) {
		return err
	}
	info, _ := s.view().Partition(read.at)
	return &problem{
		Status: http.StatusRequestedRangeNotSatisfiable,
		Code:   kerr.OffsetOutOfRange.Message,
		Field:  "offset",
		Detail: fmt.Sprintf(
			"offset %d of partition %d is not from %d to %d",
			read.offset,
			read.at.Index,
			info.LogStart,
			info.HighWatermark,
		),
		LogStart:      &info.LogStart,
		HighWatermark: &info.HighWatermark,
	}
}

// poll reads, and waits for something to read. Memory for the answer is taken when there is
// something: no more than was read, and as much for its text.
func (s *Server) poll(ctx context.Context, read *reading, memory *share) (chunk index.Chunk, err error) {
	chunk, err = s.locate(ctx, read)
	if err == nil && read.offset >= chunk.LastStable && read.wait > 0 {
		err = s.await(ctx, read)
	}
	if err != nil {
		return chunk, err
	}
	if chunk, err = s.locate(ctx, read); err != nil || read.offset >= chunk.LastStable {
		return chunk, err
	}
	if read.maxBytes, err = memory.reserve(ctx, read.maxBytes); err != nil {
		return chunk, err
	}
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	chunk, err = s.opts.Index.ReadWithin(
		ctx,
		read.at,
		read.offset,
		index.Bounds{MaxBytes: read.maxBytes, AtLeastOne: true, Committed: true,
			Reserve: func(ctx context.Context, n int64) error { return memory.grow(ctx, 2*n) }},
	)
	if err == nil {
		memory.shrink(int64(sizeOf(chunk.Batches) + read.maxBytes))
	}
	return chunk, err
}

func sizeOf(batches [][]byte) (n int) {
	for _, b := range batches {
		n += len(b)
	}
	return n
}

// locate finds out where the partition stands.
func (s *Server) locate(ctx context.Context, read *reading) (index.Chunk, error) {
	info, ok := s.view().Partition(read.at)
	if ok && read.offset > info.HighWatermark { // the client may have read more from another node
		if err := s.catchUp(ctx); err != nil {
			return index.Chunk{}, &problem{
				Status:     http.StatusServiceUnavailable,
				Code:       kerr.NotLeaderForPartition.Message,
				retryAfter: time.Second,
				Detail: fmt.Sprintf(
					"this node is cut off and knows partition %d up to %d only; try another",
					read.at.Index,
					info.HighWatermark,
				),
			}
		}
		info, ok = s.view().Partition(read.at)
	}
	chunk := index.Chunk{HighWatermark: info.HighWatermark, LastStable: info.LastStable, LogStart: info.LogStart}
	switch {
	case !ok:
		return chunk, fmt.Errorf("partition %s: %w", read.at, coordinator.ErrUnknownPartition)
	case read.offset < info.LogStart || read.offset > info.HighWatermark:
		return chunk, index.ErrOffsetOutOfRange
	}
	return chunk, nil
}

// await waits until the last stable offset has passed the offset, or as long as the request allows.
func (s *Server) await(ctx context.Context, read *reading) error {
	leave, err := enter(s.readers.polls, "MaxLongPolls", "requests that wait for records")
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, read.wait)
	defer cancel()
	defer context.AfterFunc(s.readers.stopping, cancel)()
	watch := s.view().Watch(read.at)
	defer watch.Close()
	for {
		if info, known := s.view().Partition(read.at); !known || info.LastStable > read.offset {
			return nil
		}
		select {
		case <-watch.C:
		case <-ctx.Done():
			return nil // nothing came
		}
	}
}

// sendRecords answers with what was read.
func (s *Server) sendRecords(
	w http.ResponseWriter,
	r *http.Request,
	kind string,
	read *reading,
	chunk index.Chunk,
	memory *share,
) error {
	h := w.Header()
	body, next := []byte(nil), read.offset
	if kind == typeBatches {
		body = committed(&chunk)
		next = chunk.Next(next)
	} else {
		text, err := s.textOf(r.Context(), read, chunk, memory)
		if err != nil {
			return err
		}
		body, next = text.Bytes(), text.next
		if kind == typeJSON {
			body = text.whole(read, chunk)
		}
		for _, u := range text.skipped {
			h.Add("Firn-Skipped-Offsets", fmt.Sprintf("%d-%d", u.From, u.To-1))
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Firn-Next-Offset", strconv.FormatInt(next, 10))
	h.Set("Firn-High-Watermark", strconv.FormatInt(chunk.HighWatermark, 10))
	h.Set("Firn-Log-Start-Offset", strconv.FormatInt(chunk.LogStart, 10))
	w.WriteHeader(http.StatusOK)
	chunk.Batches = nil
	memory.shrink(int64(len(body)))
	memory.send(w, body)
	return nil
}

// committed returns the batches of a chunk that are of no aborted transaction.
func committed(chunk *index.Chunk) []byte {
	body := make([]byte, 0, sizeOf(chunk.Batches))
	for _, run := range chunk.Batches {
		for h, err := range batch.All(run) {
			if err != nil {
				break
			}
			if !chunk.IsAborted(&h) {
				body = append(body, run[:h.Size()]...)
			}
			run = run[h.Size():]
		}
	}
	return body
}

// textOf makes text of what was read: as many records as the request allows, and at least one if
// there is one.
func (s *Server) textOf(
	ctx context.Context,
	read *reading,
	chunk index.Chunk,
	memory *share,
) (text *recordText, err error) {
	text = newRecordText(nil)
	take := func(r batch.Record) (bool, error) {
		if !read.filter.matches(&r) {
			return true, nil
		}
		return text.addWithin(r, read.maxRecords, read.maxBytes)
	}
	text.next, err = s.decode(ctx, &chunk, read.offset, taker{take, text.skip})
	if err != nil {
		return nil, err
	}
	return text, memory.grow(
		ctx,
		int64(text.Len()-read.maxBytes),
	) // a single record may be larger than what was asked for
}
