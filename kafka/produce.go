package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/ingest"
	"firn.dev/ingest/costs"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Produce v3-v13: topics by name up to v12 and by id in v13. One batch for each partition, in
// format v2.
//
// A request is taken in as soon as it has been read (start) and answered when its batches are
// durable (wait), so that a connection carries many at once. acks=1 means the same as acks=all;
// acks=0 gets no answer, and its connection is closed after an error, as in Kafka, so that the
// client looks for what has changed.
//
// Errors are mapped by what clients do with them:
//   - nothing was written, another try may succeed (this node is fenced or closing):
//     NOT_LEADER_OR_FOLLOWER. All clients look the leader up anew and send the batch again, and
//     know that it has not been written;
//   - it is not known whether it was written (store or journal trouble, timeout_ms has passed):
//     REQUEST_TIMED_OUT. All clients send the batch again; idempotent ones get the offset of the
//     first try, if that was written.
//
// Neither is KAFKA_STORAGE_ERROR, which sarama takes for final.
func init() {
	registerAPI(api{key: kmsg.Produce, minVersion: 3, maxVersion: produceTopicIDs, rules: rules{
		needs: []access.Need{
			access.Write.On(access.Topic),
			access.Write.On(access.TransactionalID),
		}, quota: access.ProducedBytes}})
}

// produceCall is one Produce on its way.
type produceCall struct {
	s        *Server
	client   *budget.Client // of ingest's buffer
	clientID string
	asks     *access.Asker
	version  int16
	acks     int16
	expires  time.Time
	handed   bool // ingest was given batches
	pending  *ingest.Pending
	parent   string // the trace that its first record names; empty: it names none, or nothing is traced

	topics  []produceTopic
	results []produceResult // of all partitions, in the order of the request
	settled bool            // the results say what became of each
}

// produceResult is the answer for one partition, once refused is set or its batch is written.
type produceResult struct {
	refused    *refusal
	batch      int // which of the batches handed to ingest is its; only if not refused
	appendTime int64
	written    ingest.Result
}

// startProduce checks the batches of a request and hands those that pass to ingest. While ingest's
// buffer is full it waits, and with it everything that the client sends behind this request.
func (s *Server) startProduce(ctx context.Context, client *budget.Client, r *request) (*produceCall, error) {
	began := time.Now()
	req, err := decodeProduce(r.version, r.body)
	if err != nil {
		return nil, err
	}
	if n := req.partitions(); n > fewPartitions {
		if err := s.takeMemory(ctx, r.memory, int64(n)*producePartitionBytes); err != nil {
			return nil, err
		}
	}
	p := &produceCall{
		s:        s,
		client:   client,
		clientID: r.clientID,
		asks:     &r.asks,
		version:  r.version,
		acks:     req.Acks,
		expires:  r.received.Add(s.produceTime(&req)),
		topics:   req.Topics,
	}
	batches := p.check(&req)
	p.parent = p.parentOf(&req)
	p.forget()
	r.body, r.worked = nil, time.Since(began)
	if len(batches) == 0 {
		return p, nil
	}
	ctx, cancel := context.WithDeadline(ctx, p.expires)
	defer cancel()
	if err = ctx.Err(); err == nil {
		p.handed = true
		p.pending, err = s.opts.Writer.AppendOf(ctx, client, batches)
	}
	if err != nil {
		p.settle(nil, s.notTaken(err))
	}
	return p, nil
}

// produceTime is how long a Produce may take. In Kafka timeout_ms is for the acknowledgements of
// other brokers: with acks=0 and 1 clients may leave it at next to nothing, and with acks=all and
// no time a topic of one replica is written all the same. Here all of these wait for the bucket.
func (s *Server) produceTime(req *produceRequest) time.Duration {
	timeout := time.Duration(req.TimeoutMillis) * time.Millisecond
	if req.Acks != -1 || timeout <= 0 {
		timeout = max(timeout, s.opts.Limits.ReadTimeout)
	}
	return timeout
}

// check gives every partition its result so far and returns the batches to write. Looking into
// batches and compressing them is most of what a Produce costs, so they are checked side by side.
func (p *produceCall) check(req *produceRequest) []ingest.Batch {
	n := req.partitions()
	p.results = make([]produceResult, 0, n)
	batches := make([]ingest.Batch, n)
	checks := make([]func(), 0, n)
	now := time.Now()
	protocol, noTransaction := protocolOf(p.version, produceNew), p.mayWriteTransactions(req.TransactionalID)
	for i := range req.Topics {
		t := &req.Topics[i]
		topic, config, refused := p.topic(req, t)
		for _, part := range t.Partitions {
			p.results = append(p.results, produceResult{refused: refused, appendTime: -1})
			if refused != nil {
				continue
			}
			at := len(p.results) - 1
			if config.LogAppendTime {
				p.results[at].appendTime = now.UnixMilli()
			}
			checks = append(checks, func() {
				in := incomingBatch{topic: topic, config: &config, version: p.version, now: now,
					protocol: protocol, noTransaction: noTransaction}
				batches[at], p.results[at].refused = p.s.checkBatch(&in, part)
			})
		}
	}
	onAllCores(len(checks), func(i int) { checks[i]() })
	p.count(req, batches)
	return p.accepted(batches)
}

