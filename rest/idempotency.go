package rest

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/ingest"
)

// The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) makes a request that is
// made again, at whichever node, write nothing twice: for 24 hours it gets the first answer again.
// If an earlier try got only part of the way, the rest is written.

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255 // bytes
)

// idempotencyKey reads the key of a request: a string as structured fields have it (RFC 9651), or
// the bare characters. Empty: the request has none.
func idempotencyKey(h http.Header) (string, error) {
	given := h.Values(idempotencyHeader)
	if len(given) == 0 {
		return "", nil
	}
	bad := func(why string) (string, error) {
		return "", refuse(http.StatusBadRequest, idempotencyHeader, idempotencyHeader+" %s", why)
	}
	if len(given) > 1 {
		return bad("is there more than once")
	}
	key := strings.TrimSpace(given[0])
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = structuredString(key); !ok {
			return bad(`is not a string in quotes, "like this"`)
		}
	}
	switch {
	case key == "":
		return bad("is empty")
	case len(key) > maxIdempotencyKey:
		return bad("is longer than 255 characters")
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }):
		return bad("has other characters than those of ASCII that can be printed")
	}
	return key, nil
}

// structuredString reads a string in quotes, in which \" and \\ stand for quote and backslash.
func structuredString(quoted string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch quoted[i] {
		case '"':
			return b.String(), i == len(quoted)-1
		case '\\':
			if i++; i == len(quoted) || quoted[i] != '"' && quoted[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(quoted[i])
	}
	return "", false
}

// underWay is the answer to a client that makes a request again while an earlier try is on its way:
// it asks once more, and gets the answer of that.
func underWay() *problem {
	p := refuse(http.StatusConflict, idempotencyHeader, "another try of this request is still under way")
	p.retryAfter = time.Second
	return p
}

func keyReused() *problem {
	return refuse(http.StatusUnprocessableEntity, idempotencyHeader, "%v: with this key other records were sent",
		coordinator.ErrKeyReused)
}

// writeOnce writes a request that has a key. Tries with one key at this node wait for each other.
func (s *Server) writeOnce(ctx context.Context, w *writeRequest) (*writtenRequest, error) {
	key := ingest.NewRequestKey(ofCaller(ctx, w.key), w.records)
	w.id, w.spread = &key, ingest.SpreadOf(&key)
	leave, err := s.producers.keys.enter(ctx, inFlightKey{w.topic.ID, key.ID}, s.opts.Limits.WriteTimeout)
	if err != nil {
		return nil, err
	}
	defer leave()
	catchingUp, cancel := context.WithTimeout(ctx, s.opts.Limits.WriteTimeout)
	defer cancel()
	if err := s.opts.Node.CatchUp(catchingUp); err != nil {
		return nil, err
	}
	before := s.view().Keyed(w.topic.ID, key.ID)
	if err := s.sameRequest(w, before); err != nil {
		return nil, err
	}
	if len(before) > 0 {
		return s.resume(ctx, w, before)
	}
	if err := w.check(allRecords(w)); err != nil {
		return nil, err
	}
	packed, err := s.pack(w, w.id.Partitions)
	if err != nil {
		return nil, err
	}
	done := &writtenRequest{records: make([]written, len(w.records))}
	return done, s.deliver(ctx, w, packed, done)
}

// resume answers a request of which some was written before, and writes the rest. Only the rest has
// to be what the topic takes by now.
func (s *Server) resume(ctx context.Context, w *writeRequest, before []coordinator.Keyed) (*writtenRequest, error) {
	packed, err := w.split(w.id.Partitions)
	if err != nil {
		return nil, err
	}
	done := &writtenRequest{records: make([]written, len(w.records))}
	rest := w.recall(packed, before, done)
	if done.replayed = len(rest) == 0; done.replayed {
		return done, nil
	}
	if err = w.check(recordsOf(rest)); err == nil {
		err = s.prepare(w, rest)
	}
	if err == nil {
		err = s.deliver(ctx, w, rest, done)
	}
	if err != nil {
		refused := s.problemOf(err)
		for i := range rest {
			done.fail(&rest[i], &refused)
		}
	}
	return done, nil
}

// recordsOf are the indexes of the records of batches.
func recordsOf(packed []ingest.Packed) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range packed {
			for _, record := range packed[i].Records {
				if !yield(record) {
					return
				}
			}
		}
	}
}

// sameRequest wants that what was written with this key before, if anything was, is of the same
// request. What the first try decided holds for this one as well: else its records would come to
// other partitions.
func (s *Server) sameRequest(w *writeRequest, before []coordinator.Keyed) error {
	w.id.Partitions, w.id.Timestamp = w.topic.Partitions, w.now.UnixMilli()
	for i := range before {
		if before[i].Body != w.id.Body {
			return keyReused()
		}
		w.id.Partitions, w.id.Timestamp = before[i].Partitions, before[i].Timestamp
		w.now = time.UnixMilli(before[i].Timestamp)
	}
	if most := s.opts.Limits.MaxIdempotencyKeys; len(before) == 0 && s.view().KeyCount() >= most {
		return full("MaxIdempotencyKeys", "%d idempotency keys are remembered, each for 24 hours, and that is as many as "+
			"there may be; nothing was written", most)
	}
	return nil
}

// recall notes the records that were written before, and returns the batches that were not.
func (w *writeRequest) recall(packed []ingest.Packed, before []coordinator.Keyed,
	done *writtenRequest) (rest []ingest.Packed) {
	given := make([]int64, len(w.records))
	for i := range w.records {
		given[i] = w.records[i].Timestamp
	}
	known := map[int32]*coordinator.Keyed{}
	for i := range before {
		known[before[i].Partition.Index] = &before[i]
	}
	for i := range packed {
		b := &packed[i]
		if k := known[b.Batch.Partition.Index]; k != nil {
			done.place(b, k.BaseOffset, given, k.Timestamp, w.config.LogAppendTime)
		} else {
			rest = append(rest, *b)
		}
	}
	return rest
}

// keysInFlight has the tries of one request at this node wait for each other.
type keysInFlight struct {
	mu   sync.Mutex
	busy map[inFlightKey]chan struct{} // closed when the try is over
}

type inFlightKey struct {
	topic [16]byte
	id    [16]byte
}

// enter waits until no other try of the request is under way.
func (k *keysInFlight) enter(ctx context.Context, key inFlightKey, patience time.Duration) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		k.mu.Lock()
		other, busy := k.busy[key]
		if !busy {
			if k.busy == nil {
				k.busy = map[inFlightKey]chan struct{}{}
			}
			over := make(chan struct{})
			k.busy[key] = over
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.busy, key)
				k.mu.Unlock()
				close(over)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, underWay()
		}
	}
}
