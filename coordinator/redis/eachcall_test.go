package redis_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
)

// eachCall are the calls of a coordinator, and of Propose each kind of change: "Commit", or
// "Commit, known" for another case of the same.
var eachCall = map[string]lostCall{
	"Generation": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		g, err := c.Generation(w.t.Context())
		return fmt.Sprint(g.Incarnation), err
	}},
	"Open": {call: (*lostWorld).openNext},
	"Open, in many parts": {
		prepare: func(w *lostWorld) {
			w.next = coordinator.NewState(w.in+1, cluster1)
			for i := range 700 {
				topic := coordinator.TopicFact{ID: segments.TopicID{1, byte(i >> 8), byte(i)}, Version: 1, Partitions: 1}
				topic.Name = fmt.Sprint("topic ", i)
				w.want("a topic", w.next.Apply(&coordinator.Fact{Incarnation: w.in + 1, Topic: &topic}), nil)
			}
		},
		call: (*lostWorld).openNext,
	},
	"Commit": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return w.commit(c, w.all(1))
	}},
	"Commit, known": {
		prepare: func(w *lostWorld) { w.must(w.commit(w.direct, w.all(1))) },
		call:    func(w *lostWorld, c coordinator.Coordinator) (string, error) { return w.commit(c, w.all(1)) },
	},
	"Propose.CreateTopic": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		create := &coordinator.CreateTopic{ID: w.ids.other, Name: "b", Partitions: 3}
		return w.propose(c, coordinator.Change{CreateTopic: create})
	}},
	"Propose.DeleteTopic": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return w.propose(c, coordinator.Change{DeleteTopic: &w.ids.topic})
	}},
	"Propose.Grow": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return w.propose(c, coordinator.Change{Grow: &coordinator.Grow{Topic: w.ids.topic, Partitions: 7}})
	}},
	"Propose.Configure": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		day := "86400000"
		configure := &coordinator.Configure{Topic: w.ids.topic, Set: map[string]*string{"retention.ms": &day}}
		return w.propose(c, coordinator.Change{Configure: configure})
	}},
	"Propose.LogStart": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return w.propose(c, moving(map[segments.Partition]int64{w.at(0): 2}))
	}},
	"Propose.ProducerIDs": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return w.propose(c, coordinator.Change{ProducerIDs: 10})
	}},
	"Propose.Settings": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		set := coordinator.Setting{Kind: coordinator.ACLSetting, Key: "k", Value: "v"}
		_, err := w.propose(c, coordinator.Change{Settings: []coordinator.Setting{set}})
		return "", err // its time is the server's
	}},
	"Commit, ending": {
		prepare: (*lostWorld).transact,
		call:    func(w *lostWorld, c coordinator.Coordinator) (string, error) { return w.commit(c, w.ending(2)) },
	},
	"Commit, ending, known": {
		prepare: func(w *lostWorld) {
			w.transact()
			w.must(w.commit(w.direct, w.ending(2)))
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) { return w.commit(c, w.ending(2)) },
	},
	"TransactionalID": {
		prepare: (*lostWorld).transact,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			now, err := c.TransactionalID(w.t.Context(), w.in, "id")
			return fmt.Sprint(now.Epoch, now.Ordinal, now.Open, now.Complete), err
		},
	},
	"Propose.Fence": {
		prepare: (*lostWorld).transact,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			_, err := w.propose(c, coordinator.Change{Fence: &coordinator.Fence{ID: "id", NewProducerID: 6}})
			if errors.Is(err, coordinator.ErrConcurrentTransactions) { // the first one awaits its confirmation, and is helped
				latest, _ := w.direct.Latest(w.t.Context(), w.in)
				w.want("helping", w.direct.Confirm(w.t.Context(), w.in, []uint64{latest}), nil)
				_, err = w.propose(c, coordinator.Change{Fence: &coordinator.Fence{ID: "id", NewProducerID: 6}})
			}
			return "", err // its epoch may be one more
		},
		twice: true,
	},
	"Propose.Add": {
		prepare: (*lostWorld).transact,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			_, err := w.propose(c, coordinator.Change{Add: &coordinator.AddToTransaction{ID: "id",
				Producer: coordinator.Producer{ProducerID: 6}, Partitions: []segments.Partition{w.at(2)}}})
			return "", err
		},
		twice: true,
	},
	"Propose.Stage": {
		prepare: func(w *lostWorld) {
			w.transact()
			w.acquire()
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			_, err := w.propose(c, coordinator.Change{Stage: &coordinator.StageOffsets{ID: "id",
				Producer: coordinator.Producer{ProducerID: 6}, Protocol: coordinator.Transactional, Lease: w.lease.Name,
				Epoch: w.lease.Epoch,
				Group: "g", Version: 3, Offsets: []coordinator.GroupOffset{{Partition: w.at(0), Offset: 2, LeaderEpoch: -1}}}})
			return "", err
		},
		twice: true,
	},
	"Propose.Forget": {
		prepare: func(w *lostWorld) {
			w.transact()
			w.must(w.commit(w.direct, w.ending(2)))
			w.confirm()
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			now, err := w.direct.TransactionalID(w.t.Context(), w.in, "id")
			if err != nil || now.Gone {
				return "", err // it is forgotten, as was asked for
			}
			_, err = w.propose(c, coordinator.Change{Forget: &coordinator.ForgetTransactionalID{ID: "id", Version: now.Version}})
			return "", err
		},
		twice: true,
	},
	"Propose.Offsets": {
		prepare: (*lostWorld).acquire,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			_, err := w.propose(c, coordinator.Change{Offsets: &coordinator.CommitOffsets{
				Lease: w.lease.Name, Epoch: w.lease.Epoch, Group: "g",
				Offsets: []coordinator.GroupOffset{{Partition: w.at(0), Offset: 2, LeaderEpoch: -1}},
			}})
			return "", err // its number and version may be those of a second decision, which says the same
		},
		twice: true,
	},
	"Propose.Merge": {
		prepare: (*lostWorld).acquire,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			m := &coordinator.ProposeMerge{Lease: w.lease.Name, Epoch: w.lease.Epoch, Segment: w.ids.segment(2)}
			m.Merge = coordinator.Merge{Partition: w.at(0), Base: 0, Last: 2,
				Spans: []coordinator.Span{{Segment: m.Segment, Base: 0, Last: 2, Position: 32, Length: 100}}}
			return w.propose(c, coordinator.Change{Merge: m})
		},
	},
	"Confirm": {
		prepare: func(w *lostWorld) {
			w.must(w.commit(w.direct, w.all(1)))
			w.must(w.propose(w.direct, coordinator.Change{ProducerIDs: 10}))
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			return "", c.Confirm(w.t.Context(), w.in, w.decided)
		},
	},
	"Confirm, in many steps": {
		prepare: func(w *lostWorld) {
			const partitions = 1200
			w.must(w.propose(w.direct, coordinator.Change{Grow: &coordinator.Grow{Topic: w.ids.topic, Partitions: partitions}}))
			w.confirm()
			req := coordinator.CommitRequest{Segment: w.ids.segment(1)}
			for i := range int32(partitions) {
				req.Runs = append(req.Runs, coordinator.CommitRun{Partition: w.at(i), Position: 10 * int64(i),
					Batches: []coordinator.CommitBatch{{Length: 10, Records: 1, ProducerID: -1}}})
			}
			w.must(w.commit(w.direct, req))
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			return "", c.Confirm(w.t.Context(), w.in, w.decided)
		},
	},
	"Settled": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		n, err := c.Settled(w.t.Context(), w.in)
		return fmt.Sprint(n), err
	}},
	"Latest": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		n, err := c.Latest(w.t.Context(), w.in)
		return fmt.Sprint(n), err
	}},
	"Now": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		now, err := c.Now(w.t.Context(), w.in)
		return fmt.Sprint(time.Since(now).Abs() < time.Minute), err
	}},
	"Topic": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		topic, err := c.Topic(w.t.Context(), w.in, "a")
		return fmt.Sprintf("%+v", topic), err
	}},
	"HighWatermarks": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		marks, err := c.HighWatermarks(w.t.Context(), w.in, []segments.Partition{w.at(0), w.at(3), w.at(4)})
		return fmt.Sprint(marks), err
	}},
	"Keyed": {
		prepare: func(w *lostWorld) { w.must(w.commit(w.direct, w.all(1))) },
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			found, err := c.Keyed(w.t.Context(), w.in, w.ids.topic, w.ids.key.ID, [16]byte{9})
			return fmt.Sprint(len(found) == 2 && found[0] != nil && *found[0] == w.ids.key && found[1] == nil), err
		},
	},
	"Follow": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) { return w.follow(c) }},
	"Acquire": {
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			var err error
			w.lease, err = c.Acquire(w.t.Context(), w.in, "l", "A", time.Minute)
			return w.lease.Holder, err
		},
		after: func(w *lostWorld) { // it can be given back with the epoch that the second try was told, and is free then
			w.want("another", w.acquireAs("B"), coordinator.ErrLeaseHeld)
			w.want("giving back", w.via.Release(w.t.Context(), w.in, "l", "A", w.lease.Epoch), nil)
			w.want("another, then", w.acquireAs("B"), nil)
		},
	},
	"Release": {
		prepare: (*lostWorld).acquire,
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			err := c.Release(w.t.Context(), w.in, w.lease.Name, w.lease.Holder, w.lease.Epoch)
			if errors.Is(err, coordinator.ErrLeaseLost) {
				err = nil // it is not held any more, as was asked for
			}
			return "", err
		},
		after: func(w *lostWorld) { // a late copy takes nothing away from who has it now
			w.want("the same holder", w.acquireAs("A"), nil)
		},
	},
	"Register": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return "", c.Register(w.t.Context(), w.in, coordinator.NodeInfo{ID: 7, Life: "A"}, time.Minute)
	}},
	"Register, away": {
		prepare: func(w *lostWorld) {
			node := coordinator.NodeInfo{ID: 7, Life: "A"}
			w.want("registering", w.direct.Register(w.t.Context(), w.in, node, time.Minute), nil)
		},
		call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
			return "", c.Register(w.t.Context(), w.in, coordinator.NodeInfo{ID: 7, Life: "A"}, 0)
		},
	},
	"Nodes": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		nodes, err := c.Nodes(w.t.Context(), w.in)
		return fmt.Sprintf("%+v", nodes), err
	}},
	"AnnounceRecovery": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		return "", c.AnnounceRecovery(w.t.Context(), w.in+1, time.Minute)
	}},
	"AnnouncedRecovery": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		in, err := c.AnnouncedRecovery(w.t.Context())
		return fmt.Sprint(in), err
	}},
	"ClusterID": {call: func(w *lostWorld, c coordinator.Coordinator) (string, error) {
		if r, ok := c.(*redis.Coordinator); ok {
			id, err := r.ClusterID(w.t.Context(), w.in)
			return fmt.Sprint(id == cluster1), err
		}
		return "true", nil // the embedded coordinator belongs to one process, and so to one bucket
	}},
}

