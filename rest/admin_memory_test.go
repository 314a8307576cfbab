package rest_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
)

// TestAdministrationIsCounted: what a long answer is made from takes a part of the memory of
// answers, by the address of its client. When there is none left it is refused, short answers are
// given, and so are those to other addresses. Afterwards all of it is given back.
func TestAdministrationIsCounted(t *testing.T) {
	const all = 64 << 20
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Limits.ReadMemoryBytes, o.Limits.BusyWait = all, 10*time.Millisecond
	})[0]
	wide := f.makeTopic(t, "wide", 10_000)
	commits := make([]coordinator.GroupOffset, wide.Partitions)
	for i := range commits {
		commits[i] = coordinator.GroupOffset{Partition: segments.Partition{Topic: wide.ID, Index: int32(i)}, LeaderEpoch: -1}
	}
	if refused := f.opts.Groups.Commit(t.Context(), "g", groups.Committer{Generation: -1}, commits); refused != nil {
		t.Fatal(refused)
	}
	get := func(path string) (status int, limit string) {
		var p struct{ Limit, Message string }
		resp := f.call(t, http.MethodGet, path, nil, &p)
		if strings.Contains(p.Message, "(ReadMemoryBytes)") {
			p.Limit = "ReadMemoryBytes"
		}
		return resp.StatusCode, p.Limit
	}
	v3 := "/v3/clusters/" + f.node.View().ClusterID()
	long := []string{"/v1/topics/wide", "/v1/groups/g", v3 + "/topics/wide/partitions", v3 + "/consumer-groups/g/lags"}
	for _, path := range long {
		if status, _ := get(path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	if used := f.ReadMemory().Used(); used != 0 {
		t.Errorf("%d bytes are held when all is answered", used)
	}
	for _, at := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")} {
		giveBack := f.TakeReadMemory(at)
		for _, path := range long {
			status, limit := get(path)
			refused := status == http.StatusTooManyRequests && limit == "ReadMemoryBytes"
			if refused != at.IsLoopback() || !refused && status != http.StatusOK {
				t.Errorf("%s, when %v holds its share: %d, %s", path, at, status, limit)
			}
		}
		if status, _ := get("/v1/topics?limit=10"); status != http.StatusOK {
			t.Errorf("a short answer waits for long ones: %d", status)
		}
		giveBack()
	}
	body := fmt.Sprintf(`{"topic":"wide","to":"earliest","partitions":[%s0]}`, strings.Repeat("0,", 400_000))
	defer f.TakeReadMemory(netip.MustParseAddr("127.0.0.1"))()
	if resp := f.call(t, http.MethodPost, "/v1/groups/g/reset", body, nil); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a long body is read without memory for it: %s", resp.Status)
	}
}