// count counts what the request had, of batches that passed.
func (p *produceCall) count(req *produceRequest, batches []ingest.Batch) {
	var sent costs.Request
	i := 0
	for _, t := range req.Topics {
		for _, part := range t.Partitions {
			if p.results[i].refused == nil {
				came := int64(len(part.Records))
				sent.Batches, sent.Bytes = sent.Batches+1, sent.Bytes+came
				sent.Records += int(batches[i].Header.Records)
				if h, err := batch.ReadHeader(part.Records); err == nil && h.Attributes.Codec() == batch.None {
					sent.Plain, sent.Kept = sent.Plain+came, sent.Kept+int64(len(batches[i].Bytes))
				}
			}
			i++
		}
	}
	if sent.Batches > 0 {
		p.s.opts.Costs.Add(p.clientID, p.asks.Client.Host, sent)
	}
}

// mayWriteTransactions says why transactional batches of a request are refused; nil if they are
// not.
func (p *produceCall) mayWriteTransactions(id []byte) *refusal {
	switch {
	case len(id) == 0:
		return refuse(
			kerr.TransactionalIDAuthorizationFailed,
			"a transactional batch in a request without a transactional id",
		)
	case !p.asks.May(access.Write, access.TransactionalID, string(id)):
		return forbid(p.asks, access.Write, access.Resource{Type: access.TransactionalID, Name: string(id)})
	}
	return nil
}

// accepted returns the batches that passed, and notes in the results which is whose.
func (p *produceCall) accepted(batches []ingest.Batch) []ingest.Batch {
	passed := batches[:0]
	for i := range p.results {
		if p.results[i].refused == nil {
			p.results[i].batch = len(passed)
			passed = append(passed, batches[i])
		}
	}
	return passed
}

// forget lets go of the request's bytes: nothing but ingest holds the records from now on.
func (p *produceCall) forget() {
	for i := range p.topics {
		t := &p.topics[i]
		t.Name = bytes.Clone(t.Name)
		for j := range t.Partitions {
			t.Partitions[j].Records = nil
		}
	}
}

// topic finds a topic of the request, unless the request as a whole is refused.
func (p *produceCall) topic(req *produceRequest, t *produceTopic) (*coordinator.Topic, topicconfig.Config, *refusal) {
	var none topicconfig.Config
	switch {
	case req.Acks < -1 || req.Acks > 1:
		return nil, none, refuse(kerr.InvalidRequiredAcks, "acks is %d, not -1 (all), 0 or 1", req.Acks)
	}
	topic, refused := p.find(t)
	if refused != nil {
		return nil, none, refused
	}
	return topic, p.s.configs.Of(topic), nil
}

// find finds a topic of the request, if the client may write to it.
func (p *produceCall) find(t *produceTopic) (*coordinator.Topic, *refusal) {
	var topic *coordinator.Topic
	if p.version < produceTopicIDs {
		topic = p.s.readable(string(t.Name))
	} else if topic = p.s.readableByID(t.ID); topic == nil {
		return nil, refuse(kerr.UnknownTopicID, "there is no topic with id %s", t.ID)
	}
	if topic == nil {
		name := string(t.Name)
		if !p.asks.May(access.Write, access.Topic, name) {
			return nil, forbid(p.asks, access.Write, access.Resource{Type: access.Topic, Name: name})
		}
		return nil, unknownTopic(name)
	}
	if !p.asks.May(access.Write, access.Topic, topic.Name) {
		return nil, forbid(p.asks, access.Write, access.Resource{Type: access.Topic, Name: topic.Name})
	}
	if isInternal(topic.ID) {
		return nil, unknownTopic(topic.Name)
	}
	return topic, nil
}

// wait waits until the batches are durable, or the request's time is over, and returns the
// response.
func (p *produceCall) wait(ctx context.Context) (kmsg.Response, error) {
	if p.pending != nil {
		ctx, cancel := context.WithDeadline(ctx, p.expires)
		defer cancel()
		written, err := p.pending.Wait(ctx)
		p.settle(written, p.s.inDoubt(err))
	}
	if p.acks == 0 {
		return nil, p.unanswered()
	}
	return p.response(), nil
}

// done reports whether nobody needs the request's bytes any more: ingest got none of them, or has
// written every batch.
func (p *produceCall) done() bool {
	return !p.handed ||
		p.settled && !slices.ContainsFunc(p.results, func(r produceResult) bool { return r.refused != nil })
}

// settle sets what became of the batches that were not refused.
func (p *produceCall) settle(written []ingest.Result, failed *refusal) {
	p.settled = true
	for i := range p.results {
		r := &p.results[i]
		switch {
		case r.refused != nil:
		case failed != nil:
			r.refused = failed
		default:
			r.written = written[r.batch]
			r.refused = p.s.unwritten(r.written.Err, p.version)
		}
	}
}

