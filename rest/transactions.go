package rest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/ingest"
	"firn.dev/tracing"
)

// A transaction is one request: records of several topics and the offsets that they follow from,
// all or nothing. It has a key, so that it may be made again. docs/internals/transactions.md says
// how.

// transactionOffsets are offsets of claims of a group: as a request to commit them has them.
type transactionOffsets struct {
	Group string `json:"group"`
	heldClaims
}

// transaction is a request of POST /v1/transactions.
type transaction struct {
	key     coordinator.RequestKey // without partitions and timestamp, which topics have
	parts   []*transactionPart
	records int
	offsets *transactionOffsets // nil: none
	held    []groups.Held
}

// transactionPart is the records of one topic.
type transactionPart struct {
	writeRequest
	indexes []int // of its records in the request
	before  []coordinator.Keyed
	packed  []ingest.Packed
	done    *writtenRequest
}

// transact writes records and commits offsets in one step.
func (s *Server) transact(w http.ResponseWriter, r *http.Request) error {
	if err := s.takesWork(); err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	switch {
	case err != nil:
		return err
	case key == "":
		return refuse(http.StatusBadRequest, idempotencyHeader, "a transaction needs the header %s, so that it can be made "+
			"again when its answer is lost", idempotencyHeader)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != typeJSON {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type", "the body has to be %s, and to say so", typeJSON)
	}
	memory := s.requestShare(r)
	defer memory.giveBack()
	body, err := s.readBody(r, memory)
	if err == nil {
		err = proved(r)
	}
	if err != nil {
		return err
	}
	t, err := s.readTransaction(r, body, memory, key)
	if err != nil {
		return err
	}
	if t.offsets != nil {
		switch owner, ours, err := s.ownerOf(r, t.offsets.Group); {
		case err != nil:
			return err
		case !ours:
			r = r.Clone(r.Context())
			r.Header.Del("Content-Encoding")
			return s.forwardBody(w, r, body, owner)
		}
	}
	replayed, err := s.perform(r.Context(), t, memory)
	if err != nil {
		return err
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(t.appendWritten(nil)) // an error means that the client has gone
	return nil
}

// proved reads a body to its end, where its proof is checked if another node sent it.
func proved(r *http.Request) error {
	var more [1]byte
	if n, err := r.Body.Read(more[:]); n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// perform writes a transaction once, and returns when all of it is durable and readable. An error
// means that nothing of it was written by this try, unless it says that this is in doubt.
func (s *Server) perform(ctx context.Context, t *transaction, memory *share) (replayed bool, err error) {
	leave, err := s.producers.keys.enter(ctx, inFlightKey{id: t.key.ID}, s.opts.Limits.WriteTimeout)
	if err != nil {
		return false, err
	}
	defer leave()
	catchingUp, cancel := context.WithTimeout(ctx, s.opts.Limits.WriteTimeout)
	defer cancel()
	if err := s.opts.Node.CatchUp(catchingUp); err != nil {
		return false, err
	}
	known, partitions := 0, 0
	for _, p := range t.parts {
		if err := s.packPart(p, t.key); err != nil {
			return false, err
		}
		known, partitions = known+len(p.before), partitions+len(p.packed)
	}
	switch {
	case known == partitions:
		for _, p := range t.parts {
			p.recall(p.packed, p.before, p.done)
		}
		return true, nil
	case partitions > coordinator.MaxTransactionPartitions:
		return false, tooManyPartitions()
	case known > 0:
		return false, underWay() // or a topic was made anew since
	}
	for _, p := range t.parts {
		err := p.check(allRecords(&p.writeRequest))
		if err == nil {
			err = s.prepare(&p.writeRequest, p.packed)
		}
		if err != nil {
			return false, p.inTransaction(err)
		}
	}
	return s.deliverWhole(ctx, t, partitions, memory)
}

// packPart makes the batches of a topic, as an earlier try made them if there was one.
func (s *Server) packPart(p *transactionPart, key coordinator.RequestKey) (err error) {
	p.id, p.spread = &key, ingest.SpreadOf(&key)
	p.before = s.view().Keyed(p.topic.ID, key.ID)
	if err := s.sameRequest(&p.writeRequest, p.before); err != nil {
		return err
	}
	p.done = &writtenRequest{records: make([]written, len(p.records))}
	if len(p.before) == 0 {
		for i := range p.records { // which would otherwise be an error of a record of this topic
			if p.records[i].Partition >= p.topic.Partitions {
				return p.inTransaction(p.check(allRecords(&p.writeRequest)))
			}
		}
	}
	p.packed, err = p.split(p.id.Partitions)
	return err
}

// inTransaction is an error about records of a topic as one about those of the request.
func (p *transactionPart) inTransaction(err error) error {
	of, is := errors.AsType[*problem](err)
	if !is {
		return err
	}
	about := *of
	if about.Record != nil {
		index := p.indexes[*about.Record]
		about.Record = &index
	}
	about.BadRecords = slices.Clone(about.BadRecords)
	for i := range about.BadRecords {
		about.BadRecords[i].Record = p.indexes[about.BadRecords[i].Record]
	}
	return &about
}

// deliverWhole has the coordinator decide a transaction, under its claims if it has any.
func (s *Server) deliverWhole(ctx context.Context, t *transaction, partitions int, memory *share) (bool, error) {
	atomic := &coordinator.Atomic{Batches: partitions}
	processing, err := s.process(ctx, t)
	if err != nil {
		return false, err
	}
	if processing != nil {
		atomic.Offsets = &processing.Offsets
	}
	var all []ingest.Packed
	for _, p := range t.parts {
		for i := range p.packed {
			p.packed[i].Batch.Atomic = atomic
		}
		all = append(all, p.packed...)
	}
	pending, err := s.hand(ctx, all)
	if err != nil {
		if processing != nil {
			processing.End(groups.Undone)
		}
		return false, err
	}
	for _, p := range t.parts {
		p.forget()
	}
	memory.shrink(recordOverhead * int64(t.records))
	ended := closed
	if processing != nil {
		ended = processing.EndWith(pending.Done(), func() groups.Outcome { return outcomeOf(pending) })
	}
	return s.settleWhole(ctx, t, pending, ended)
}

// closed is a channel that is.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// outcomeOf says what became of a request that is answered.
func outcomeOf(pending *ingest.Pending) groups.Outcome {
	results, _ := pending.Wait(context.Background())
	switch err := ingest.AtomicError(results); {
	case err == nil, errors.Is(err, coordinator.ErrDuplicate):
		return groups.Done
	default:
		if class := ingest.ClassOf(err); class == coordinator.ClassInDoubt || class == coordinator.ClassNewLife {
			return groups.Doubtful
		}
		return groups.Undone
	}
}

// settleWhole waits for a transaction, and notes where its records are.
func (s *Server) settleWhole(ctx context.Context, t *transaction, pending *ingest.Pending,
	ended <-chan struct{}) (replayed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Limits.WriteTimeout)
	defer cancel()
	results, err := pending.Wait(ctx)
	addStages(tracing.FromContext(ctx), pending)
	if err == nil {
		select {
		case <-ended:
			err = ingest.AtomicError(results)
		case <-ctx.Done():
			err = ctx.Err()
		}
	} else {
		err = ingest.ErrInDoubt
	}
	replayed = errors.Is(err, coordinator.ErrDuplicate)
	switch {
	case err == nil, replayed:
	case errors.Is(err, coordinator.ErrLeaseLost):
		return false, claimsEnded()
	case errors.Is(err, coordinator.ErrNotWhole):
		return false, underWay()
	default:
		return false, unwritten(err)
	}
	n := 0
	for _, p := range t.parts {
		for i := range p.packed {
			b, now := &p.packed[i], p.now.UnixMilli()
			if replayed {
				now = s.timestampOf(&p.writeRequest, b.Batch.Partition, now)
			} else {
				s.producers.metrics.records.Add(float64(len(b.Records)))
			}
			p.done.place(b, results[n].BaseOffset, p.timestamps, now, p.config.LogAppendTime)
			n++
		}
	}
	return replayed, nil
}

// process begins to commit the offsets of a transaction; nil: it has none.
func (s *Server) process(ctx context.Context, t *transaction) (*groups.Processing, error) {
	o := t.offsets
	if o == nil {
		return nil, nil
	}
	commits := make([]groups.ClaimCommit, len(t.held))
	for i, c := range o.Claims {
		commits[i] = groups.ClaimCommit{Held: t.held[i], Offset: *c.Offset, LeaderEpoch: -1, From: c.From,
			Metadata: c.Metadata, Release: c.Release}
	}
	p, answers, refused := s.opts.Groups.Process(ctx, o.Group, o.Holder, commits)
	switch {
	case refused != nil:
		return nil, refused
	case p != nil:
		return p, nil
	}
	about := claimsEnded()
	about.Claims = make([]claimAnswer, len(answers))
	for i, err := range answers {
		about.Claims[i].partitionName = o.Claims[i].partitionName
		if err == nil {
			continue
		}
		about.Claims[i].Error = err.Message
		switch err {
		case kerr.FencedMemberEpoch:
		case kerr.ConcurrentTransactions:
			about = &problem{Status: http.StatusConflict, Code: err.Message, Claims: about.Claims, retryAfter: time.Second,
				Detail: "another transaction under a claim is still under way; nothing was written by this one"}
		default:
			other := kafkaProblem(err, "")
			other.Claims = about.Claims
			about = &other
		}
	}
	return nil, about
}

// claimsEnded is what a client gets whose claims are not its own any more.
func claimsEnded() *problem {
	return &problem{Status: http.StatusConflict, Code: kerr.FencedMemberEpoch.Message,
		Detail: "a claim has ended: another may have the partition, or the group has moved. Nothing was written by this " +
			"request. Claim again, and begin where the group is"}
}

// appendWritten is the answer: where each record is, in the order of the request.
func (t *transaction) appendWritten(b []byte) []byte {
	type place struct {
		part *transactionPart
		n    int
	}
	places := make([]place, t.records)
	for _, p := range t.parts {
		for n, i := range p.indexes {
			places[i] = place{p, n}
		}
	}
	b = append(b, `{"records":[`...)
	for i, at := range places {
		if i > 0 {
			b = append(b, ',')
		}
		record := &at.part.done.records[at.n]
		b = append(b, `{"topic":`...)
		b = strconv.AppendQuote(b, at.part.name) // names of topics have nothing in them that JSON would quote in another way
		b = strconv.AppendInt(append(b, `,"partition":`...), int64(record.partition), 10)
		b = strconv.AppendInt(append(b, `,"offset":`...), record.offset, 10)
		b = strconv.AppendInt(append(b, `,"timestamp":`...), record.timestamp, 10)
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}
