package rest

import (
	"bytes"
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
	"firn.dev/retry"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// A tail gives the records of a topic as Server-Sent Events, one for each record. The id of an
// event says where every partition is to be read on, so that a client that comes again with
// Last-Event-ID misses nothing and gets nothing twice, from whichever node. A client that reads
// slowly is read for slowly: nothing is held for it but one chunk of one partition.
const (
	maxTailPartitions = 256       // each id names all of them
	tailBytes         = 256 << 10 // read of one partition before the next has its turn
	tailText          = 1 << 20   // about as much is sent at once
	heartbeat         = 15 * time.Second
	reconnectMillis   = 1000
)

// tailing is one tail.
type tailing struct {
	s       *Server
	out     http.ResponseWriter
	control *http.ResponseController
	topic   *coordinator.Topic
	all     bool         // of the topic's partitions, those included that are still to come
	parts   []int32      // in ascending order
	next    []int64      // where each is to be read on
	goesOn  func() error // why the client may not have more
	asked   time.Time    // when that was last asked
}

// tail streams the records of a topic.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, "partitions", "from")
	from, err := parsePlace("from", q.text("from", "latest"))
	if q.err != nil || err != nil {
		return errors.Join(q.err, err)
	}
	topic, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	t := &tailing{s: s, out: w, control: http.NewResponseController(w), topic: topic,
		all: !q.values.Has("partitions"), asked: time.Now()}
	t.goesOn = func() error { return s.goesOn(r, access.Read, access.Topic, topic.Name) }
	if err := t.choose(q.text("partitions", "")); err != nil {
		return err
	}
	if err := s.catchUp(r.Context()); err != nil { // positions may be of another node that knows more
		return fmt.Errorf("this node is cut off; try another: %w", err)
	}
	if err := t.begin(r.Context(), from, r.Header.Get("Last-Event-ID")); err != nil {
		return err
	}
	leave, err := enter(s.readers.tails, "MaxTails", "tails")
	if err != nil {
		return err
	}
	defer leave()
	return t.stream(r)
}

// choose finds out which partitions are asked for.
func (t *tailing) choose(list string) error {
	if t.all {
		for i := range t.topic.Partitions {
			t.parts = append(t.parts, i)
		}
	} else {
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil || n < 0 || n >= int64(t.topic.Partitions) || len(t.parts) > 0 && int32(n) <= t.parts[len(t.parts)-1] {
				return invalid("partitions", "is %q; it has to be numbers below %d in ascending order, with commas between them",
					list, t.topic.Partitions)
			}
			t.parts = append(t.parts, int32(n))
		}
	}
	if len(t.parts) > maxTailPartitions {
		return invalid(
			"partitions",
			"are %d; a tail can have %d: choose some, like partitions=0,1,2",
			len(t.parts),
			maxTailPartitions,
		)
	}
	return nil
}

// begin finds out where to begin. Partitions that a Last-Event-ID does not name are newer than it,
// and begin with their first record.
func (t *tailing) begin(ctx context.Context, from index.Place, lastID string) error {
	known, err := parsePositions(lastID)
	if err != nil {
		return err
	}
	t.next = make([]int64, len(t.parts))
	for i, p := range t.parts {
		at := segments.Partition{Topic: t.topic.ID, Index: p}
		if t.next[i], err = t.s.offsetOf(ctx, at, from); err != nil {
			return err
		}
		if _, byOffset := from.Offset(); lastID == "" && !byOffset {
			continue
		}
		info, _ := t.s.view().Partition(at)
		if lastID != "" {
			var named bool
			if t.next[i], named = known[p]; !named {
				t.next[i] = info.LogStart
			}
		}
		if t.next[i] > info.HighWatermark {
			return t.s.outOfRange(&reading{topic: t.topic, at: at, offset: t.next[i]}, index.ErrOffsetOutOfRange)
		}
	}
	return nil
}

// id says where each partition is to be read on: 0:17,1:4.
func (t *tailing) id() []byte {
	var b []byte
	for i, p := range t.parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%d:%d", p, t.next[i])
	}
	return b
}

// parsePositions reads an id.
func parsePositions(id string) (map[int32]int64, error) {
	if id == "" {
		return nil, nil
	}
	known := map[int32]int64{}
	for text := range strings.SplitSeq(id, ",") {
		before, after, _ := strings.Cut(text, ":")
		p, err := strconv.ParseInt(before, 10, 32)
		offset, err2 := strconv.ParseInt(after, 10, 64)
		_, twice := known[int32(p)]
		if err != nil || err2 != nil || p < 0 || offset < 0 || twice || len(known) == maxTailPartitions {
			return nil, invalid("Last-Event-ID", "is none that this server has sent")
		}
		known[int32(p)] = offset
	}
	return known, nil
}

// stream sends events until the client goes, the topic is deleted, or the server stops.
func (t *tailing) stream(r *http.Request) error {
	t.out.Header().Set("Content-Type", "text/event-stream")
	t.out.Header().Set("X-Accel-Buffering", "no")
	t.out.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if t.send(fmt.Appendf(nil, "retry: %d\nid: %s\n\n", reconnectMillis, t.id())) != nil {
		return nil
	}
	ctx := r.Context()
	watch := t.s.view().Watch(t.watched()...)
	defer func() { watch.Close() }()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		if grown, err := t.grow(); err != nil {
			return nil
		} else if grown {
			watch.Close()
			watch = t.s.view().Watch(t.watched()...)
		}
		more, err := t.round(ctx)
		if err != nil {
			return nil
		}
		t.s.awaitQuota(r, access.FetchedBytes)
		if more && t.s.readers.stopping.Err() == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-watch.C:
		case <-ticker.C:
			err = t.send([]byte(":\n\n"))
		case <-t.s.readers.stopping.Done():
			_ = t.send([]byte(": this node is stopping; come again\n\n"))
			return nil
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return nil
		}
	}
}