// notTaken is the answer when ingest took no batch.
func (s *Server) notTaken(err error) *refusal {
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(
			kerr.RequestTimedOut,
			"nothing was written: the server is busy, and there was no room in its buffer in the time that the request allows",
		)
	}
	if errors.Is(err, ingest.ErrTooLarge) {
		return refuse(kerr.MessageTooLarge, "%v", err)
	}
	return refuse(kerr.NotLeaderForPartition, "nothing was written: %v", err)
}

// inDoubt is the answer when it is not known what becomes of a batch; nil for nil.
func (s *Server) inDoubt(err error) *refusal {
	if err == nil {
		return nil
	}
	return refuse(kerr.RequestTimedOut, "the batch may or may not have been written: %v", err)
}

// unwritten is the answer for a batch that ingest answered with err; nil if it is written, be it by
// an earlier try.
func (s *Server) unwritten(err error, version int16) *refusal {
	switch {
	case err == nil, errors.Is(err, coordinator.ErrDuplicate):
		return nil
	case errors.Is(err, coordinator.ErrOutOfOrder):
		return refuse(kerr.OutOfOrderSequenceNumber, "%v", err)
	case errors.Is(err, coordinator.ErrProducerEpoch):
		return refuse(kerr.InvalidProducerEpoch, "%v", err)
	case errors.Is(err, coordinator.ErrTransactionalID):
		return refuse(kerr.InvalidProducerIDMapping, "%v", err)
	case errors.Is(err, coordinator.ErrTransactionState), errors.Is(err, coordinator.ErrTransactionTooLarge):
		return refuse(kerr.InvalidTxnState, "%v", err)
	case errors.Is(err, coordinator.ErrConcurrentTransactions):
		if version >= produceNew {
			return refuse(kerr.ConcurrentTransactions, "%v", err)
		}
		return refuse(kerr.NotEnoughReplicas, "%v", err) // as Kafka tells older clients, which try again
	case errors.Is(err, coordinator.ErrUnknownPartition), errors.Is(err, coordinator.ErrUnknownTopic):
		if version >= produceTopicIDs {
			return refuse(kerr.UnknownTopicID, "the topic was deleted")
		}
		return refuse(kerr.UnknownTopicOrPartition, "the topic was deleted")
	}
	if ingest.ClassOf(err) == coordinator.ClassInDoubt {
		return s.inDoubt(err)
	}
	return refuse(kerr.NotLeaderForPartition, "nothing was written: %v", err)
}

// unanswered is what a Produce with acks=0 ends with: an error closes the connection.
func (p *produceCall) unanswered() error {
	for _, r := range p.results {
		if r.refused != nil {
			return fmt.Errorf("a Produce with acks=0 failed: %w", r.refused)
		}
	}
	return nil
}

func (p *produceCall) response() *produceResponse {
	resp := &produceResponse{ProduceResponse: kmsg.NewPtrProduceResponse()}
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.topics))
	results := p.results
	named := maxNamedRecords
	for i, t := range p.topics {
		out := &resp.Topics[i]
		out.Topic, out.TopicID = string(t.Name), t.ID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for j, part := range t.Partitions {
			r := &results[j]
			out.Partitions[j] = r.partition(part.Index, &named)
			if resp.first == 0 {
				resp.first = r.refused.code()
			}
		}
		results = results[len(t.Partitions):]
	}
	return resp
}

// maxNamedRecords is how many bad records an answer names, of all batches of the request.
const maxNamedRecords = 10_000

// partition is the answer for one partition. It names no more bad records than named says, and
// takes those off it.
func (r *produceResult) partition(index int32, named *int) kmsg.ProduceResponseTopicPartition {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = index
	if r.refused != nil {
		out.ErrorCode, out.ErrorMessage = r.refused.code(), r.refused.text()
		out.BaseOffset, out.LogStartOffset = -1, -1
		records := r.refused.records[:min(*named, len(r.refused.records))]
		*named -= len(records)
		for i := range records {
			bad := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			message := records[i].Err.Error()
			bad.RelativeOffset, bad.ErrorMessage = int32(records[i].Index), &message
			out.ErrorRecords = append(out.ErrorRecords, bad)
		}
		return out
	}
	out.BaseOffset, out.LogStartOffset, out.LogAppendTime = r.written.BaseOffset, r.written.LogStartOffset, r.appendTime
	return out
}

// produceResponse remembers its first error for the metrics.
type produceResponse struct {
	*kmsg.ProduceResponse
	first int16
}

func (r *produceResponse) firstError() int16 { return r.first }

// partitionOf names one of a topic's partitions; false if the topic has no such partition.
func partitionOf(t *coordinator.Topic, index int32) (segments.Partition, bool) {
	return segments.Partition{Topic: t.ID, Index: index}, index >= 0 && index < t.Partitions
}
