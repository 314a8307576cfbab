package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// claimedWork is what a claim of records brings.
type claimedWork struct {
	Claim   string   `json:"claim"`
	TTL     float64  `json:"ttl"`
	Records []object `json:"records"`
	Skipped []object `json:"skipped"`
	Detail  string   `json:"detail"` // why a claim is refused
}

// String shows each record as its value and how often it was delivered.
func (c *claimedWork) String() string {
	var all []string
	for _, r := range c.Records {
		all = append(all, fmt.Sprintf("%v×%v", r["value"], r["deliveries"]))
	}
	return strings.Join(all, " ")
}

const workPath = "/v1/groups/work/records/"

func (f *firn) claimWork(t *testing.T, query string, ask object, want string) claimedWork {
	t.Helper()
	var got claimedWork
	resp := f.call(t, "POST", workPath+"claim"+query, ask, &got)
	if resp.StatusCode != 200 || got.String() != want || (got.Claim == "") != (want == "") {
		t.Fatalf("claimed: %s %+v, and not %q", resp.Status, got, want)
	}
	return got
}

func jobs(more ...any) object {
	o := object{"topics": []string{"jobs"}, "from": "earliest"}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// settle acknowledges offsets of partition 0, and says with which status and code.
func (f *firn) settle(t *testing.T, claim string, ttl int, types map[int64]string) string {
	t.Helper()
	var records []object
	for offset, kind := range types {
		records = append(records, object{"topic": "jobs", "partition": 0, "offset": offset, "type": kind})
	}
	body := object{"claim": claim, "records": records}
	if ttl > 0 {
		body["ttl"] = ttl
	}
	var p struct {
		Code    string   `json:"code"`
		Records []object `json:"records"`
	}
	resp := f.call(t, "POST", workPath+"acknowledge", body, &p)
	if resp.StatusCode != 503 && len(p.Records) != len(types) {
		t.Errorf("acknowledged: %s %+v", resp.Status, p)
	}
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", p.Code))
}

// The life of records in a queue: each is claimed by one, and comes again when it is released or
// its time is over, until somebody accepts or rejects it.
func TestRecordClaims(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 1)
	f.writeValues(t, topic, 0, "a", "b", "c", "d")
	first := f.claimWork(t, "", jobs("max", 3), "a×1 b×1 c×1")
	if r := first.Records[1]; r["topic"] != "jobs" || r["partition"] != 0.0 || r["offset"] != 1.0 || first.TTL != 30 {
		t.Errorf("%+v", first)
	}
	lost := f.claimWork(t, "", jobs("max", 10), "d×1") // of which nobody hears again
	f.claimWork(t, "", jobs(), "")
	stale := "claim-" + strings.Repeat("0", 32)
	if got := f.settle(t, stale, 0, map[int64]string{0: ""}); got != "409 INVALID_RECORD_STATE" {
		t.Error("another's claim:", got)
	}
	if got := f.settle(t, first.Claim, 0, map[int64]string{2: "reject", 0: "", 1: "release"}); got != "200" {
		t.Error(got)
	}
	if got := f.settle(t, first.Claim, 0, map[int64]string{0: "accept"}); got != "409 INVALID_RECORD_STATE" {
		t.Error("accepted twice:", got)
	}
	second := f.claimWork(t, "", jobs("max", 1), "b×2")
	if got := f.settle(t, first.Claim, 0, map[int64]string{1: "accept"}); got != "409 INVALID_RECORD_STATE" {
		t.Error("the claim before:", got)
	}
	if got := f.settle(t, lost.Claim, 1, map[int64]string{3: "renew"}); got != "200" {
		t.Error("renewed:", got)
	}
	late := f.claimWork(t, "?wait=60s", jobs("max", 10), "d×2") // when its time is over
	if got := f.settle(t, lost.Claim, 0, map[int64]string{3: "accept"}); got != "409 INVALID_RECORD_STATE" {
		t.Error("a lock that is lost:", got)
	}
	f.configure(t, map[string]string{dynamicconfig.ShareRenew: "false"})
	if got := f.settle(t, second.Claim, 60, map[int64]string{1: "renew"}); got != "409 INVALID_RECORD_STATE" {
		t.Error("renewed, and the group allows it not:", got)
	}
	for claim, offset := range map[string]int64{second.Claim: 1, late.Claim: 3} {
		if got := f.settle(t, claim, 0, map[int64]string{offset: "accept"}); got != "200" {
			t.Error(got)
		}
	}
	var g groupDetails
	if f.call(t, "GET", "/v1/groups/work", nil, &g); len(g.Offsets) != 1 || g.Offsets[0].Offset != 4 || g.Lag != 0 {
		t.Errorf("%+v", g)
	}
}

