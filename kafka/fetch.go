package kafka

import (
	"context"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
)

// Fetch v4-v18: topics by name up to v12 and by id from v13 on.
//
//   - A fetch that finds less than min_bytes waits for more, up to max_wait_ms, and is woken by the
//     view; it holds no data meanwhile.
//   - Topics and partitions that do not exist, or may not be read, do not end the wait for others,
//     as in Kafka. An error that is found by looking for data does.
//   - What has to be read from the bucket holds up nothing else (fetch_gather.go): the answer has
//     what is there, and the next fetch finds the rest.
//   - The first batch is returned even if it is larger than max_bytes (KIP-74). Partitions are
//     served in the order of the request, which clients rotate. A partition that is named again is
//     answered once, as in Kafka.
//   - Fetch sessions (KIP-227) are not kept: session id 0 says so, and every fetch is a full one.
//     An incremental fetch gets FETCH_SESSION_ID_NOT_FOUND, as from a broker without room for
//     sessions.
//   - Who reads committed records alone is served up to the last stable offset, and told which
//     transactions were aborted in what it gets: it leaves their records out, and all markers.
//   - The leader epoch is always 0. So there are no hints of a new leader (KIP-951), here and in
//     Produce: clients take none but those of a later epoch, and ask for Metadata.
//   - A client that says which rack it is in gets the name of a replica there (KIP-392), together
//     with the records: a client that cannot follow has them all the same.
//   - Clients that are not known to read LZ4 get such batches decompressed: see wantsPlain.
//   - Stored data that is corrupt or cannot be read is KAFKA_STORAGE_ERROR for its partition alone:
//     consumers try again.
func init() {
	register(4, 18, fetch, rules{needs: []access.Need{access.Read.On(access.Topic)}, quota: access.FetchedBytes})
}

// readCommitted is the isolation level of who reads committed records alone.
const readCommitted = 1

const (
	fetchTopicIDs   = 13 // the first version that names topics by id
	fetchSessions   = 7  // the first with sessions
	fetchWholeEpoch = -1 // session epochs that ask for a full fetch
	fetchFirstEpoch = 0
)

// fetchCall is one Fetch on its way.
type fetchCall struct {
	s          *Server
	topics     []fetchTopic
	partitions []fetchPartition // of all topics, in the order of the request
	minBytes   int
	maxBytes   int
	began      time.Time
	expires    time.Time
	committed  bool         // read_committed
	behind     bool         // this node may know less than clients have been told
	memory     *budget.Hold // of the answer
	reserved   int64        // of it, for what fits into the client's limits
	reads      reads        // of the bucket, under way
	work       *stopwatch
}

// fetchTopic is a topic that is asked for, by name or by id, with the partitions that follow those
// of the topic before.
type fetchTopic struct {
	name       string
	id         segments.TopicID
	partitions int
}

// fetchPartition is one partition that is asked for, and the answer so far.
type fetchPartition struct {
	segments.Partition
	offset   int64
	maxBytes int
	maxPlain int      // bytes of records that a plain batch of its topic can have; 0: the client reads LZ4
	invalid  *refusal // found before looking for data
	nowhere  bool     // invalid because there is nothing to look for: the fetch waits for the others
	closer   int32    // a node to read from instead, or nowhereCloser

	refused       *refusal
	highWatermark int64
	lastStable    int64
	logStart      int64
	batches       [][]byte
	aborted       []coordinator.AbortedTransaction // that have an offset in batches, for read_committed
	bytes         int

	reading int          // how many bytes are being read from the bucket at most; 0: nothing is
	arrived *index.Chunk // from the bucket, for this answer
}

// A parked Fetch holds this much for each partition and topic: what it asks for and the answer so
// far, its place in the view's watch, its part of the response.
const (
	fetchPartitionBytes = int64(unsafe.Sizeof(fetchPartition{})) + 160
	fetchTopicBytes     = int64(unsafe.Sizeof(fetchTopic{})) + 32
)

func fetch(ctx context.Context, s *Server, from *peer, req *kmsg.FetchRequest) (kmsg.Response, error) {
	resp := newFetchResponse(req)
	if req.Version >= fetchSessions && req.SessionEpoch != fetchWholeEpoch && req.SessionEpoch != fetchFirstEpoch {
		resp.ErrorCode = kerr.FetchSessionIDNotFound.Code
		return resp, nil
	}
	f, err := newFetchCall(ctx, s, from, req)
	if err != nil {
		return nil, err
	}
	if err := f.gather(ctx); err != nil {
		return nil, err
	}
	resp.topics, resp.partitions, resp.committed = f.topics, f.partitions, f.committed
	return resp, nil
}