const cluster1 = "cluster 1"

// lostCall is a call whose requests and replies are lost.
type lostCall struct {
	prepare func(w *lostWorld)
	call    func(w *lostWorld, c coordinator.Coordinator) (answer string, err error)
	after   func(w *lostWorld) // what happens next, before a late copy of a request arrives
	twice   bool               // it may be decided twice: of both the effect is the same
}

// Of each call every request and every reply is lost once, whichever command of Redis it is. The
// caller gets an error which says that the outcome is unknown, or the right answer. The second try
// gets the answer that the model gives to the first; and so does every look at the state
// afterwards, also when a copy of the request arrives long after, out of the network.
func TestEachRequestAndReplyLost(t *testing.T) {
	server := redistest.Start(t)
	if err := connect(t, redis.Options{Addrs: []string{server.Addr}}).LoadScripts(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, row := range eachCall {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, request := range map[string]bool{"request": true, "reply": false} {
				n := 1
				for ; loseOne(t, server, row, n, request, fmt.Sprintf("%s %d", what, n)); n++ {
					if n == 100 {
						t.Fatal("there is no end of requests")
					}
				}
				if n == 1 {
					t.Errorf("no %s was lost: the call asks Redis for nothing", what)
				}
				t.Logf("each %s of %d was lost", what, n-1)
			}
		})
	}
}