// configure sets the configs of the group.
func (f *firn) configure(t *testing.T, configs map[string]string) {
	t.Helper()
	work := dynamicconfig.Resource{Kind: dynamicconfig.Group, Name: "work"}
	changes, err := dynamicconfig.Changes(f.node.View(), work, configs)
	if err == nil {
		_, err = f.node.Change(t.Context(), coordinator.Change{Settings: changes})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A claim that waits gets what is written meanwhile, and what another gives back.
func TestRecordClaimsWait(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 3)
	waits := func() <-chan claimedWork {
		got := make(chan claimedWork, 1)
		go func() {
			var c claimedWork
			f.call(t, "POST", workPath+"claim?wait=60s", jobs("max", 5), &c)
			got <- c
		}()
		for until := time.Now().Add(30 * time.Second); f.Polls() == 0 && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
		return got
	}
	got := waits()
	f.writeValues(t, topic, 2, "a")
	first := <-got
	if first.String() != "a×1" {
		t.Fatalf("%+v", first)
	}
	got = waits()
	release := object{"claim": first.Claim, "records": []object{{"topic": "jobs", "partition": 2, "offset": 0,
		"type": "release"}}}
	if resp := f.call(t, "POST", workPath+"acknowledge", release, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	if second := <-got; second.String() != "a×2" {
		t.Errorf("%+v", second)
	}
}

// A client that has gone while it waited has no records.
func TestRecordClaimsOfClientsThatWent(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 1)
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", f.url+workPath+"claim?wait=60s",
		strings.NewReader(`{"topics": ["jobs"], "from": "earliest"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", typeJSON)
	went := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		went <- err
	}()
	for f.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	leave()
	if err := <-went; !errors.Is(err, context.Canceled) {
		t.Errorf("the client was answered: %v", err)
	}
	for f.Polls() > 0 {
		time.Sleep(time.Millisecond)
	}
	f.writeValues(t, topic, 0, "a")
	f.claimWork(t, "", jobs(), "a×1")
}

// Any node can be asked, and Kafka's members get what functions leave.
func TestRecordClaimsAreForwarded(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	topic := nodes[0].makeTopic(t, "jobs", 1)
	nodes[0].writeValues(t, topic, 0, "a", "b", "c", "d")
	if err := nodes[1].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, _ := nodes[0].opts.Groups.Owner("work")
	owner, other := nodes[id.ID-1], nodes[2-id.ID]
	first := other.claimWork(t, "?max_bytes=2", jobs("max", 9), "a×1 b×1")
	ctx, at := t.Context(), segments.Partition{Topic: topic.ID}
	member := groups.ShareHeartbeat{MemberID: "m", Names: []string{"jobs"}}
	if a := owner.opts.Groups.ShareHeartbeat(ctx, "work", member); a.Err != nil {
		t.Fatal(a.Err)
	}
	read := groups.ShareAcquire{Partition: at, From: 0, To: 3, Batches: []groups.LogRange{{First: 0, Last: 3}}}
	got, refused := owner.opts.Groups.AcquireShares(ctx, "work", "m", []groups.ShareAcquire{read},
		groups.AcquireBounds{Most: 9})
	if refused != nil || len(got[0]) != 1 || got[0][0].First != 2 || got[0][0].Last != 3 {
		t.Errorf("a member got %v, %v", got, refused)
	}
	if got := other.settle(t, first.Claim, 0, map[int64]string{0: "accept"}); got != "200" {
		t.Error(got)
	}
}

// Many claim from one partition at once, at two nodes: each record is had by one of them.
func TestRecordClaimsAreExclusive(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	topic := nodes[0].makeTopic(t, "jobs", 1)
	const claimers, each = 6, 20
	values := make([]string, claimers*each)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	nodes[0].writeValues(t, topic, 0, values...)
	if err := nodes[1].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make([]int, claimers)
	var had sync.Map
	var all sync.WaitGroup
	for i := range claimers {
		all.Go(func() {
			for got[i] < each {
				var c claimedWork
				f := nodes[i%2]
				resp := f.call(t, "POST", workPath+"claim?wait=60s", jobs("max", min(3, each-got[i]), "ttl", "15m"), &c)
				if resp.StatusCode != 200 || len(c.Records) == 0 {
					t.Errorf("%s %+v", resp.Status, c)
					return
				}
				got[i] += len(c.Records)
				accepted := map[int64]string{}
				for _, r := range c.Records {
					if other, twice := had.Swap(r["offset"], c.Claim); twice || r["deliveries"] != 1.0 {
						t.Errorf("%v is also had by %v", r, other)
					}
					accepted[int64(r["offset"].(float64))] = "accept"
				}
				if answer := f.settle(t, c.Claim, 0, accepted); answer != "200" {
					t.Error(answer)
				}
			}
		})
	}
	all.Wait()
	nodes[0].claimWork(t, "", jobs("max", 1000), "")
}

// Claims end when their group moves to another node: a claim that waits is to be made again, an
// acknowledgement is refused, and the next claim has the records.
func TestRecordClaimsEndWithTheirOwner(t *testing.T) {
	t.Parallel()
	_, _, group := cluster(t, func(*rest.Options) {}) // one that becomes the second node's
	path := "/v1/groups/" + group + "/records/"
	store, coord := memory.New(), sharedCoordinator{embedded.New(embedded.Options{})}
	f := startNode(t, store, coord, 1, nil)
	f.writeValues(t, f.makeTopic(t, "jobs", 1), 0, "a", "b")
	var first, second claimedWork
	f.call(t, "POST", path+"claim", jobs("max", 2, "ttl", "15m"), &first)
	accept := func(c claimedWork, offset int) int {
		status := 503
		for ; status == 503; time.Sleep(5 * time.Millisecond) { // the owner is not known everywhere at once
			status, _ = f.send(t, "POST", path+"acknowledge", fmt.Sprintf(
				`{"claim": "%s", "records": [{"topic": "jobs", "partition": 0, "offset": %d}]}`, c.Claim, offset))
		}
		return status
	}
	if status := accept(first, 0); status != 200 {
		t.Fatalf("accepting: %d, %+v", status, first)
	}
	waited := make(chan int, 1)
	go func() {
		status, _ := f.send(t, "POST", path+"claim?wait=60s", `{"topics": ["jobs"]}`)
		waited <- status
	}()
	for f.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	startNode(t, store, coord, 2, nil)
	if status := <-waited; status != 503 {
		t.Errorf("a claim that waits: %d", status)
	}
	if status := accept(first, 1); status != 409 {
		t.Errorf("after the move: %d", status)
	}
	for ; len(second.Records) == 0 && !t.Failed(); time.Sleep(5 * time.Millisecond) {
		f.call(t, "POST", path+"claim?wait=60s", jobs("max", 2), &second)
	}
	if got := second.String(); got != "b×1" { // the delivery by the first owner is not counted
		t.Errorf("claimed %q", got)
	}
	if status := accept(second, 1); status != 200 {
		t.Errorf("accepting: %d", status)
	}
}

// Claims are bounded: how many wait, and how many records of a partition are out. What a group's
// config says of locks is not bounded by what a client may ask for.
func TestRecordClaimsAreBounded(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxLongPolls = 1 })[0]
	topic := f.makeTopic(t, "jobs", 1)
	f.configure(t, map[string]string{dynamicconfig.ShareMaxLocks: "100", dynamicconfig.ShareLockDuration: "3600000"})
	f.writeValues(t, topic, 0, make([]string, 101)...)
	var first claimedWork
	if f.call(t, "POST", workPath+"claim", jobs("max", 1000), &first); len(first.Records) != 100 || first.TTL != 3600 {
		t.Fatalf("%d records for %v s", len(first.Records), first.TTL)
	}
	waited := make(chan claimedWork, 1)
	go func() {
		var c claimedWork
		f.call(t, "POST", workPath+"claim?wait=60s", jobs("max", 1000), &c)
		waited <- c
	}()
	for f.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	var p problem
	resp := f.call(t, "POST", workPath+"claim?wait=60s", jobs(), &p)
	if resp.StatusCode != 429 || p.Limit != "MaxLongPolls" {
		t.Errorf("beyond the bound: %s, %+v", resp.Status, p)
	}
	if got := f.settle(t, first.Claim, 0, map[int64]string{7: "reject"}); got != "200" {
		t.Error(got)
	}
	if c := <-waited; c.String() != "×1" || c.Records[0]["offset"] != 100.0 {
		t.Errorf("%+v", c)
	}
}

// What cannot be read is done with and named, and the records around it are delivered.
func TestRecordClaimsSkip(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 1)
	f.writeValues(t, topic, 0, "a")
	f.writeUnreadable(t, topic, 3)
	f.writeValues(t, topic, 0, "b")
	got := f.claimWork(t, "", jobs("max", 9), "a×1 b×1")
	if len(got.Skipped) != 1 || got.Skipped[0]["from"] != 1.0 || got.Skipped[0]["topic"] != "jobs" {
		t.Errorf("%+v", got)
	}
	if got := f.settle(t, got.Claim, 0, map[int64]string{0: "", 4: ""}); got != "200" {
		t.Error(got)
	}
	f.claimWork(t, "", jobs("max", 9), "")
	for range 25 { // more than are read at once, and nothing is locked meanwhile
		f.writeUnreadable(t, topic, 1)
	}
	f.writeValues(t, topic, 0, "c", "d")
	var named float64
	var last claimedWork
	for end := 5.0; len(last.Records) == 0 && !t.Failed(); {
		last = claimedWork{}
		resp := f.call(t, "POST", workPath+"claim?wait=60s", jobs("max", 1), &last)
		if resp.StatusCode != 200 || len(last.Records)+len(last.Skipped) == 0 {
			t.Fatalf("%s %+v", resp.Status, last)
		}
		for _, s := range last.Skipped {
			from, to := s["from"].(float64), s["to"].(float64)
			if from < end {
				t.Errorf("%v to %v is skipped again", from, to)
			}
			end, named = to, named+to-from
		}
	}
	if last.String() != "c×1" || named != 25 {
		t.Errorf("%+v after %v records that cannot be read", last, named)
	}
}

// A record that is renewed stays locked as long as it was claimed for; a client may ask for less.
func TestRecordClaimsAreRenewed(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 1)
	f.configure(t, map[string]string{dynamicconfig.ShareLockDuration: "3600000"}) // more than may be asked for
	f.writeValues(t, topic, 0, "a")
	claim := f.claimWork(t, "", jobs(), "a×1").Claim
	for _, ttl := range []int{0, 1} {
		if got := f.settle(t, claim, ttl, map[int64]string{0: "renew"}); got != "200" {
			t.Error(got)
		}
	}
	f.claimWork(t, "?wait=60s", jobs(), "a×2")
}

// A topic that is deleted keeps nobody from what is claimed of others.
func TestRecordClaimsOfDeletedTopics(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	f.writeValues(t, f.makeTopic(t, "jobs", 1), 0, "a", "b")
	f.writeValues(t, f.makeTopic(t, "gone", 1), 0, "c")
	ask := object{"topics": []string{"jobs", "gone"}, "from": "earliest", "max": 9, "ttl": "15m"}
	var got claimedWork
	if resp := f.call(t, "POST", workPath+"claim", ask, &got); len(got.Records) != 3 {
		t.Fatalf("%s %+v", resp.Status, got)
	}
	if resp := f.call(t, "DELETE", "/v1/topics/gone", nil, nil); resp.StatusCode >= 300 {
		t.Fatal(resp.Status)
	}
	var p problem
	body := object{"claim": got.Claim, "records": []object{{"topic": "gone", "partition": 0, "offset": 0},
		{"topic": "jobs", "partition": 0, "offset": 0}, {"topic": "jobs", "partition": 7, "offset": 0}}}
	if resp := f.call(t, "POST", workPath+"acknowledge", body, &p); resp.StatusCode != 404 ||
		p.Code != "UNKNOWN_TOPIC_OR_PARTITION" {
		t.Errorf("%s %+v", resp.Status, p)
	}
	if got := f.settle(t, got.Claim, 0, map[int64]string{0: ""}); got != "409 INVALID_RECORD_STATE" {
		t.Error("it was not accepted:", got)
	}
	if got := f.settle(t, got.Claim, 0, map[int64]string{1: "release"}); got != "200" {
		t.Error(got)
	}
}

// A partition of which nobody can read what is stored is named, and the others are claimed from.
func TestRecordClaimsGoOnBesideErrors(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 2)
	f.call(t, "POST", "/v1/groups/other/records/claim", jobs(), nil) // which is stored as a share group is
	life, err := f.node.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := life.Acquire(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	members := coordinator.Membership(f.node.View().Membership("other"))
	at := segments.Partition{Topic: topic.ID, Index: 1}
	broken := coordinator.GroupOffset{Partition: at, LeaderEpoch: -1, Metadata: "firn-share-1:nonsense"}
	commit := coordinator.CommitOffsets{Lease: lease.Name, Epoch: lease.Epoch, Group: "work",
		Offsets: []coordinator.GroupOffset{broken, members}}
	if _, err := life.Decide(t.Context(), coordinator.Change{Offsets: &commit}); err != nil {
		t.Fatal(err)
	}
	var p problem
	resp := f.call(t, "POST", workPath+"claim", jobs("max", 9), &p)
	if resp.StatusCode != 503 || !strings.Contains(p.Detail, `partition 1 of topic "jobs"`) {
		t.Errorf("%s %+v", resp.Status, p)
	}
	f.writeValues(t, topic, 0, "a", "b")
	f.claimWork(t, "", jobs("max", 9), "a×1 b×1")
}

// One tenant's records cannot be acknowledged by another that knows the claim.
func TestRecordClaimsBelongToAPrincipal(t *testing.T) {
	t.Parallel()
	f := startWithTenants(t)
	f.writeValues(t, f.node.View().Topic("orders"), 0, "a")
	alice, bob := as("alice", "pencil"), as("bob", "crayon")
	status, body := f.send(t, "POST", workPath+"claim", `{"topics": ["orders"], "from": "earliest"}`, alice)
	at := strings.Index(body, "claim-")
	if status != 200 || at < 0 {
		t.Fatalf("%d %s", status, body)
	}
	accept := `{"claim": "` + body[at:at+38] + `", "records": [{"topic": "orders", "partition": 0, "offset": 0}]}`
	if status, body := f.send(t, "POST", workPath+"acknowledge", accept, bob); status != 409 {
		t.Errorf("bob: %d %s", status, body)
	}
	if status, body := f.send(t, "POST", workPath+"acknowledge", accept, alice); status != 200 {
		t.Errorf("alice: %d %s", status, body)
	}
}

func TestBadRecordClaims(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "jobs", 1)
	f.makeTopic(t, "wide", 1001)
	claim := `"claim": "claim-` + strings.Repeat("0", 32) + `"`
	for _, c := range []struct {
		path, body string
		status     int
		field      string
	}{
		{"claim", `{}`, 400, "topics"},
		{"claim", `{"topics": ["nope"]}`, 404, ""},
		{"claim", `{"topics": ["wide"]}`, 400, "topics"},
		{"claim", `{"topics": ["jobs"], "max": 0}`, 400, "max"},
		{"claim", `{"topics": ["jobs"], "ttl": "16m"}`, 400, "ttl"},
		{"claim", `{"topics": ["jobs"], "from": "3"}`, 400, "from"},
		{"claim?wait=2m", `{"topics": ["jobs"]}`, 400, "wait"},
		{"acknowledge", `{"claim": "m", "records": [{"topic": "jobs", "partition": 0, "offset": 0}]}`, 400, "claim"},
		{"acknowledge", `{` + claim + `}`, 400, "records"},
		{"acknowledge", `{` + claim + `, "records": [{"topic": "jobs", "partition": 0}]}`, 400, "records.offset"},
		{"acknowledge", `{` + claim + `, "records": [{"topic": "jobs", "partition": 0, "offset": -1}]}`, 400,
			"records.offset"},
		{"acknowledge", `{` + claim + `, "records": [{"topic": "jobs", "partition": 0, "offset": 0, "type": "done"}]}`, 400,
			"records.type"},
		{"acknowledge", `{` + claim + `, "records": [{"topic": "jobs", "partition": 0, "offset": 0}, ` +
			`{"topic": "jobs", "partition": 0, "offset": 0}]}`, 400, "records"},
		{"acknowledge", `{` + claim + `, "records": [{"topic": "jobs", "partition": 0, "offset": 0}]}`, 404, ""},
	} {
		var p problem
		resp := f.call(t, "POST", workPath+c.path, c.body, &p)
		if resp.StatusCode != c.status || p.Field != c.field || p.Detail == "" {
			t.Errorf("%s %.90s: %s, %+v", c.path, c.body, resp.Status, p)
		}
	}
	f.call(t, "POST", "/v1/groups/work/claims", object{"holder": "h", "topics": []string{"jobs"}}, nil)
	var p problem
	if resp := f.call(t, "POST", workPath+"claim", jobs(), &p); resp.StatusCode != 409 {
		t.Errorf("a group of claims: %s %+v", resp.Status, p)
	}
}