// newFetchCall takes from a request what is needed to answer it, and lets go of the rest: a fetch
// may be parked for minutes.
func newFetchCall(ctx context.Context, s *Server, from *peer, req *kmsg.FetchRequest) (*fetchCall, error) {
	n, held := 0, int64(0)
	for _, t := range req.Topics {
		n += len(t.Partitions)
		held += fetchTopicBytes + int64(len(t.Topic))
	}
	held += int64(n) * fetchPartitionBytes
	if err := s.takeMemory(ctx, from.request, held); err != nil {
		return nil, err
	}
	limits := s.opts.Limits
	f := &fetchCall{
		s:          s,
		topics:     make([]fetchTopic, 0, len(req.Topics)),
		partitions: make([]fetchPartition, 0, n),
		maxBytes:   s.fetchMost(from, min(max(int(req.MaxBytes), 1), limits.FetchMaxBytes)),
		committed:  req.IsolationLevel == readCommitted,
		began:      time.Now(),
		memory:     from.answer,
		work:       from.work,
	}
	f.expires = f.began.Add(min(time.Duration(req.MaxWaitMillis)*time.Millisecond, limits.IdleTimeout))
	f.minBytes = min(int(req.MinBytes), f.maxBytes)
	once := newDistinctPartitions(n)
	for i := range req.Topics {
		f.addTopic(from, req.Version, &req.Topics[i], once)
	}
	f.sendCloser(from, req.Rack)
	if len(f.partitions) < n/2 { // the others were named before
		f.partitions = append(make([]fetchPartition, 0, len(f.partitions)), f.partitions...)
	}
	from.request.ShrinkTo(held - int64(n-len(f.partitions))*fetchPartitionBytes)
	return f, nil
}

// addTopic adds the partitions of one topic of a request.
func (f *fetchCall) addTopic(from *peer, version int16, t *kmsg.FetchRequestTopic, once *distinctPartitions) {
	topic, invalid := f.s.fetchedTopic(from, version, t)
	number, first := once.topic(t.Topic, t.TopicID), len(f.partitions)
	for _, asked := range t.Partitions {
		if !once.add(number, asked.Partition) {
			continue
		}
		p := fetchPartition{
			Partition: segments.Partition{Index: asked.Partition},
			offset:    asked.FetchOffset,
			maxBytes:  max(int(asked.PartitionMaxBytes), 1),
			invalid:   invalid,
			nowhere:   topic == nil,
			closer:    nowhereCloser,
		}
		if topic != nil {
			p.Topic = topic.ID
			p.invalid = checkLeaderEpoch(asked.CurrentLeaderEpoch)
			if p.Index < 0 || p.Index >= topic.Partitions {
				p.invalid, p.nowhere = noPartition(p.Index), true
			}
			if from.wantsPlain() && !isInternal(topic.ID) {
				p.maxPlain = int(f.s.configs.Of(topic).MaxMessageBytes)
			}
		}
		f.partitions = append(f.partitions, p)
	}
	f.topics = append(f.topics, fetchTopic{name: t.Topic, id: t.TopicID, partitions: len(f.partitions) - first})
}

// sendCloser finds for each partition which node in the client's rack it may be read from, unless
// this one is there.
func (f *fetchCall) sendCloser(from *peer, rack string) {
	if rack == "" || rack == f.s.opts.Node.Info().Zone {
		return
	}
	nodes := f.s.nodes(from)
	place := placement{nodes, nearby(nodes, from.ClientID)}
	for i := range f.partitions {
		if p := &f.partitions[i]; p.invalid == nil && !isInternal(p.Topic) {
			declared := f.s.declared(f.s.opts.Node.View().TopicByID(p.Topic), p.Index)
			p.closer = place.closerTo(rack, p.Partition, declared)
		}
	}
}

func noPartition(index int32) *refusal {
	return refuse(kerr.UnknownTopicOrPartition, "there is no partition %d", index)
}

// fetchedTopic finds a topic that the client may read.
func (s *Server) fetchedTopic(from *peer, version int16, t *kmsg.FetchRequestTopic) (*coordinator.Topic, *refusal) {
	name := t.Topic
	var topic *coordinator.Topic
	if version < fetchTopicIDs {
		topic = s.readable(name)
	} else if topic = s.readableByID(t.TopicID); topic != nil {
		name = topic.Name
	} else {
		return nil, refuse(kerr.UnknownTopicID, "there is no topic with this id")
	}
	if refused := from.may(access.Read, access.Topic, name); refused != nil {
		return nil, refused
	}
	if topic == nil {
		return nil, refuse(kerr.UnknownTopicOrPartition, "there is no topic of this name")
	}
	return topic, nil
}

// distinctPartitions finds the partitions that a request names again.
type distinctPartitions struct {
	names map[string]int32
	ids   map[segments.TopicID]int32
	seen  map[[2]int32]struct{} // topic and partition; nil: there is only one
}

func newDistinctPartitions(n int) *distinctPartitions {
	d := &distinctPartitions{}
	if n > 1 {
		d.seen = make(map[[2]int32]struct{}, min(n, 1<<10))
	}
	return d
}

// topic returns a number for a topic, the same whenever it is named.
func (d *distinctPartitions) topic(name string, id segments.TopicID) int32 {
	if d.names == nil {
		d.names, d.ids = map[string]int32{}, map[segments.TopicID]int32{}
	}
	next := int32(len(d.names) + len(d.ids))
	if id != (segments.TopicID{}) {
		return numberOf(d.ids, id, next)
	}
	return numberOf(d.names, name, next)
}

func numberOf[K comparable](known map[K]int32, key K, next int32) int32 {
	if n, is := known[key]; is {
		return n
	}
	known[key] = next
	return next
}

// add says whether a partition is named for the first time.
func (d *distinctPartitions) add(topic, partition int32) bool {
	if d.seen == nil {
		return true
	}
	before := len(d.seen)
	d.seen[[2]int32{topic, partition}] = struct{}{}
	return len(d.seen) > before
}