// loseOne makes a call whose nth request, or the reply to it, is lost. It returns false if there
// are not so many.
func loseOne(t *testing.T, server *redistest.Server, row lostCall, n int, request bool, what string) bool {
	t.Helper()
	want, right := modelOf(t, row)
	proxy := redistest.StartProxy(t, server.Addr)
	prefix := newPrefix()
	w := &lostWorld{t: t, ids: want.ids, via: connect(t, redis.Options{Addrs: []string{proxy.Addr}, Prefix: prefix}),
		direct: connect(t, redis.Options{Addrs: []string{server.Addr}, Prefix: prefix})}
	w.open(row)
	lost := proxy.LoseNth(n, request)
	answer, err := row.call(w, w.via)
	late := lost.Request()
	if late == nil || err == nil {
		if err != nil || answer != right {
			t.Errorf("%s: answered %q, %v; should be %q", what, answer, err, right)
		}
	} else {
		for _, certain := range append(sentinels, coordinator.ErrOpenedBefore) {
			if errors.Is(err, certain) {
				t.Errorf("%s: the caller was told %v, and nobody knows", what, err)
			}
		}
		if answer, err = row.call(w, w.via); err != nil || answer != right {
			t.Errorf("%s: the second try is answered %q, %v; should be %q", what, answer, err, right)
		}
	}
	want.goOn(row)
	w.goOn(row)
	if late != nil {
		server.Send(late)
	}
	if got, want := w.story(row), want.story(row); got != want {
		t.Errorf("%s: afterwards there is\n%sshould be\n%s", what, got, want)
	}
	return late != nil
}

