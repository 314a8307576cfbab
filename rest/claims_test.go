package rest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// claimedPage is a claim as a client gets it.
type claimedPage struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Holder    string   `json:"holder"`
	Epoch     string   `json:"epoch"`
	TTL       float64  `json:"ttl"`
	Offset    int64    `json:"offset"`
	Read      *page    `json:"read"`
	Problem   *problem `json:"problem"`
}

type claimPages struct {
	Claims []claimedPage `json:"claims"`
}

type object map[string]any

// held names a claim in a request.
func held(c claimedPage, more object) object {
	o := object{"topic": c.Topic, "partition": c.Partition, "epoch": c.Epoch}
	maps.Copy(o, more)
	return o
}

// TestClaims is the life of a pull consumer: it claims, reads in the same round trip, commits, and
// comes again; another one fences it.
func TestClaims(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "jobs", 2)
	f.writeValues(t, topic, 0, "a", "b", "c")
	const path = "/v1/groups/workers/claims"
	ask := object{"holder": "one", "topics": []string{"jobs"}, "max": 2, "ttl": "1s"}
	var got claimPages
	if resp := f.call(t, "POST", path+"?read=100000", ask, &got); resp.StatusCode != 200 || len(got.Claims) != 2 {
		t.Fatalf("%s, %+v", resp.Status, got)
	}
	first := got.Claims[0]
	if first.Read == nil || strings.Join(first.Read.values(), "") != "abc" || first.Offset != 0 || first.TTL > 1 ||
		first.TTL <= 0 || first.Holder != "one" {
		t.Errorf("%+v", first)
	}
	var other claimPages
	f.call(t, "POST", path, object{"holder": "two", "topics": []string{"jobs"}, "max": 2, "ttl": 30}, &other)
	if len(other.Claims) != 0 {
		t.Errorf("another holder got %+v", other.Claims)
	}
	commit := object{"holder": "one", "claims": []object{held(first, object{"offset": 2, "metadata": "half"})}}
	beyond := object{"holder": "one", "claims": []object{held(first, object{"offset": 4})}}
	if resp := f.call(t, "POST", path+"/commit", beyond, nil); resp.StatusCode != 416 {
		t.Errorf("a commit beyond the end of the partition: %s", resp.Status)
	}
	var done claimAnswers
	if resp := f.call(t, "POST", path+"/commit", commit, &done); resp.StatusCode != 200 || len(done.Claims) != 1 ||
		done.Claims[0].Error != "" {
		t.Fatalf("%s, %+v", resp.Status, done)
	}
	if resp := f.call(t, "POST", path+"/renew", object{"holder": "one", "ttl": 1, "claims": []object{held(first, nil)}},
		nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	if resp := f.call(t, "POST", path+"/release", object{"holder": "one", "claims": []object{held(got.Claims[1], nil)}},
		nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	var listed claimPages
	f.call(t, "GET", path, nil, &listed)
	if len(listed.Claims) != 1 || listed.Claims[0].Epoch != first.Epoch || listed.Claims[0].Offset != 2 {
		t.Errorf("%+v", listed)
	}
	// The claim runs out, and another holder gets the partition where the group is.
	for len(other.Claims) < 2 {
		f.call(t, "POST", path+"?read=1", object{"holder": "two", "topics": []string{"jobs"}, "max": 2, "ttl": 30}, &other)
		time.Sleep(10 * time.Millisecond)
	}
	slices.SortFunc(other.Claims, func(a, b claimedPage) int { return cmp.Compare(a.Partition, b.Partition) })
	if second := other.Claims[0]; second.Offset != 2 || second.Read == nil ||
		strings.Join(second.Read.values(), "") != "c" || second.Epoch == first.Epoch {
		t.Errorf("%+v", second)
	}
	for _, action := range []string{"commit", "renew", "release"} {
		var p problem
		body := object{"holder": "one", "claims": []object{held(first, nil)}}
		if action == "commit" {
			body = commit
		}
		resp := f.call(t, "POST", path+"/"+action, body, &p)
		if resp.StatusCode != 409 || p.Code != "FENCED_MEMBER_EPOCH" || len(p.Claims) != 1 ||
			p.Claims[0].Error != "FENCED_MEMBER_EPOCH" || p.Claims[0].Topic != "jobs" {
			t.Errorf("%s of a stale claim: %s, %+v", action, resp.Status, p)
		}
	}
	// Of two commits one is stale: the other is done.
	var p problem
	mixed := object{"holder": "two", "claims": []object{held(first, object{"offset": 0}),
		held(other.Claims[1], object{"offset": 0, "release": true})}}
	if resp := f.call(t, "POST", path+"/commit", mixed, &p); resp.StatusCode != 409 || len(p.Claims) != 2 ||
		p.Claims[0].Error == "" || p.Claims[1].Error != "" {
		t.Errorf("%s, %+v", resp.Status, p)
	}
	var g groupDetails
	f.call(t, "GET", "/v1/groups/workers", nil, &g)
	if len(g.Claims) != 1 || len(g.Offsets) != 2 || g.Offsets[0].Offset != 2 || g.Offsets[0].Lag != 1 ||
		g.Offsets[0].Metadata != "half" || g.Lag != 1 {
		t.Errorf("%+v", g)
	}
}

func TestBadClaims(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "jobs", 1)
	for _, c := range []struct {
		path, body string
		status     int
		field      string
	}{
		{"", `{}`, 400, "holder"},
		{"", `{"holder": "a"}`, 400, "topics"},
		{"", `{"holder": "a", "topics": ["jobs"], "partitions": [{"topic": "jobs", "partition": 0}]}`, 400, "topics"},
		{"", `{"holder": "a", "topics": ["nope"]}`, 404, ""},
		{"", `{"holder": "a", "partitions": [{"topic": "jobs", "partition": 1}]}`, 404, ""},
		{"", `{"holder": "a", "topics": ["jobs"], "max": 0}`, 400, "max"},
		{"", `{"holder": "a", "topics": ["jobs"], "ttl": "soon"}`, 400, "ttl"},
		{"", `{"holder": "a", "topics": ["jobs"], "ttl": -1}`, 400, "ttl"},
		{"", `{"holder": "a", "topics": ["jobs"], "ttl": "24h"}`, 400, ""},
		{"", `{"holder": "a", "topics": ["jobs"], "from": "3"}`, 400, "from"},
		{"", `{"holdr": "a"}`, 400, "holdr"},
		{"", `{"holder": 7}`, 400, "holder"},
		{"", `{"holder": "a"} {}`, 400, ""},
		{"", `[`, 400, ""},
		{"", `{"holder": "` + strings.Repeat("a", 300) + `", "topics": ["jobs"]}`, 400, "holder"},
		{"", `{"holder": "` + strings.Repeat("a", 1<<20) + `"}`, 413, ""},
		{"?read=0", `{"holder": "a", "topics": ["jobs"]}`, 400, "read"},
		{"/commit", `{"holder": "a"}`, 400, "claims"},
		{"/commit", `{"holder": "a", "claims": [{"topic": "jobs", "partition": 0, "epoch": "1"}]}`, 400, "claims.offset"},
		{"/commit", `{"holder": "a", "claims": [{"topic": "jobs", "partition": 0, "epoch": "x", "offset": 1}]}`, 400,
			"claims.epoch"},
		{"/renew", `{"holder": "a", "claims": [{"topic": "jobs", "partition": 0, "epoch": "1"}]}`, 409, ""},
	} {
		var p problem
		resp := f.call(t, "POST", "/v1/groups/g/claims"+c.path, c.body, &p)
		if resp.StatusCode != c.status || p.Status != c.status || p.Field != c.field || p.Detail == "" {
			t.Errorf("%s %.80s: %s, %+v", c.path, c.body, resp.Status, p)
		}
	}
}

