package redis

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// What Redis has of a commit may be damaged; decoding it never panics, takes no more memory than it
// is long, and gives spans that lie in the segment. Every decoder makes the same fact of the same
// bytes, and the fact's codec accepts it.
func FuzzChunk(f *testing.F) {
	at := segments.Partition{Topic: segments.NewTopicID(), Index: 3}
	segment := segments.NewID(time.Now())
	request := func(position int64, batches ...coordinator.CommitBatch) *coordinator.CommitRequest {
		run := coordinator.CommitRun{Partition: at, Position: position, Batches: batches}
		return &coordinator.CommitRequest{Segment: segment, Runs: []coordinator.CommitRun{run}}
	}
	req := request(32,
		coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: -1},
		coordinator.CommitBatch{Length: 11, Records: 1, ProducerID: 7, BaseSequence: 1<<31 - 1},
		coordinator.CommitBatch{Length: 5, Records: 1, ProducerID: -1})
	withKey := coordinator.CommitBatch{Length: 5, Records: 2, ProducerID: -1, Key: sampleKey}
	keyed := request(0, withKey, withKey, withKey)
	accepted := []byte{0, 0, 0, 0, 0, 0, 0, 0, 5}
	f.Add(appendDecided(nil, 1, encodeRequest(req, nil, nil).b, string(bytes.Repeat(accepted, 3))))
	f.Add(appendDecided(nil, 1, encodeRequest(req, nil, nil).b,
		string(accepted)+"\x02\x00\x00\x00\x00\x00\x00\x00\x01"+string(accepted)))
	f.Add(appendDecided(nil, 1, encodeRequest(keyed, nil, nil).b,
		string(accepted)+"\x02\x00\x00\x00\x00\x00\x00\x00\x05"+"\x05\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, chunk []byte) {
		text := string(req.Segment[:]) + string(chunk)
		fact, err := commitFact(1, text)
		again, errAgain := commitFact(1, text)
		if (err == nil) != (errAgain == nil) || err == nil && !reflect.DeepEqual(fact, again) {
			t.Fatalf("%+v, %v; then %+v, %v", fact, err, again, errAgain)
		}
		if err != nil {
			return
		}
		if len(fact.Commit.Spans) > len(chunk)/partitionLen {
			t.Fatalf("%d spans in %d bytes", len(fact.Commit.Spans), len(chunk))
		}
		_, _ = coordinator.DecodeFact(coordinator.AppendFact(nil, fact))
	})
}

var sampleKey = &coordinator.RequestKey{ID: [16]byte{1}, Body: [16]byte{2}, Partitions: 3, Timestamp: -4}

// A request that is read back has the groups that were written.
func TestRequest(t *testing.T) {
	at := segments.Partition{Topic: segments.NewTopicID(), Index: -1}
	batch := func(length int32, producer int64) coordinator.CommitBatch {
		return coordinator.CommitBatch{Length: length, Records: 2, MaxTimestamp: -int64(length),
			ProducerID: producer, ProducerEpoch: 3, BaseSequence: 1<<31 - 1}
	}
	run := coordinator.CommitRun{Partition: at, Position: 7, Batches: []coordinator.CommitBatch{
		batch(1, -1), batch(2, -1), batch(3, 5), batch(4, -1), batch(5, -1), batch(6, -1),
	}}
	req := &coordinator.CommitRequest{Runs: []coordinator.CommitRun{run}}
	withKey := batch(7, -1)
	withKey.Key = sampleKey
	req.Runs[0].Batches = append(req.Runs[0].Batches, withKey, withKey)
	prior := &remembered{}
	prior.add([]answered{{position: 7 + 1 + 2 + 3 + 4, length: 5}})
	encoded := encodeRequest(req, prior, nil)
	r := requestReader{reader{rest: encoded.b}}
	runs, p, position, groups := r.uint32(), r.partition(), r.int64(), r.uint32()
	if runs != 1 || p != at || position != 7 || groups != 7 {
		t.Fatalf("%d runs, %v at %d, %d groups", runs, p, position, groups)
	}
	want := []group{
		{kind: groupPlain, bytes: 3, records: 4, timestamp: -1},
		{kind: groupIdempotent, bytes: 3, records: 2, timestamp: -3,
			producer: coordinator.ProducerBatch{ProducerID: 5, Epoch: 3, BaseSequence: 1<<31 - 1}},
		{kind: groupPlain, bytes: 4, records: 2, timestamp: -4},
		{kind: groupAnswered, bytes: 5},
		{kind: groupPlain, bytes: 6, records: 2, timestamp: -6},
		{kind: groupKeyed, bytes: 7, records: 2, timestamp: -7, key: sampleKey},
		{kind: groupKeyed, bytes: 7, records: 2, timestamp: -7, key: sampleKey},
	}
	for i, w := range want {
		if g := r.group(); !reflect.DeepEqual(g, w) {
			t.Errorf("group %d is %+v, should be %+v", i, g, w)
		}
	}
	if len(r.rest) > 0 || r.err != nil {
		t.Errorf("%d bytes too many, %v", len(r.rest), r.err)
	}
	if len(encoded.idempotent) != 1 || len(encoded.keyed) != 1 || len(encoded.partitions) != partitionLen {
		t.Errorf("idempotent %q, %d keyed, partitions %q", encoded.idempotent, len(encoded.keyed), encoded.partitions)
	}
}