// modelOf makes the call in the model, and returns the right answer.
func modelOf(t *testing.T, row lostCall) (*lostWorld, string) {
	t.Helper()
	model := embedded.New(embedded.Options{})
	w := &lostWorld{t: t, ids: newLostIDs(), via: model, direct: model}
	w.open(row)
	return w, w.must(row.call(w, model))
}

// lostIDs are the names of what a call is about: the same for the model and for Redis.
type lostIDs struct {
	topic, other segments.TopicID
	segments     [8]segments.ID
	key          coordinator.RequestKey
}

func newLostIDs() *lostIDs {
	ids := &lostIDs{topic: segments.NewTopicID(), other: segments.NewTopicID()}
	ids.key = coordinator.RequestKey{ID: [16]byte{1}, Body: [16]byte{2}, Partitions: 4}
	for i := range ids.segments {
		ids.segments[i] = segments.NewID(time.Now())
	}
	return ids
}

func (ids *lostIDs) segment(i int) segments.ID { return ids.segments[i] }

// lostWorld is a coordinator with a topic of four partitions, of which the first has three records,
// and two that use it.
type lostWorld struct {
	t           *testing.T
	ids         *lostIDs
	via, direct coordinator.Coordinator // the caller's, and another's
	in          coordinator.Incarnation
	decided     []uint64 // numbers of facts that await their confirmation
	lease       coordinator.Lease
	next        *coordinator.State // that is to be opened
}

func (w *lostWorld) at(i int32) segments.Partition {
	return segments.Partition{Topic: w.ids.topic, Index: i}
}

func (w *lostWorld) open(row lostCall) {
	w.t.Helper()
	w.in = 1
	w.want("opening", w.direct.Open(w.t.Context(), coordinator.NewState(1, cluster1)), nil)
	w.must(w.propose(w.direct, coordinator.Change{ID: w.ids.segment(6),
		CreateTopic: &coordinator.CreateTopic{ID: w.ids.topic, Name: "a", Partitions: 4}}))
	w.confirm()
	w.must(w.commit(w.direct, w.one(0)))
	w.confirm()
	if row.prepare != nil {
		row.prepare(w)
	}
}

// one is a segment of three records, for the first partition.
func (w *lostWorld) one(segment int) coordinator.CommitRequest {
	return coordinator.CommitRequest{Segment: w.ids.segment(segment), Runs: []coordinator.CommitRun{
		{Partition: w.at(0), Batches: []coordinator.CommitBatch{{Length: 10, Records: 3, ProducerID: -1}}}}}
}

