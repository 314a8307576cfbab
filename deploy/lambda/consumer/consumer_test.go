package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"firn.dev/deploy/lambda/lambdatest"
	"firn.dev/test/process/processtest"
)

// binary is the function.
var binary string

func TestMain(m *testing.M) { lambdatest.Main(m, &binary) }

const (
	partitions = 6
	wakeUp     = `{"version":"0","id":"e","detail-type":"Scheduled Event","source":"aws.events",` +
		`"time":"2026-01-01T00:00:00Z","detail":{}}`
)

// fixture is a topic and a group of it, and where functions send its records.
type fixture struct {
	t      *testing.T
	base   string // of the server
	name   string // of the topic, and behind a slash of the group
	target *httptest.Server

	mu     sync.Mutex
	seen   map[string][]int64 // offsets by partition, as they came
	refuse int                // so many of the next requests
	hold   chan struct{}      // not nil: the next request comes here before it is answered
}

func TestConsumer(t *testing.T) {
	base := "http://" + processtest.Firn(t).HTTP()
	for name, test := range map[string]func(*fixture){
		"woken": testWoken, "side-by-side": testSideBySide, "killed": testKilled, "frozen": testFrozen,
		"transaction": testTransaction,
	} {
		t.Run(name, func(t *testing.T) {
			p := &fixture{t: t, base: base, name: name, seen: map[string][]int64{}}
			p.target = httptest.NewServer(http.HandlerFunc(p.take))
			t.Cleanup(p.target.Close)
			p.call(http.MethodPost, "/v1/topics", fmt.Sprintf(`{"name": %q, "partitions": %d}`, name, partitions), nil)
			test(p)
		})
	}
}

// function is one that could run beside others.
func (p *fixture) function() *lambdatest.Platform {
	// The first address is nobody's: another node is asked then.
	return lambdatest.New(p.t, binary, "FIRN_HTTP=http://127.0.0.1:1,"+p.base, "FIRN_GROUP=of/"+p.name,
		"FIRN_TOPICS="+p.name, "FIRN_TARGET="+p.target.URL)
}

// take is where records are sent.
func (p *fixture) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // of a function that was killed
	}
	p.mu.Lock()
	hold := p.hold
	p.hold = nil
	if p.refuse > 0 {
		p.refuse--
		p.mu.Unlock()
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	partition := r.Header.Get("Firn-Partition")
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		var record struct {
			Offset int64
			Value  string
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil || !strings.HasPrefix(record.Value, "value-") {
			p.t.Errorf("%s: %v", lines.Text(), err)
		}
		p.seen[partition] = append(p.seen[partition], record.Offset)
	}
	p.mu.Unlock()
	if hold != nil {
		hold <- struct{}{}
		<-hold
	}
}

func (p *fixture) call(method, path, body string, answer any) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			p.t.Fatal(err)
		}
	}
}

// write writes n records into each partition.
func (p *fixture) write(n int) {
	p.t.Helper()
	var records []map[string]any
	for i := range n * partitions {
		records = append(records, map[string]any{"partition": i % partitions, "value": fmt.Sprint("value-", i)})
	}
	body, err := json.Marshal(records)
	if err != nil {
		p.t.Fatal(err)
	}
	p.call(http.MethodPost, "/v1/topics/"+p.name+"/records", string(body), nil)
}

// wantAll wants every partition's offsets up to end to have come, in order and once, except that
// those from again on may have come again. Nothing may be left to do, and nothing be claimed.
func (p *fixture) wantAll(end int64, twice bool) {
	p.t.Helper()
	p.mu.Lock()
	for i := range partitions {
		next, repeated := int64(0), 0
		for _, offset := range p.seen[fmt.Sprint(i)] {
			switch {
			case offset == next:
				next++
			case offset < next:
				repeated++
				next = offset + 1
			default:
				p.t.Errorf("partition %d: %d came when %d was next", i, offset, next)
				next = offset + 1
			}
		}
		if next != end || repeated > 0 && !twice {
			p.t.Errorf("partition %d: records came up to %d of %d, and %d times from the beginning again", i, next, end,
				repeated)
		}
	}
	p.mu.Unlock()
	var group struct {
		Lag     int64
		Claims  []any
		Offsets []struct{ Offset int64 }
	}
	p.call(http.MethodGet, "/v1/groups/of%2F"+p.name, "", &group)
	if group.Lag != 0 || len(group.Claims) != 0 || len(group.Offsets) != partitions {
		p.t.Errorf("the group is left with %+v", group)
	}
	for _, o := range group.Offsets {
		if o.Offset != end {
			p.t.Errorf("committed is %d of %d", o.Offset, end)
		}
	}
}

func (p *fixture) want(got lambdatest.Result, want string) {
	p.t.Helper()
	if !got.OK || got.Body != want {
		p.t.Errorf("the function answers %+v, want %s", got, want)
	}
}

