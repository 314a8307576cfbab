package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn/coordinator"
	"firn/index"
	"firn/segments"
	"firn/segments/batch"
)

// Fetch v4-v18: topics by name up to v12 and by id from v13 on.
//
//   - A fetch that finds less than min_bytes waits for more, up to max_wait_ms, and is woken by the view; it holds no data meanwhile.
//   - The first batch is returned even if it is larger than max_bytes (KIP-74). Partitions are served in the order of the request, which
//     clients rotate.
//   - Fetch sessions (KIP-227) are not kept: session id 0 says so, and every fetch is a full one. An incremental fetch gets
//     FETCH_SESSION_ID_NOT_FOUND, as from a broker without room for sessions.
//   - There are no open transactions: the last stable offset is the high watermark, and no transaction is aborted.
//   - The leader epoch is always 0. The client's rack is not looked at here: Metadata has named a leader nearby.
//   - Clients that are not known to read LZ4 get such batches decompressed: see wantsPlain.
//   - Stored data that is corrupt or cannot be read is KAFKA_STORAGE_ERROR for its partition alone: consumers try again.
func init() { register(4, 18, fetch) }

const (
	fetchTopicIDs   = 13 // the first version that names topics by id
	fetchSessions   = 7  // the first with sessions
	fetchWholeEpoch = -1 // session epochs that ask for a full fetch
	fetchFirstEpoch = 0
)

// readTimeout bounds how long a fetch waits for the bucket: as long as clients wait for an answer.
const readTimeout = 30 * time.Second

// minFetchBytes is what a response may always have, however short memory is.
const minFetchBytes = 1 << 20

// fetchCall is one Fetch on its way.
type fetchCall struct {
	s          *Server
	partitions []fetchPartition // of all topics, in the order of the request
	minBytes   int
	maxBytes   int
	expires    time.Time
	behind     bool  // this node may know less than clients have been told
	held       int64 // bytes taken from Server.fetchMemory
}

// fetchPartition is one partition that is asked for, and the answer so far.
type fetchPartition struct {
	segments.Partition
	offset   int64
	maxBytes int
	maxPlain int      // bytes of records that a plain batch of its topic can have; 0: the client reads LZ4
	invalid  *refusal // found before looking for data

	refused       *refusal
	highWatermark int64
	logStart      int64
	batches       [][]byte
	bytes         int
}

func fetch(ctx context.Context, s *Server, from *peer, req *kmsg.FetchRequest) (kmsg.Response, error) {
	resp := newFetchResponse(req)
	if req.Version >= fetchSessions && req.SessionEpoch != fetchWholeEpoch && req.SessionEpoch != fetchFirstEpoch {
		resp.ErrorCode = kerr.FetchSessionIDNotFound.Code
		return resp, nil
	}
	f := newFetchCall(s, from, req)
	answered := false
	defer func() {
		if !answered { // an error, or a panic
			f.drop()
		}
	}()
	if err := f.gather(ctx); err != nil {
		return nil, err
	}
	resp.take(f)
	answered = true
	return resp, nil
}

func newFetchCall(s *Server, from *peer, req *kmsg.FetchRequest) *fetchCall {
	limits := s.opts.Limits
	f := &fetchCall{
		s:        s,
		maxBytes: min(max(int(req.MaxBytes), 1), limits.FetchMaxBytes),
		expires:  time.Now().Add(min(time.Duration(req.MaxWaitMillis)*time.Millisecond, limits.IdleTimeout)),
	}
	f.minBytes = min(int(req.MinBytes), f.maxBytes)
	n := 0
	for _, t := range req.Topics {
		n += len(t.Partitions)
	}
	f.partitions = make([]fetchPartition, 0, n)
	for _, t := range req.Topics {
		topic, unknown := s.fetchedTopic(req.Version, t)
		for _, asked := range t.Partitions {
			p := fetchPartition{
				offset:   asked.FetchOffset,
				maxBytes: max(int(asked.PartitionMaxBytes), 1),
				invalid:  unknown,
			}
			if topic != nil {
				p.Partition = segments.Partition{Topic: topic.ID, Index: asked.Partition}
				p.invalid = checkLeaderEpoch(asked.CurrentLeaderEpoch)
				if from.wantsPlain() {
					p.maxPlain = int(s.configs.Of(topic).MaxMessageBytes)
				}
			}
			f.partitions = append(f.partitions, p)
		}
	}
	return f
}

