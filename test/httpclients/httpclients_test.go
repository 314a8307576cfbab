// Package httpclients has clients of Firn's HTTP paths that need no library, as docs/using/http.md
// shows them, and the test that runs them.
package httpclients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"firn.dev/test/process/processtest"
)

const (
	partitions = 6
	records    = 300
)

// TestWorkers: two workers at a time share a topic and get every record once, and the group is
// where the topic ends.
func TestWorkers(t *testing.T) {
	base := startFirn(t)
	want := writeRecords(t, base)
	for name, worker := range map[string][]string{"python": {"python3", "worker.py"}, "node": {"node", "worker.mjs"}} {
		t.Run(name, func(t *testing.T) {
			var outputs [2][]string
			var running sync.WaitGroup
			for i := range outputs {
				running.Go(func() { outputs[i] = run(t, append(slices.Clone(worker), base, name, "orders")...) })
			}
			running.Wait()
			got := slices.Concat(outputs[:]...)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d lines, want %d", len(got), len(want))
			}
			var group struct{ Lag int64 }
			var claims struct{ Claims []any }
			call(t, http.MethodGet, base+"/v1/groups/"+name, "", nil, &group)
			call(t, http.MethodGet, base+"/v1/groups/"+name+"/claims", "", nil, &claims)
			if group.Lag != 0 || len(claims.Claims) != 0 {
				t.Errorf("lag %d, claims %v", group.Lag, claims.Claims)
			}
		})
	}
	t.Run("curl", func(t *testing.T) {
		var got []string
		for p := range partitions {
			for _, line := range run(t, "./follow.sh", base, "orders", fmt.Sprint(p), "1ms") {
				var r struct {
					Offset int64
					Value  string
				}
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				got = append(got, fmt.Sprintf("%d %d %s", p, r.Offset, r.Value))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d lines, want %d", len(got), len(want))
		}
	})
}

// TestProducers: a producer that is run again with the same key writes nothing more, and prints the
// same.
func TestProducers(t *testing.T) {
	base := startFirn(t)
	for name, producer := range map[string][]string{"python": {"python3", "produce.py"}, "node": {"node", "produce.mjs"}} {
		t.Run(name, func(t *testing.T) {
			call(t, http.MethodPost, base+"/v1/topics", "application/json", []byte(`{"name": "`+name+`"}`), nil)
			lines := "first\nsecond \"line\"\nthird\n"
			want := []string{"0 0", "0 1", "0 2"}
			for range 2 {
				if got := feed(t, lines, append(slices.Clone(producer), base, name, "a key")...); !slices.Equal(got, want) {
					t.Errorf("%q", got)
				}
			}
			var read struct{ Records []struct{ Value string } }
			call(t, http.MethodGet, base+"/v1/topics/"+name+"/partitions/0/records", "", nil, &read)
			var values strings.Builder
			for _, r := range read.Records {
				values.WriteString(r.Value + "\n")
			}
			if values.String() != lines {
				t.Errorf("%q", values.String())
			}
		})
	}
}

// startFirn starts a server for the length of the test.
func startFirn(t *testing.T) (base string) {
	t.Helper()
	base, _ = startServer(t)
	return base
}

// startServer tells where it speaks Kafka as well.
func startServer(t *testing.T) (base, kafka string) {
	t.Helper()
	server := processtest.Firn(t)
	return "http://" + server.HTTP(), server.Kafka()
}

// writeRecords creates a topic and fills it. It returns what workers print of it, sorted.
func writeRecords(t *testing.T, base string) (lines []string) {
	t.Helper()
	call(t, http.MethodPost, base+"/v1/topics", "application/json",
		fmt.Appendf(nil, `{"name": "orders", "partitions": %d}`, partitions), nil)
	var body bytes.Buffer
	for i := range records {
		fmt.Fprintf(&body, "{\"key\": \"%d\", \"value\": \"value-%d\"}\n", i, i)
	}
	var written struct {
		Records []struct {
			Partition int
			Offset    int64
		}
	}
	call(t, http.MethodPost, base+"/v1/topics/orders/records", "application/x-ndjson", body.Bytes(), &written)
	for i, r := range written.Records {
		lines = append(lines, fmt.Sprintf("%d %d value-%d", r.Partition, r.Offset, i))
	}
	if len(lines) != records {
		t.Fatalf("%d records were written", len(lines))
	}
	slices.Sort(lines)
	return lines
}

// call sends a request and decodes the answer into v, if that is not nil.
func call(t *testing.T, method, url, kind string, body []byte, v any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if v == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// run runs a program and returns the lines that it prints.
func run(t *testing.T, command ...string) []string {
	t.Helper()
	return feed(t, "", command...)
}

// feed is run with something on standard input.
func feed(t *testing.T, input string, command ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, complaints.String())
	}
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
}