// testWoken: a function that is woken works through all there is, and has nothing to do when it is
// woken again. What could not be sent on comes again.
func testWoken(p *fixture) {
	p.write(50)
	f := p.function()
	p.want(f.Invoke(wakeUp), `{"records":300,"lost":0,"left":false}`)
	p.wantAll(50, false)
	p.want(f.Invoke(wakeUp), `{"records":0,"lost":0,"left":false}`)
	f.Kill()
	p.write(1)
	p.mu.Lock()
	p.refuse = 2
	p.mu.Unlock()
	if got := f.Invoke(wakeUp); got.OK || !strings.Contains(got.Body, "503") ||
		!strings.Contains(got.Body, "from offset 50") {
		p.t.Errorf("a target that refuses: %+v", got)
	}
	p.want(f.Invoke(wakeUp), `{"records":4,"lost":0,"left":false}`) // the others of the first four were committed before
	p.wantAll(51, false)
}

// testSideBySide: functions that run at the same time share the partitions.
func testSideBySide(p *fixture) {
	p.write(200)
	functions := []*lambdatest.Platform{p.function(), p.function(), p.function()}
	for _, f := range functions {
		f.Send(wakeUp)
	}
	records := 0
	for _, f := range functions {
		var r report
		if got := f.Wait(); !got.OK || json.Unmarshal([]byte(got.Body), &r) != nil || r.Lost != 0 {
			p.t.Errorf("%+v", got)
		}
		records += r.Records
	}
	if records != 200*partitions {
		p.t.Errorf("%d records were worked on", records)
	}
	p.wantAll(200, false)
}

// testKilled: a function that dies in the middle keeps its partitions from others until its time
// would have been over, and no longer. Its records come again.
func testKilled(p *fixture) {
	p.write(10)
	f := p.function()
	f.Timeout = 4 * time.Second
	hold := make(chan struct{})
	p.mu.Lock()
	p.hold = hold
	p.mu.Unlock()
	f.Send(wakeUp)
	<-hold
	f.Kill()
	close(hold)
	p.want(f.Invoke(wakeUp), `{"records":20,"lost":0,"left":false}`) // the two partitions that the first had not claimed
	p.until(f)
	p.wantAll(10, true)
}

// testFrozen: a function that is frozen for longer than its claims last is refused when it commits,
// and sets nobody back.
func testFrozen(p *fixture) {
	p.write(10)
	f, other := p.function(), p.function()
	f.Timeout = 4 * time.Second
	hold := make(chan struct{})
	p.mu.Lock()
	p.hold = hold
	p.mu.Unlock()
	f.Send(wakeUp)
	<-hold
	f.Signal(syscall.SIGSTOP)
	p.until(other)
	p.wantAll(10, true)
	p.write(1)
	close(hold)
	f.Signal(syscall.SIGCONT)
	got := f.Wait()
	if got.OK && !strings.Contains(got.Body, `"records":0`) {
		p.t.Errorf("the frozen function answers %+v", got)
	}
	p.until(other)
	p.wantAll(11, true)
}

// testTransaction: what follows from records is written in one transaction with the offset behind
// them. Functions that are killed at any moment write it exactly once.
func testTransaction(p *fixture) {
	outputs := []string{p.name + "-left", p.name + "-right"}
	for _, name := range outputs {
		p.call(http.MethodPost, "/v1/topics", fmt.Sprintf(`{"name": %q, "partitions": 2}`, name), nil)
	}
	p.write(20)
	function := func() *lambdatest.Platform {
		f := lambdatest.New(p.t, binary, "FIRN_HTTP="+p.base, "FIRN_GROUP=of/"+p.name, "FIRN_TOPICS="+p.name,
			"FIRN_OUTPUTS="+strings.Join(outputs, ","))
		f.Timeout = 4 * time.Second // so claims of one that died last no longer
		return f
	}
	for i := range 4 {
		f := function()
		f.Send(wakeUp)
		time.Sleep(time.Duration(i*i*5) * time.Millisecond) // anywhere: nothing hangs on where
		f.Kill()
	}
	p.until(function())
	for _, name := range outputs {
		seen := map[string]int{}
		for i := range 2 {
			var got struct{ Records []struct{ Value string } }
			p.call(http.MethodGet, fmt.Sprintf("/v1/topics/%s/partitions/%d/records?offset=0", name, i), "", &got)
			for _, r := range got.Records {
				seen[r.Value]++
			}
		}
		for i := range 20 * partitions {
			if n := seen[fmt.Sprint("value-", i)]; n != 1 {
				p.t.Errorf("%s has record %d %d times", name, i, n)
			}
		}
	}
}

// until wakes a function again and again until the group has nothing left to read, and nothing is
// claimed.
func (p *fixture) until(f *lambdatest.Platform) {
	p.t.Helper()
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		if got := f.Invoke(wakeUp); !got.OK {
			p.t.Fatalf("%+v", got)
		}
		var group struct {
			Lag     int64
			Claims  []any
			Offsets []any
		}
		p.call(http.MethodGet, "/v1/groups/of%2F"+p.name, "", &group)
		if group.Lag == 0 && len(group.Claims) == 0 && len(group.Offsets) == partitions {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatal("the group does not come to the end")
}