// all is a segment with every kind of batch.
func (w *lostWorld) all(segment int) coordinator.CommitRequest {
	keyed := coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: -1, Key: &w.ids.key}
	plain := coordinator.CommitBatch{Length: 10, Records: 1, ProducerID: -1}
	return coordinator.CommitRequest{Segment: w.ids.segment(segment), Runs: []coordinator.CommitRun{
		{Partition: w.at(0), Batches: []coordinator.CommitBatch{
			{Length: 10, Records: 2, ProducerID: 5},
			plain,
			{Length: 10, Records: 1, ProducerID: 5, BaseSequence: 9}, // out of order
		}},
		{Partition: w.at(1), Position: 30, Batches: []coordinator.CommitBatch{keyed}},
		{Partition: w.at(9), Position: 40, Batches: []coordinator.CommitBatch{plain}}, // unknown
	}}
}

// transact begins a transaction, of producer 6 in the third partition.
func (w *lostWorld) transact() {
	w.must(w.propose(w.direct, coordinator.Change{Fence: &coordinator.Fence{ID: "id", NewProducerID: 6}}))
	w.confirm()
	w.must(w.commit(w.direct, coordinator.CommitRequest{Segment: w.ids.segment(5),
		Runs: []coordinator.CommitRun{{Partition: w.at(2),
			Batches: []coordinator.CommitBatch{{Length: 10, Records: 1, ProducerID: 6, Protocol: coordinator.Transactional}}}}}))
	w.confirm()
}

// ending ends it, among other batches.
func (w *lostWorld) ending(segment int) coordinator.CommitRequest {
	req := w.all(segment)
	req.Endings = []coordinator.Ending{{Incarnation: w.in, ID: "id", Producer: coordinator.Producer{ProducerID: 6},
		Ordinal: 1,
		Result:  coordinator.Committed, Bump: true, NewProducerID: -1}}
	req.Runs = append(req.Runs, coordinator.CommitRun{Partition: w.at(2), Position: 50,
		Batches: []coordinator.CommitBatch{{Length: 78, Records: 1, ProducerID: 6, BaseSequence: -1, Ending: 1}}})
	return req
}

func (w *lostWorld) commit(c coordinator.Coordinator, req coordinator.CommitRequest) (string, error) {
	answer, err := c.Commit(w.t.Context(), w.in, req)
	if answer.Entry.Seq != 0 {
		w.decided = append(w.decided, answer.Entry.Seq)
	}
	return entryText(answer.Entry) + batchesText(answer.Runs), err
}

func (w *lostWorld) propose(c coordinator.Coordinator, change coordinator.Change) (string, error) {
	if change.ID == (segments.ID{}) {
		change.ID = w.ids.segment(7)
	}
	entry, err := c.Propose(w.t.Context(), w.in, change)
	if entry.Seq != 0 {
		w.decided = append(w.decided, entry.Seq)
	}
	return entryText(entry), err
}

func (w *lostWorld) confirm() {
	w.t.Helper()
	w.want("confirming", w.direct.Confirm(w.t.Context(), w.in, w.decided), nil)
	w.decided = nil
}

// openNext opens another incarnation, as a node does: what may have been sent is never sent again.
func (w *lostWorld) openNext(c coordinator.Coordinator) (string, error) {
	if w.next != nil && w.next.Generation() != (coordinator.Generation{}) {
		now, err := c.Generation(w.t.Context())
		if err != nil || now == w.next.Generation() {
			w.in = now.Incarnation
			return "open", err
		}
		w.next = coordinator.NewState(w.next.Incarnation()+1, cluster1)
	}
	if w.next == nil {
		w.next = coordinator.NewState(w.in+1, cluster1)
	}
	err := c.Open(w.t.Context(), w.next)
	if err == nil {
		w.in = w.next.Incarnation()
	}
	return "open", err
}

func (w *lostWorld) acquire() {
	var err error
	w.lease, err = w.direct.Acquire(w.t.Context(), w.in, "l", "A", time.Minute)
	w.want("acquiring", err, nil)
}

func (w *lostWorld) acquireAs(holder string) error {
	_, err := w.direct.Acquire(w.t.Context(), w.in, "l", holder, time.Minute)
	return err
}

// goOn is what happens in the cluster afterwards.
func (w *lostWorld) goOn(row lostCall) {
	w.t.Helper()
	if row.after != nil {
		row.after(w)
	}
	w.confirm()
	w.must(w.commit(w.direct, w.one(3)))
	w.confirm()
}

