package redis_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// open opens the coordinator on an empty bucket, with a topic of one partition.
func open(t testing.TB, c coordinator.Coordinator) (coordinator.Incarnation, segments.Partition) {
	t.Helper()
	state, err := coordinator.Recover(t.Context(), memory.New(), coordinator.RecoverOptions{})
	if err == nil {
		err = c.Open(t.Context(), state)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := segments.NewTopicID()
	entry, err := c.Propose(t.Context(), 1, coordinator.Change{ID: segments.NewID(time.Now()),
		CreateTopic: &coordinator.CreateTopic{ID: id, Name: "a", Partitions: 100}})
	if err == nil {
		err = c.Confirm(t.Context(), 1, []uint64{entry.Seq})
	}
	if err != nil {
		t.Fatal(err)
	}
	return 1, segments.Partition{Topic: id}
}

func request(at segments.Partition, batches ...coordinator.CommitBatch) coordinator.CommitRequest {
	if len(batches) == 0 {
		batches = []coordinator.CommitBatch{{Length: 100, Records: 1, ProducerID: -1}}
	}
	return coordinator.CommitRequest{
		Segment: segments.NewID(time.Now()),
		Runs:    []coordinator.CommitRun{{Partition: at, Batches: batches}},
	}
}

// A reply that is lost on its way assigns no offsets twice: neither when the caller commits again,
// as Firn does, nor when the library runs the script again behind the caller's back, as it would by
// default. In the first case, and only there, the script runs once for each call.
func TestLostReply(t *testing.T) {
	for name, retries := range map[string]bool{"library retries off": false, "library retries on": true} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.StartProxy(t, redistest.Start(t).Addr)
			c := connect(t, redis.Options{Addrs: []string{proxy.Addr}})
			in, at := open(t, c)
			if retries {
				if err := c.RetryInLibrary(); err != nil {
					t.Fatal(err)
				}
			}
			other := segments.Partition{Topic: at.Topic, Index: 1}
			warm, err := c.Commit(t.Context(), in, request(other)) // so that Redis knows the script from here on
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(10) {
				req := request(at, coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: 1, BaseSequence: int32(2 * i)},
					coordinator.CommitBatch{Length: 10, Records: 1, ProducerID: -1})
				proxy.LoseReply(req.Segment[:])
				answer, err := c.Commit(t.Context(), in, req)
				if (err == nil) != retries {
					t.Fatalf("a commit whose reply was lost: %v", err)
				}
				if want := map[bool]int{false: 1, true: 2}[retries]; proxy.Sent() != want {
					t.Errorf("the script was sent %d times, should be %d", proxy.Sent(), want)
				}
				if !retries {
					if answer, err = c.Commit(t.Context(), in, req); err != nil {
						t.Fatal(err)
					}
				}
				for j, b := range answer.Runs[0] {
					if b.Err != nil || b.BaseOffset != 3*i+int64(2*j) {
						t.Fatalf("commit %d, batch %d: %+v", i, j, b)
					}
				}
				if answer.Entry.Fact == nil || len(answer.Entry.Fact.Commit.Spans) != 1 {
					t.Fatalf("commit %d became %+v", i, answer.Entry)
				}
			}
			seen := uint64(0)
			for entry, err := range c.Follow(t.Context(), in, warm.Entry.Seq) {
				if err != nil {
					t.Fatal(err)
				}
				span := entry.Fact.Commit.Spans[0].Span
				if span.Base != int64(3*seen) || span.Last != span.Base+2 {
					t.Errorf("entry %d is %+v", entry.Seq, span)
				}
				if seen++; seen == 10 {
					break
				}
			}
		})
	}
}

// The client of a cluster sends again whatever MaxRetries says, but not a script.
func TestLostReplyOfACluster(t *testing.T) {
	server := redistest.Cluster(t, 1)[0]
	proxy := redistest.StartProxy(t, server.Addr)
	_, port, err := net.SplitHostPort(proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	server.Do("config", "set", "cluster-announce-port", port)
	c := connect(t, redis.Options{Addrs: []string{proxy.Addr}, Cluster: true})
	in, at := open(t, c)
	if _, err := c.Commit(t.Context(), in, request(at)); err != nil { // so that Redis knows the script
		t.Fatal(err)
	}
	req := request(at, coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: -1})
	proxy.LoseReply(req.Segment[:])
	if _, err := c.Commit(t.Context(), in, req); err == nil || proxy.Sent() != 1 {
		t.Errorf("a script whose reply was lost was sent %d times: %v", proxy.Sent(), err)
	}
}

// Replies to all other calls may be lost as well: repeating them gives the first answer.
func TestLostReplies(t *testing.T) {
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr)
	c := connect(t, redis.Options{Addrs: []string{proxy.Addr}})
	in, at := open(t, c)
	change := coordinator.Change{ID: segments.NewID(time.Now()), ProducerIDs: 10}
	proxy.LoseReply(change.ID[:])
	if _, err := c.Propose(t.Context(), in, change); err == nil {
		t.Error("a change whose reply was lost has no error")
	}
	entry, err := c.Propose(t.Context(), in, change)
	if err != nil || entry.Fact.ProducerIDs.End != 10 {
		t.Errorf("the change became %+v, %v", entry.Fact, err)
	}
	answer, err := c.Commit(t.Context(), in, request(at))
	if err != nil {
		t.Fatal(err)
	}
	proxy.LoseReply([]byte(":settling"))
	if err := c.Confirm(t.Context(), in, []uint64{entry.Seq, answer.Entry.Seq}); err == nil {
		t.Error("a confirmation whose reply was lost has no error")
	}
	if err := c.Confirm(t.Context(), in, []uint64{entry.Seq, answer.Entry.Seq}); err != nil {
		t.Error(err)
	}
	if settled, err := c.Settled(t.Context(), in); err != nil || settled != answer.Entry.Seq+1 {
		t.Errorf("settled up to %d, %v; there are %d entries", settled, err, answer.Entry.Seq+1)
	}
	state := coordinator.NewState(in+1, mustClusterID(t, c, in))
	proxy.LoseReply([]byte(":stream")) // of the script that makes a loaded generation the current one
	if err := c.Open(t.Context(), state); !errors.Is(err, coordinator.ErrOpening) {
		t.Errorf("an opening whose reply was lost: %v", err)
	}
	if now, err := c.Generation(t.Context()); err != nil || now.Incarnation != in+1 || now != state.Generation() {
		t.Errorf("%v is open, %v; what was sent is %v", now, err, state.Generation())
	}
}

func mustClusterID(t *testing.T, c *redis.Coordinator, in coordinator.Incarnation) string {
	t.Helper()
	id, err := c.ClusterID(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
