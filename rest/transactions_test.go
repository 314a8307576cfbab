package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

type writtenPage struct {
	Records []struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		Timestamp int64  `json:"timestamp"`
	} `json:"records"`
}

// transact sends a transaction.
func (f *firn) transact(ctx context.Context, key string, body, v any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, "POST", f.url+"/v1/transactions", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(answer, v)
	}
	return resp, err
}

func (f *firn) wantTransaction(t *testing.T, what, key string, body any, status int, v any) *http.Response {
	t.Helper()
	resp, err := f.transact(t.Context(), key, body, v)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("%s: %s, want %d, %+v", what, resp.Status, status, v)
	}
	return resp
}

// marks are the high watermarks of a topic.
func (f *firn) marks(t *testing.T, topic string) (ends []int64) {
	t.Helper()
	known := f.node.View().Topic(topic)
	for i := range known.Partitions {
		p, _ := f.node.View().Partition(segments.Partition{Topic: known.ID, Index: i})
		ends = append(ends, p.HighWatermark)
	}
	return ends
}

// A transaction writes to several topics and commits under a claim, through any node; made again it
// does nothing twice; what is refused leaves nothing behind.
func TestTransactions(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	f, other := nodes[0], nodes[1]
	in := f.makeTopic(t, "in", 1)
	f.makeTopic(t, "out", 3)
	f.makeTopic(t, "audit", 1)
	f.writeValues(t, in, 0, "a", "b", "c")
	claim := func(holder string) claimedPage {
		t.Helper()
		for {
			var got claimPages
			f.call(t, "POST", "/v1/groups/workers/claims", object{"holder": holder, "topics": []string{"in"}, "ttl": 60}, &got)
			if len(got.Claims) > 0 {
				return got.Claims[0]
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	offsets := func(c claimedPage, from, offset int) object {
		return object{"group": "workers", "holder": c.Holder,
			"claims": []object{held(c, object{"from": from, "offset": offset})}}
	}
	records := []object{{"topic": "out", "partition": 2, "value": "x"}, {"topic": "audit", "value": "y"},
		{"topic": "out", "partition": 0, "key": "k", "value": "z"}}
	first := claim("one")
	body := object{"records": records, "offsets": offsets(first, 0, 2)}
	var done, again writtenPage
	f.wantTransaction(t, "a transaction", "k1", body, 200, &done)
	if len(done.Records) != 3 || done.Records[0].Topic != "out" || done.Records[0].Partition != 2 ||
		done.Records[1].Topic != "audit" || done.Records[2].Partition != 0 || done.Records[2].Timestamp == 0 {
		t.Fatalf("it is answered with %+v", done)
	}
	resp := other.wantTransaction(t, "made again", "k1", body, 200, &again)
	if !slices.Equal(done.Records, again.Records) || resp.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("made again it is answered with %+v", again)
	}
	var p problem
	f.wantTransaction(t, "the key with another body", "k1", object{"records": records[:2]}, 422, &p)
	other.wantTransaction(t, "through the other node", "k2", object{"records": records[:1],
		"offsets": offsets(first, 2, 3)}, 200, nil)
	if resp := f.call(t, "POST", "/v1/groups/workers/claims/release", object{"holder": "one",
		"claims": []object{held(first, nil)}}, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	if second := claim("two"); second.Offset != 3 {
		t.Errorf("the next holder begins at %+v", second)
	}
	want := fmt.Sprint(f.marks(t, "out"), f.marks(t, "audit"))
	p = problem{}
	f.wantTransaction(t, "a claim that has ended", "k3", object{"records": records,
		"offsets": offsets(first, 3, 3)}, 409, &p)
	if p.Code != "FENCED_MEMBER_EPOCH" || len(p.Claims) != 1 || p.Claims[0].Error != "FENCED_MEMBER_EPOCH" {
		t.Errorf("a claim that has ended: %+v", p)
	}
	second := claim("two")
	p = problem{}
	f.wantTransaction(t, "a former life of the holder", "k10", object{"records": records, "offsets": object{
		"group": "workers", "holder": "two", "claims": []object{held(second, object{"offset": 3, "from": 1})}}}, 409, &p)
	if p.Code != "FENCED_MEMBER_EPOCH" {
		t.Errorf("a former life of the holder: %+v", p)
	}
	f.wantTransaction(t, "a topic that does not exist", "k4", object{"records": append(slices.Clone(records),
		object{"topic": "nope", "value": "v"})}, 404, nil)
	p = problem{}
	f.wantTransaction(t, "a partition that does not exist", "k5", object{"records": append(slices.Clone(records),
		object{"topic": "audit", "partition": 4, "value": "v"})}, 422, &p)
	if p.Record == nil || *p.Record != 3 {
		t.Errorf("a partition that does not exist: %+v", p)
	}
	f.wantTransaction(t, "no key", "", body, 400, nil)
	f.wantTransaction(t, "no records", "k6", object{"offsets": body["offsets"]}, 400, nil)
	f.wantTransaction(t, "a record without a topic", "k7", object{"records": []object{{"value": "v"}}}, 422, nil)
	p = problem{}
	f.wantTransaction(t, "a claim that does not say where it began", "k11", object{"records": records, "offsets": object{
		"group": "workers", "holder": "two", "claims": []object{held(second, object{"offset": 3})}}}, 400, &p)
	if p.Field != "offsets.claims.from" {
		t.Errorf("a claim that does not say where it began: %+v", p)
	}
	f.wantTransaction(t, "another field", "k8", object{"records": records, "offset": 1}, 422, nil)
	if got := fmt.Sprint(f.marks(t, "out"), f.marks(t, "audit")); got != want {
		t.Errorf("what was refused leaves %s, was %s", got, want)
	}
	f.wantTransaction(t, "without offsets", "k9", object{"records": records}, 200, nil)
}

// forgetful is a coordinator that several nodes use, and that is wiped now and then, as Redis is.
// Calls that are on their way then are answered by what it was.
type forgetful struct {
	atomic.Pointer[embedded.Coordinator]
}

func (f *forgetful) wipe() { f.Store(embedded.New(embedded.Options{})) }

func (f *forgetful) Generation(ctx context.Context) (coordinator.Generation, error) {
	return f.Load().Generation(ctx)
}

func (f *forgetful) Open(ctx context.Context, s *coordinator.State) error {
	return f.Load().Open(ctx, s)
}

func (f *forgetful) AnnounceRecovery(ctx context.Context, in coordinator.Incarnation, ttl time.Duration) error {
	return f.Load().AnnounceRecovery(ctx, in, ttl)
}

func (f *forgetful) AnnouncedRecovery(ctx context.Context) (coordinator.Incarnation, error) {
	return f.Load().AnnouncedRecovery(ctx)
}

func (f *forgetful) Commit(ctx context.Context, in coordinator.Incarnation, r coordinator.CommitRequest) (
	coordinator.CommitAnswer, error) {
	return f.Load().Commit(ctx, in, r)
}

func (f *forgetful) Propose(ctx context.Context, in coordinator.Incarnation, c coordinator.Change) (coordinator.Entry,
	error) {
	return f.Load().Propose(ctx, in, c)
}

func (f *forgetful) Confirm(ctx context.Context, in coordinator.Incarnation, seqs []uint64) error {
	return f.Load().Confirm(ctx, in, seqs)
}

func (f *forgetful) Settled(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return f.Load().Settled(ctx, in)
}

func (f *forgetful) Latest(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return f.Load().Latest(ctx, in)
}

func (f *forgetful) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	return f.Load().Follow(ctx, in, after)
}

func (f *forgetful) Topic(ctx context.Context, in coordinator.Incarnation, name string) (coordinator.TopicFact, error) {
	return f.Load().Topic(ctx, in, name)
}

func (f *forgetful) HighWatermarks(ctx context.Context, in coordinator.Incarnation, of []segments.Partition) ([]int64,
	error) {
	return f.Load().HighWatermarks(ctx, in, of)
}

func (f *forgetful) TransactionalID(ctx context.Context, in coordinator.Incarnation, id string) (coordinator.DecidedID,
	error) {
	return f.Load().TransactionalID(ctx, in, id)
}

func (f *forgetful) Keyed(ctx context.Context, in coordinator.Incarnation, topic segments.TopicID, ids ...[16]byte) (
	[]*coordinator.RequestKey, error) {
	return f.Load().Keyed(ctx, in, topic, ids...)
}

func (f *forgetful) Acquire(ctx context.Context, in coordinator.Incarnation, name, holder string, ttl time.Duration) (
	coordinator.Lease, error) {
	return f.Load().Acquire(ctx, in, name, holder, ttl)
}

func (f *forgetful) Release(ctx context.Context, in coordinator.Incarnation, name, holder string, epoch uint64) error {
	return f.Load().Release(ctx, in, name, holder, epoch)
}

func (f *forgetful) Now(ctx context.Context, in coordinator.Incarnation) (time.Time, error) {
	return f.Load().Now(ctx, in)
}

func (f *forgetful) Register(ctx context.Context, in coordinator.Incarnation, n coordinator.NodeInfo,
	ttl time.Duration) error {
	return f.Load().Register(ctx, in, n, ttl)
}

func (f *forgetful) Nodes(ctx context.Context, in coordinator.Incarnation) ([]coordinator.NodeInfo, error) {
	return f.Load().Nodes(ctx, in)
}

var functionDeaths = flag.Int("firn.functiondeaths", 20, "how many functions die in TestFunctionsThatDieAnywhere")

// Functions read from one topic and write to two, and are killed at any moment; the coordinator is
// wiped in between: every record is once in both, and the group's offsets are where they read to.
func TestFunctionsThatDieAnywhere(t *testing.T) {
	t.Parallel()
	store, coord := memory.New(), &forgetful{}
	coord.wipe()
	nodes := []*firn{startNode(t, store, coord, 1, nil), startNode(t, store, coord, 2, nil)}
	const partitions = 4
	each := 6 * *functionDeaths
	in := nodes[0].makeTopic(t, "in", partitions)
	outs := []string{"left", "right"}
	for _, name := range outs {
		nodes[0].makeTopic(t, name, 2)
	}
	for p := range int32(partitions) {
		for i := range each {
			nodes[0].writeValues(t, in, p, fmt.Sprintf("%d-%d", p, i))
		}
	}
	var deaths, left atomic.Int64
	deaths.Store(int64(*functionDeaths))
	left.Store(int64(partitions * each))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*functionDeaths)*time.Second)
	defer cancel()
	var functions sync.WaitGroup
	for n := range 3 {
		functions.Go(func() {
			for i := 0; left.Load() > 0 && ctx.Err() == nil; i++ {
				life, kill := context.WithCancel(ctx)
				if rand.IntN(2) == 0 && deaths.Add(-1) >= 0 {
					if deaths.Load()%5 == 0 {
						coord.wipe()
					}
					time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, kill)
				}
				left.Add(-work(life, nodes[rand.IntN(2)], fmt.Sprintf("function %d %d", n, i), outs))
				kill()
			}
		})
	}
	functions.Go(func() { // a function that dies does not know that it has done its work: the group does
		for ctx.Err() == nil {
			var group struct{ Lag int64 }
			if r, err := http.Get(nodes[0].url + "/v1/groups/functions"); err == nil {
				_ = json.NewDecoder(r.Body).Decode(&group)
				r.Body.Close()
				if r.StatusCode == 200 && group.Lag == 0 && sumOf(nodes[0].marks(t, "left")) >= int64(partitions*each) {
					left.Store(0)
					return
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	functions.Wait()
	if ctx.Err() != nil {
		t.Fatal("the functions do not come to an end")
	}
	var incarnation coordinator.Incarnation
	for _, f := range nodes { // until they live again, should the coordinator have been wiped last
		for {
			if life, err := f.node.Life(ctx); err != nil {
				t.Fatal(err)
			} else if life.Current(ctx) == nil && f.node.CatchUp(ctx) == nil {
				incarnation = life.Incarnation()
				break
			}
		}
	}
	t.Logf("%d functions died, the last incarnation is %d", *functionDeaths-int(max(0, deaths.Load())),
		incarnation)
	nodes[0].wantOffsets(ctx, t, partitions, int64(each))
	for _, name := range outs {
		seen := map[string]int{}
		for p := range 2 {
			var got page
			nodes[1].call(t, "GET", fmt.Sprintf("/v1/topics/%s/partitions/%d/records?offset=0", name, p), nil, &got)
			for _, v := range got.values() {
				seen[v]++
			}
		}
		for v, times := range seen {
			if times != 1 {
				t.Errorf("%s has %s %d times", name, v, times)
			}
		}
		if len(seen) != partitions*each {
			t.Errorf("%s has %d records of %d", name, len(seen), partitions*each)
		}
	}
}

// wantOffsets wants the group of functions to have read to the end of all partitions.
func (f *firn) wantOffsets(ctx context.Context, t *testing.T, partitions int, end int64) {
	t.Helper()
	var group struct {
		Offsets []struct{ Offset int64 }
	}
	for f.call(t, "GET", "/v1/groups/functions", nil, &group).StatusCode != 200 && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // it has no owner yet
	}
	if len(group.Offsets) != partitions {
		t.Fatalf("the group has %+v", group)
	}
	for _, o := range group.Offsets {
		if o.Offset != end {
			t.Errorf("the group is at %d of %d", o.Offset, end)
		}
	}
}

func sumOf(ends []int64) (sum int64) {
	for _, end := range ends {
		sum += end
	}
	return sum
}

// work is one life of a function. It returns how many records it is sure to have worked on.
func work(ctx context.Context, f *firn, holder string, outs []string) int64 {
	ask := func(path string, body, v any) bool {
		text, _ := json.Marshal(body)
		r, err := http.NewRequestWithContext(ctx, "POST", f.url+path, bytes.NewReader(text))
		if err != nil {
			return false
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(v) == nil && resp.StatusCode == 200
	}
	var got claimPages
	if !ask("/v1/groups/functions/claims?read=200", object{"holder": holder, "topics": []string{"in"}, "max": 1, "ttl": 1},
		&got) || len(got.Claims) == 0 || got.Claims[0].Read == nil {
		return 0
	}
	c := got.Claims[0]
	var records []object
	for _, v := range c.Read.values() {
		for _, out := range outs {
			records = append(records, object{"topic": out, "key": strings.Split(v, "-")[1], "value": v})
		}
	}
	if len(records) == 0 {
		ask("/v1/groups/functions/claims/release", object{"holder": holder, "claims": []object{held(c, nil)}}, &got)
		return 0
	}
	body := object{"records": records, "offsets": object{"group": "functions", "holder": holder,
		"claims": []object{held(c, object{"offset": c.Offset + int64(len(records)/2), "from": c.Offset, "release": true})}}}
	for range 40 {
		resp, err := f.transact(ctx, holder, body, nil)
		switch {
		case err == nil && resp.StatusCode == 200:
			return int64(len(records) / 2)
		case err == nil && resp.StatusCode == 409 && resp.Header.Get("Retry-After") == "":
			return 0
		case ctx.Err() != nil:
			return 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0
}