// TestForwarding: a request about a group may be sent to any node, and is answered by its owner;
// one that was forwarded is not forwarded again.
func TestForwarding(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	topic := nodes[0].makeTopic(t, "jobs", 2)
	nodes[0].writeValues(t, topic, 0, "a", "b")
	if err := nodes[1].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	owners := map[int32]bool{}
	for i := range 8 {
		group := fmt.Sprintf("team/%d ü", i)
		path := "/v1/groups/" + fmt.Sprintf("team%%2F%d%%20%%C3%%BC", i)
		owner, _ := nodes[0].opts.Groups.Owner(group)
		owners[owner.ID] = true
		other := nodes[2-owner.ID]
		var got claimPages
		resp := other.call(t, "POST", path+"/claims?read=1000", object{"holder": "a", "topics": []string{"jobs"}, "ttl": 30},
			&got)
		if resp.StatusCode != 200 || len(got.Claims) != 1 || got.Claims[0].Read == nil {
			t.Fatalf("group %s: %s, %+v", group, resp.Status, got)
		}
		c := got.Claims[0]
		if resp := other.call(t, "POST", path+"/claims/commit",
			object{"holder": "a", "claims": []object{held(c, object{"offset": 1})}}, nil); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
		var g groupDetails
		if other.call(t, "GET", path, nil, &g); g.Group != group || g.Node != owner.ID || len(g.Offsets) != 1 ||
			len(g.Claims) != 1 {
			t.Errorf("%+v", g)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set(forwardedField, "9")
		status, body := serve(other.Server, r)
		var p problem
		if err := json.Unmarshal(body, &p); err != nil || status != 503 || p.Code != "NOT_COORDINATOR" {
			t.Errorf("forwarded twice: %d, %s", status, body)
		}
		if resp := other.call(t, "POST", path+"/claims", strings.Repeat(" ", 1<<20+1), &p); resp.StatusCode != 413 {
			t.Errorf("a body that is too long: %s", resp.Status)
		}
	}
	if len(owners) != 2 {
		t.Error("one node owns all groups: the test shows nothing")
	}
	var list groupList
	nodes[0].call(t, "GET", "/v1/groups?limit=5", nil, &list)
	if len(list.Groups) != 5 || list.Next != list.Groups[4].Group || list.Unreachable != nil {
		t.Errorf("%+v", list)
	}
	rest := groupList{}
	nodes[1].call(t, "GET", "/v1/groups?after=team/4%20%C3%BC", nil, &rest)
	if len(rest.Groups) != 3 || rest.Next != "" {
		t.Errorf("%+v", rest)
	}
	nodes[1].stop() // its HTTP alone: the node is alive
	for until := time.Now().Add(10 * time.Second); len(list.Unreachable) == 0 && time.Now().Before(until); {
		list = groupList{}
		nodes[0].call(t, "GET", "/v1/groups", nil, &list)
	}
	if len(list.Unreachable) != 1 || list.Unreachable[0] != 2 {
		t.Errorf("unreachable: %v", list.Unreachable)
	}
	for i := range 8 {
		if owner, _ := nodes[0].opts.Groups.Owner(fmt.Sprintf("team/%d ü", i)); owner.ID == 2 {
			var p problem
			resp := nodes[0].call(t, "GET", fmt.Sprintf("/v1/groups/team%%2F%d%%20%%C3%%BC", i), nil, &p)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" ||
				!strings.Contains(p.Detail, "its NodeInfo.HTTP") {
				t.Errorf("the owner does not answer: %s, %+v", resp.Status, p)
			}
		}
	}
}

// FuzzClaims: whatever a body says, the answer is an answer, and never the server's fault.
func FuzzClaims(f *testing.F) {
	for _, b := range []string{`{"holder": "a", "topics": ["jobs"]}`,
		`{"holder": "a", "partitions": [{"topic": "jobs", "partition": 0}], "ttl": 1.5, "max": 3}`,
		`{"holder": "a", "claims": [{"topic": "jobs", "partition": 0, "epoch": "1", "offset": 1}]}`, `{"ttl": 1e308}`, `null`,
		`{"holder": null}`, `[]`} {
		for action := range uint8(4) {
			f.Add(action, b)
		}
	}
	f.Add(uint8(4), `{"topics": ["jobs"], "max": 9, "ttl": 2, "from": "earliest"}`)
	f.Add(uint8(5), `{"claim": "claim-00112233445566778899aabbccddeeff",
		"records": [{"topic": "jobs", "partition": 0, "offset": 0}]}`)
	n := startFirn(f, 1, nil)[0]
	n.makeTopic(f, "jobs", 1)
	f.Fuzz(func(t *testing.T, action uint8, body string) {
		actions := []string{"claims", "claims/renew", "claims/commit", "claims/release", "records/claim",
			"records/acknowledge"}
		path := "/v1/groups/g/" + actions[int(action)%len(actions)]
		r, err := http.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", typeJSON)
		status, answered := serve(n.Server, r)
		if status >= 500 || !json.Valid(answered) {
			t.Errorf("%s %q: %d, %s", path, body, status, answered)
		}
	})
}
