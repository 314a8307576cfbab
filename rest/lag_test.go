package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
)

// TestShareGroupsHaveOneLag: each answer says the same of how far a share group is behind, from
// which what is finished behind its offset is subtracted.
func TestShareGroupsHaveOneLag(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, func(o *rest.Options) { o.HistoryPeriod = 10 * time.Millisecond })[0]
	topic := f.makeTopic(t, "tasks", 1)
	f.writeValues(t, topic, 0, "a", "b", "c", "d", "e")
	const group = "work"
	at, ctx, m := segments.Partition{Topic: topic.ID}, t.Context(), f.opts.Groups
	if a := m.ShareHeartbeat(ctx, group, groups.ShareHeartbeat{MemberID: "m", Names: []string{"tasks"}}); a.Err != nil {
		t.Fatal(a.Err)
	}
	if err := m.BeginShares(ctx, group, []groups.ShareBeginning{{Partition: at}}); err != nil {
		t.Fatal(err)
	}
	_, err := m.AcquireShares(ctx, group, "m", []groups.ShareAcquire{{Partition: at, To: 4,
		Batches: []groups.LogRange{{First: 0, Last: 4}}}}, groups.AcquireBounds{Most: 5})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := m.AcknowledgeShares(ctx, group, "m", []groups.ShareAcks{{Partition: at, Acks: []groups.ShareAck{
		{LogRange: groups.LogRange{First: 2, Last: 3}, Types: []groups.AckType{groups.AckAccept}}}}})
	if err != nil || answers[0] != nil {
		t.Fatal(answers, err)
	}
	var list, clients struct{ Groups []struct{ Lag int64 } }
	var one struct{ Lag int64 }
	f.call(t, "GET", "/v1/groups", nil, &list)
	f.call(t, "GET", "/v1/topics/tasks/clients", nil, &clients)
	f.call(t, "GET", "/v1/groups/work", nil, &one)
	if len(list.Groups) != 1 || len(clients.Groups) != 1 || list.Groups[0].Lag != 3 || clients.Groups[0].Lag != 3 ||
		one.Lag != 3 {
		t.Errorf("3 of 5 records are not finished: the list says %+v, the topic %+v, the group %+v", list, clients, one)
	}
	until(t, "the same lag in the history", func() bool {
		var h timeline
		f.call(t, "GET", "/v1/groups/work/history", nil, &h)
		lag, known := h.last("lag")
		return known && lag == 3
	})
}

// TestTopicClientsEnd: the list of groups that read a topic ends with the thousandth, and with its
// client: the groups behind that are not looked at.
func TestTopicClientsEnd(t *testing.T) {
	t.Parallel()
	g := accesstest.NewGuard()
	f := startFirn(t, 1, func(o *rest.Options) { o.Authorizer = g })[0]
	topic := f.makeTopic(t, "orders", 1)
	offsets := []coordinator.GroupOffset{{Partition: segments.Partition{Topic: topic.ID}, LeaderEpoch: -1}}
	const listed = 1000
	var commits errgroup.Group
	commits.SetLimit(50)
	for i := range listed + 5 {
		commits.Go(func() error {
			name := fmt.Sprintf("group-%04d", i)
			if err := f.opts.Groups.Commit(t.Context(), name, groups.Committer{Generation: -1}, offsets); err != nil {
				return err
			}
			return nil
		})
	}
	if err := commits.Wait(); err != nil {
		t.Fatal(err)
	}
	asks := func() (n int) {
		for _, need := range g.Asked() {
			if need == access.Describe.On(access.Group) {
				n++
			}
		}
		return n
	}
	var list struct {
		Groups []struct{ Group string }
		More   bool
	}
	f.call(t, "GET", "/v1/topics/orders/clients", nil, &list)
	if n := len(list.Groups); n != listed || !list.More || list.Groups[n-1].Group != "group-0999" || asks() != listed+1 {
		t.Errorf("%d groups, more: %v, after %d questions", n, list.More, asks())
	}
	g.Set(accesstest.Everything)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/topics/orders/clients", nil)
	if status, _ := serve(f.Server, r); status == http.StatusOK || asks() != 0 {
		t.Errorf("a client that is gone: %d after %d questions", status, asks())
	}
}