func (t *tailing) watched() []segments.Partition {
	ps := make([]segments.Partition, len(t.parts))
	for i, p := range t.parts {
		ps[i] = segments.Partition{Topic: t.topic.ID, Index: p}
	}
	return ps
}

// errTailEnds ends a tail.
var errTailEnds = errors.New("the tail ends")

// grow takes in partitions that have come, from their first record on. A topic that is gone ends
// the tail.
func (t *tailing) grow() (grown bool, err error) {
	topic := t.s.view().TopicByID(t.topic.ID)
	if topic == nil {
		return false, t.end(kafkaProblem(kerr.UnknownTopicOrPartition, "the topic was deleted"))
	}
	if !t.all || int(topic.Partitions) == len(t.parts) {
		return false, nil
	}
	for p := int32(len(t.parts)); p < topic.Partitions; p++ {
		if len(t.parts) == maxTailPartitions {
			return false, t.end(
				*full("maxTailPartitions", "the topic has more partitions now than a tail can have: choose some"),
			)
		}
		t.parts, t.next = append(t.parts, p), append(t.next, 0)
	}
	return true, nil
}

// end sends an event that says why no more will come.
func (t *tailing) end(p problem) error {
	p.Title = http.StatusText(p.Status)
	_ = t.send(tailEvent("end", nil, p))
	return errTailEnds
}

// stillAllowed ends a tail whose client has lost its login or its permission.
func (t *tailing) stillAllowed() error {
	if time.Since(t.asked) < stillGoodAfter {
		return nil
	}
	t.asked = time.Now()
	if err := t.goesOn(); err != nil {
		return t.end(t.s.problemOf(err))
	}
	return nil
}

// round reads a little of each partition that has something. It says whether there may be more.
func (t *tailing) round(ctx context.Context) (more bool, err error) {
	for i := range t.parts {
		if err := t.stillAllowed(); err != nil {
			return false, err
		}
		left, err := t.forward(ctx, i)
		if err != nil {
			return false, err
		}
		more = more || left
	}
	return more, nil
}

// forward reads a little of one partition and sends it. It says whether there is more.
func (t *tailing) forward(ctx context.Context, i int) (more bool, err error) {
	at := segments.Partition{Topic: t.topic.ID, Index: t.parts[i]}
	info, ok := t.s.view().Partition(at)
	if !ok || t.next[i] >= info.LastStable {
		return false, nil
	}
	if t.next[i] < info.LogStart { // retention or somebody has deleted what came next
		gap := tailGap{t.parts[i], t.next[i], info.LogStart}
		t.next[i] = info.LogStart
		return true, t.send(tailEvent("gap", t.id(), gap))
	}
	memory := t.s.readShare(ctx)
	defer memory.giveBack()
	if memory.grow(ctx, tailBytes+tailText) != nil {
		return true, retry.Pause(ctx, t.s.opts.Limits.BusyWait)
	}
	reading, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	chunk, err := t.s.opts.Index.ReadWithin(
		reading,
		at,
		t.next[i],
		index.Bounds{MaxBytes: tailBytes, AtLeastOne: true, Committed: true, Reserve: memory.grow},
	)
	switch {
	case errors.Is(err, index.ErrOffsetOutOfRange), errors.Is(err, coordinator.ErrUnknownPartition):
		return true, nil // the next round knows why
	case err != nil:
		return false, t.end(t.s.problemOf(err))
	case len(chunk.Batches) == 0:
		return false, nil
	}
	return t.give(ctx, i, chunk)
}

// give sends the records of a chunk, about tailText at a time.
func (t *tailing) give(ctx context.Context, i int, chunk index.Chunk) (more bool, err error) {
	var out bytes.Buffer
	text := newRecordText(func(c *consumed) { c.Partition = &t.parts[i] })
	skip := func(u unreadable) (bool, error) {
		if out.Len() >= tailText {
			return false, nil
		}
		u.Partition, t.next[i] = &t.parts[i], u.To
		out.Write(tailEvent("skipped", t.id(), u))
		return true, nil
	}
	for size := tailText; size >= tailText; {
		out.Reset()
		take := func(r batch.Record) (bool, error) {
			if out.Len() >= tailText {
				return false, nil
			}
			text.Reset()
			if err := text.add(r); err != nil {
				return false, err
			}
			t.next[i] = r.Offset + 1
			fmt.Fprintf(
				&out,
				"id: %s\ndata: %s\n",
				t.id(),
				text.Bytes(),
			) // the text ends in a newline, and an empty line ends the event
			return true, nil
		}
		next, err := t.s.decode(ctx, &chunk, t.next[i], taker{take, skip})
		if err != nil {
			return false, t.end(t.s.problemOf(err))
		}
		t.next[i] = next
		if size = out.Len(); size > 0 {
			if err := t.send(out.Bytes()); err != nil {
				return false, err
			}
		}
	}
	return t.next[i] < chunk.LastStable, nil
}

// tailGap says that records were deleted before the tail came to them.
type tailGap struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// tailEvent is an event of a type of its own.
func tailEvent(kind string, id []byte, v any) []byte {
	b := fmt.Appendf(nil, "event: %s\n", kind)
	if id != nil {
		b = fmt.Appendf(b, "id: %s\n", id)
	}
	return fmt.Appendf(b, "data: %s\n\n", compactJSON(v))
}

// send sends bytes to the client, who has some time to take them.
func (t *tailing) send(b []byte) error {
	_ = t.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := t.out.Write(b); err != nil {
		return err
	}
	return t.control.Flush()
}