func (s *Server) fetchedTopic(version int16, t kmsg.FetchRequestTopic) (*coordinator.Topic, *refusal) {
	view := s.opts.Node.View()
	if version >= fetchTopicIDs {
		if topic := view.TopicByID(t.TopicID); topic != nil {
			return topic, nil
		}
		return nil, refuse(kerr.UnknownTopicID, "there is no topic with this id")
	}
	if topic := view.Topic(t.Topic); topic != nil {
		return topic, nil
	}
	return nil, refuse(kerr.UnknownTopicOrPartition, "there is no topic of this name")
}

// gather reads until there is enough to answer, or no more time.
func (f *fetchCall) gather(ctx context.Context) error {
	f.catchUp(ctx)
	if done, err := f.read(ctx); done || err != nil {
		return err
	}
	watched := make([]segments.Partition, 0, len(f.partitions))
	for i := range f.partitions {
		watched = append(watched, f.partitions[i].Partition)
	}
	watch := f.s.opts.Node.View().Watch(watched...)
	defer watch.Close()
	timer := time.NewTimer(time.Until(f.expires))
	defer timer.Stop()
	for {
		// Once more after Watch was called: whatever came before it gave no signal.
		if done, err := f.read(ctx); done || err != nil {
			return err
		}
		select {
		case <-watch.C:
		case <-timer.C:
			f.minBytes = 0
		case <-f.s.draining:
			f.minBytes = 0
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// catchUp has this node hear the news if some client is ahead of it, which has read more from another node.
func (f *fetchCall) catchUp(ctx context.Context) {
	view := f.s.opts.Node.View()
	for i := range f.partitions {
		p := &f.partitions[i]
		if info, ok := view.Partition(p.Partition); ok && p.invalid == nil && p.offset > info.HighWatermark {
			f.behind = f.s.catchUp(ctx) != nil
			return
		}
	}
}

// read reads every partition from where its client is. It reports whether the answer may be given; otherwise it holds nothing.
func (f *fetchCall) read(ctx context.Context) (done bool, err error) {
	f.drop()
	readable, failed, want := f.locate()
	if want > 0 {
		if err := f.reserve(ctx, want); err != nil {
			return false, err
		}
		failed = f.readAll(ctx, readable) || failed
	}
	total := 0
	for i := range f.partitions {
		total += f.partitions[i].bytes
	}
	f.keep(int64(total))
	done = failed || total >= f.minBytes || len(f.partitions) == 0 || !time.Now().Before(f.expires) || total > 0 && f.limited()
	if !done {
		f.drop()
	}
	return done, nil
}

// locate finds out where each partition stands, without reading: which have something for the client, whether any
// has an error, and how many bytes are to be read at most.
func (f *fetchCall) locate() (readable []*fetchPartition, failed bool, want int) {
	view := f.s.opts.Node.View()
	for i := range f.partitions {
		p := &f.partitions[i]
		p.refused = p.invalid
		info, ok := coordinator.PartitionInfo{}, false
		if p.refused == nil {
			info, ok = view.Partition(p.Partition)
		}
		switch {
		case p.refused != nil:
		case !ok:
			p.refused = refuse(kerr.UnknownTopicOrPartition, "there is no partition %d", p.Index)
		case p.offset > info.HighWatermark && f.behind:
			p.refused = refuse(kerr.NotLeaderForPartition, "this node is cut off and knows partition %d up to %d only; try another", p.Index, info.HighWatermark)
		case p.offset < info.LogStart || p.offset > info.HighWatermark:
			p.refused = refuse(kerr.OffsetOutOfRange, "offset %d is not from %d to %d", p.offset, info.LogStart, info.HighWatermark)
		case p.offset < info.HighWatermark:
			readable = append(readable, p)
			want = min(want+p.maxBytes, f.maxBytes)
		}
		p.highWatermark, p.logStart = info.HighWatermark, info.LogStart
		failed = failed || p.refused != nil
	}
	return readable, failed, want
}

// reserve takes memory for a response of up to want bytes. It takes at most a quarter of what is left, so that a few clients who take their answers
// slowly make the answers of all smaller instead of making others wait.
func (f *fetchCall) reserve(ctx context.Context, want int) error {
	memory := f.s.fetchMemory
	n := min(int64(want), max(minFetchBytes, memory.free()/4), memory.total)
	if err := memory.take(ctx, n); err != nil {
		return err
	}
	f.held = n
	return nil
}

// keep gives back what was reserved beyond n bytes.
func (f *fetchCall) keep(n int64) {
	if n < f.held {
		f.s.fetchMemory.give(f.held - n)
		f.held = n
	}
}

// drop forgets what was read and gives back the memory.
func (f *fetchCall) drop() {
	for i := range f.partitions {
		f.partitions[i].batches, f.partitions[i].bytes = nil, 0
	}
	f.keep(0)
}

// readAll reads the partitions in their order until the reserved bytes are used up: together those whose own limits there is room for, so that the
// answer is the same as if they were read one by one. It reports whether one of them failed.
func (f *fetchCall) readAll(ctx context.Context, readable []*fetchPartition) (failed bool) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	left, nothing := int(f.held), true
	for len(readable) > 0 && (left > 0 || nothing) {
		together, room := 1, left-readable[0].maxBytes
		for together < len(readable) && readable[together].maxBytes <= room {
			room -= readable[together].maxBytes
			together++
		}
		inParallel(together, func(i int) {
			readable[i].read(ctx, f.s, min(readable[i].maxBytes, max(left, 1)), nothing && i == 0)
		})
		for _, p := range readable[:together] {
			left -= p.bytes
			nothing = nothing && p.bytes == 0
			failed = failed || p.refused != nil
		}
		readable = readable[together:]
	}
	return failed
}

func (p *fetchPartition) read(ctx context.Context, s *Server, maxBytes int, atLeastOne bool) {
	chunk, err := s.opts.Index.Read(ctx, p.Partition, p.offset, maxBytes, atLeastOne)
	if err != nil {
		p.refused = s.unreadable(p, err)
		return
	}
	p.batches, p.highWatermark, p.logStart = chunk.Batches, chunk.HighWatermark, chunk.LogStart
	if p.maxPlain > 0 {
		p.batches = p.unpack(p.batches, maxBytes)
	}
	for _, b := range p.batches {
		p.bytes += len(b)
	}
}

// unreadable is the answer for a partition whose data cannot be read now.
func (s *Server) unreadable(p *fetchPartition, err error) *refusal {
	switch {
	case errors.Is(err, coordinator.ErrUnknownPartition):
		return refuse(kerr.UnknownTopicOrPartition, "%v", err)
	case errors.Is(err, index.ErrOffsetOutOfRange):
		return refuse(kerr.OffsetOutOfRange, "%v", err)
	}
	s.readFailures.Do(func() {
		s.opts.Logger.Error("fetch cannot read a partition", "partition", p.Partition, "offset", p.offset, "error", err)
	})
	return refuse(kerr.KafkaStorageError, "%v", err)
}

// limited reports whether a partition has more than was read of it: then waiting brings nothing.
func (f *fetchCall) limited() bool {
	for i := range f.partitions {
		p := &f.partitions[i]
		next := p.offset
		if n := len(p.batches); n > 0 {
			for h, err := range batch.All(p.batches[n-1]) {
				if err == nil {
					next = h.BaseOffset + int64(h.LastOffsetDelta) + 1
				}
			}
		}
		if p.refused == nil && next < p.highWatermark {
			return true
		}
	}
	return false
}