// story is all that anybody can see.
func (w *lostWorld) story(row lostCall) string {
	w.t.Helper()
	var b strings.Builder
	add := func(what string, text string, err error) {
		if err != nil {
			text = "an error"
		}
		fmt.Fprintf(&b, "%s: %s\n", what, text)
	}
	entries, err := w.follow(w.direct)
	if !row.twice {
		add("stream", entries, err)
	}
	add("offsets", w.offsets(), nil)
	for _, name := range []string{"a", "b"} {
		topic, err := w.direct.Topic(w.t.Context(), w.in, name)
		add(name, fmt.Sprintf("%+v", topic), err)
	}
	marks, err := w.direct.HighWatermarks(w.t.Context(), w.in, []segments.Partition{w.at(0), w.at(1), w.at(6)})
	add("marks", fmt.Sprint(marks), err)
	keyed, err := w.direct.Keyed(w.t.Context(), w.in, w.ids.topic, w.ids.key.ID)
	add("keyed", fmt.Sprint(len(keyed) == 1 && keyed[0] != nil), err)
	nodes, err := w.direct.Nodes(w.t.Context(), w.in)
	add("nodes", fmt.Sprintf("%+v", nodes), err)
	lease, err := w.direct.Acquire(w.t.Context(), w.in, "l", "a probe", time.Minute)
	if err == nil || errors.Is(err, coordinator.ErrLeaseHeld) {
		add("lease", lease.Holder, nil)
	}
	answer, err := w.direct.Commit(w.t.Context(), w.in, w.all(4))
	add("the next commit", batchesText(answer.Runs), err)
	return b.String()
}

// follow returns the whole commit stream.
func (w *lostWorld) follow(c coordinator.Coordinator) (string, error) {
	var b strings.Builder
	err := w.entries(c, func(e coordinator.Entry) { fmt.Fprintln(&b, entryText(e)) })
	return b.String(), err
}

// offsets returns what groups have committed, as the stream says.
func (w *lostWorld) offsets() string {
	var version uint64
	committed := map[string][]coordinator.GroupOffset{}
	err := w.entries(w.direct, func(e coordinator.Entry) {
		if e.Fact == nil || e.Fact.Offsets == nil {
			return
		}
		if o := e.Fact.Offsets; o.Version > version {
			committed[o.Group], version = o.Partitions, o.Version
		}
	})
	return fmt.Sprintf("%v, %v", committed, err)
}

func (w *lostWorld) entries(c coordinator.Coordinator, each func(coordinator.Entry)) error {
	latest, err := w.direct.Latest(w.t.Context(), w.in)
	if err != nil || latest == 0 {
		return err
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	for e, err := range c.Follow(ctx, w.in, 0) {
		if err != nil {
			return err
		}
		if each(e); e.Seq == latest {
			break
		}
	}
	return nil
}

func (w *lostWorld) must(answer string, err error) string {
	w.t.Helper()
	w.want("a call that nothing disturbs", err, nil)
	return answer
}

func (w *lostWorld) want(what string, err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Fatalf("%s: %v, should be %v", what, err, want)
	}
}

// Each method of a coordinator, and each kind of change, has its row.
func TestEachCallHasARow(t *testing.T) {
	rows := map[string]bool{}
	for name := range eachCall {
		call, _, _ := strings.Cut(name, ", ")
		rows[call] = true
	}
	var calls []string
	contract := reflect.TypeFor[coordinator.Coordinator]()
	for i := range contract.NumMethod() {
		calls = append(calls, contract.Method(i).Name)
	}
	ours := reflect.TypeFor[*redis.Coordinator]()
	for i := range ours.NumMethod() {
		calls = append(calls, ours.Method(i).Name)
	}
	change := reflect.TypeFor[coordinator.Change]()
	for i := range change.NumField() {
		calls = append(calls, "Propose."+change.Field(i).Name)
	}
	// Close makes no request, Propose has a row for each kind of change, by the field that is not its
	// ID, and the others are there for tests.
	without := []string{
		"Close", "Propose", "Propose.ID",
		"RetryInLibrary", "ForgetProducers", "Keys", "OnPart", "LoadScripts", "Current",
	}
	for _, call := range calls {
		if !rows[call] && !slices.Contains(without, call) {
			t.Errorf("%s has no row in eachCall: what becomes of it when its reply is lost?", call)
		}
	}
}
