package rest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments/memory"
)

// TestFrozenNode freezes a node, for shorter and longer than its leases, while another one writes
// and, in half of the cases, recovers what the coordinator has lost. Behind that, who waits at the
// first node has what was written: a tail each record once, in order; a poll the first of them, or
// nothing if its time is over. A claim that has ended fences its holder.
func TestFrozenNode(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		for _, loses := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, loss %v", length, loses), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { freezeNode(t, length, loses) })
			})
		}
	}
}

func freezeNode(t *testing.T, length time.Duration, loses bool) {
	store, coord := memory.New(), embedded.New(embedded.Options{})
	process := &coordinatortest.Frozen{Coordinator: sharedCoordinator{coord}}
	p, q := newPipes(), newPipes()
	a := startNodeOn(t, p, store, process, 1, nil)
	b := startNodeOn(t, q, store, sharedCoordinator{coord}, 2, nil)
	topic := a.makeTopic(t, "orders", 1)
	a.writeValues(t, topic, 0, "before")

	tail := request(t, p, "GET", "/v1/topics/orders/tail?from=earliest", "")
	events := &stream{t: t, resp: tail, lines: bufio.NewScanner(tail.Body)}
	wantValues(t, events.take(1), "0:before")
	var claimed claimPages
	const group = "/v1/groups/g/claims"
	decodeBody(t, request(t, p, "POST", group, `{"holder":"one","topics":["orders"],"ttl":30}`), &claimed)
	polled := make(chan *page, 1)
	go func() {
		got := new(page)
		decodeBody(t, request(t, p, "GET", "/v1/topics/orders/partitions/0/records?offset=1&wait=20s", ""), got)
		polled <- got
	}()
	synctest.Wait()

	process.Freeze(length)
	if loses {
		coord.Lose()
	}
	var want []string
	for i := range 5 {
		b.writeValues(t, b.node.View().Topic("orders"), 0, fmt.Sprint("while ", i))
		want = append(want, fmt.Sprintf("0:while %d", i))
	}
	wantValues(t, events.take(5), want...)
	if got := (<-polled).values(); len(got) > 0 && got[0] != "while 0" || len(got) == 0 && length < 20*time.Second {
		t.Errorf("the poll got %v", got)
	}

	time.Sleep(length)
	resp := request(t, p, "POST", group+"/commit", fmt.Sprintf(
		`{"holder":"one","claims":[{"topic":"orders","partition":0,"epoch":%q,"offset":1}]}`, claimed.Claims[0].Epoch))
	ended := length > 30*time.Second || loses
	if resp.StatusCode != http.StatusConflict && (ended || resp.StatusCode != http.StatusOK) {
		t.Errorf("a commit of the claim behind that: %s", resp.Status)
	}
	resp.Body.Close()
	time.Sleep(30 * time.Second)
	var next claimPages
	decodeBody(t, request(t, p, "POST", group+"?read=1000", `{"holder":"two","topics":["orders"],"ttl":30}`), &next)
	if len(next.Claims) != 1 || next.Claims[0].Epoch == claimed.Claims[0].Epoch || next.Claims[0].Read == nil {
		t.Errorf("the next holder gets %+v", next)
	}
}

// request sends a request on a connection of its own.
func request(t *testing.T, p *pipes, method, path, body string) *http.Response {
	t.Helper()
	c, _ := p.dial()
	t.Cleanup(func() { c.Close() })
	go func() {
		_, _ = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n%s", method, path, len(body), body)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// decodeBody reads the whole of an answer that is to be 200.
func decodeBody(t *testing.T, resp *http.Response, v any) {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", resp.Status, b, err)
	}
}
