package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// FunctionsResult is what many short-lived producers found out.
type FunctionsResult struct {
	Producers, Processes      int
	Tries                     int64 // requests, retries among them
	Records, Missing, Twice   int
	Took                      time.Duration
	Objects, Budget           int // puts that the bucket holds, and what the put budget allows for that time
	AnsweredTwice, Kept, Lost int // answers that were asked for again: the same, another
	AfterLoss                 int // of those, after Redis had lost everything
}

func (r FunctionsResult) String() string {
	return fmt.Sprintf("%d producers (%d of them processes), %d requests, in %v\n%d records, %d missing, %d twice\n%d "+
		"answers asked for again, %d of them after FLUSHALL: %d the same, %d not\n%d objects put, %d allowed\n",
		r.Producers, r.Processes, r.Tries, r.Took.Round(100*time.Millisecond), r.Records, r.Missing, r.Twice, r.AnsweredTwice,
		r.AfterLoss, r.Kept, r.Lost, r.Objects, r.Budget)
}

// Err says what is wrong.
func (r FunctionsResult) Err() error {
	if r.Missing+r.Twice+r.Lost > 0 || r.Records == 0 || r.AfterLoss == 0 {
		return errors.New("records are missing or there twice, or an answer changed")
	}
	if r.Objects > r.Budget {
		return errors.New("more objects were put than the budget allows")
	}
	return nil
}

const (
	functionsAtOnce = 32
	functionRecords = 3  // of each producer
	againEvery      = 10 // producers: one asks again
	putBudget       = 8
)

// Functions has many producers write over HTTP as functions do, one connection or one process each,
// one request under an idempotency key, and gone. In the middle one of three nodes is killed, so
// that producers do not know whether what they asked for was done, and ask another node again. At
// last Redis loses everything, and some producers ask once more, another node than before.
func Functions(ctx context.Context, bin, dir string, producers int, log io.Writer) (r FunctionsResult, err error) {
	cl, err := startCluster(ctx, plan{firn: bin, dir: dir, flags: []string{"--put-budget", fmt.Sprint(putBudget)}})
	defer cl.stop()
	if err != nil {
		return r, err
	}
	c := &crowd{opts: Options{Partitions: 6}.withDefaults(), addrs: cl.addrs()}
	c.opts.Partitions = 6
	if err := c.createTopic(ctx); err != nil {
		return r, err
	}
	begun := time.Now()
	f := &functions{cluster: cl}
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(functionsAtOnce)
	for i := range producers {
		if i == producers/2 {
			fmt.Fprintln(log, "kill -9 of node 1")
			cl.nodes[0].kill()
		}
		g.Go(func() error { return f.produce(working, i) })
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	r = FunctionsResult{Producers: producers, Processes: int(f.processes.Load()), Tries: f.tries.Load(),
		Records: producers * functionRecords, Took: time.Since(begun)}
	if r.Objects, err = f.objects(ctx); err != nil {
		return r, err
	}
	// each node's, its burst, and a few for lives and incarnations
	r.Budget = int(r.Took.Seconds()*putBudget+3*putBudget)*clusterNodes + 20
	fmt.Fprintln(log, "FLUSHALL")
	if err := cl.tellRedis("FLUSHALL"); err != nil {
		return r, err
	}
	for i := 0; i < producers; i += againEvery {
		if err := f.askAgain(ctx, i, i+2); err != nil {
			return r, err
		}
		r.AfterLoss++
	}
	r.AnsweredTwice, r.Kept, r.Lost = int(f.again.Load()), int(f.kept.Load()), int(f.changed.Load())
	r.Missing, r.Twice, err = f.readBack(ctx, producers)
	return r, err
}

// functions is the producers and what became of their requests.
type functions struct {
	cluster                                *cluster
	tries, processes, again, kept, changed atomic.Int64
	answers                                sync.Map // of those who ask again, by their number
}

// produce is the life of one producer: requests until there is an answer, each on a connection of
// its own or from a process of its own.
func (f *functions) produce(ctx context.Context, i int) error {
	body, key := functionBody(i), functionKey(i)
	ask := f.connect
	if i%5 == 0 {
		ask = f.process
		f.processes.Add(1)
	}
	answer, err := f.until(ctx, i, ask, body, key)
	if err != nil || i%againEvery != 0 {
		return err
	}
	f.answers.Store(i, answer)
	return f.askAgain(ctx, i, i+1)
}

// askAgain makes a producer's request once more, at that node first, as if it was not sure that it
// was done, and compares the answers.
func (f *functions) askAgain(ctx context.Context, i, node int) error {
	again, err := f.until(ctx, node, f.connect, functionBody(i), functionKey(i))
	if err != nil {
		return err
	}
	f.again.Add(1)
	if first, _ := f.answers.Load(i); bytes.Equal(first.([]byte), again) {
		f.kept.Add(1)
	} else {
		f.changed.Add(1)
	}
	return nil
}

// until asks one node after the other until one answers.
func (f *functions) until(ctx context.Context, i int,
	ask func(ctx context.Context, url string, body []byte, key string) ([]byte, error), body []byte, key string) ([]byte,
	error) {
	var err error
	for try := range 200 {
		node := f.cluster.nodes[(i+try)%clusterNodes]
		f.tries.Add(1)
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		var answer []byte
		answer, err = ask(asking, "http://"+node.spec.HTTP+"/v1/topics/"+topic+"/records", body, key)
		cancel()
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("producer %d gave up: %w", i, err)
}

func functionKey(i int) string { return fmt.Sprintf(`"function %d"`, i) }

func functionBody(i int) []byte {
	var records []map[string]string
	for n := range functionRecords {
		records = append(records, map[string]string{"key": fmt.Sprint("k", i%17, n), "value": fmt.Sprintf("%d/%d", i, n)})
	}
	b, _ := json.Marshal(records) // strings
	return b
}

// connect makes a request on a connection of its own.
func (f *functions) connect(ctx context.Context, url string, body []byte, key string) ([]byte, error) {
	status, answer, err := post(ctx, url, key, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %s", status, answer)
	}
	return answer, err
}

// post posts JSON on a connection of its own, with an idempotency key if there is one.
func post(ctx context.Context, url, key string, body []byte) (status int, answer []byte, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// process makes a request by a process.
func (f *functions) process(ctx context.Context, url string, body []byte, key string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "10", url, "-H",
		"Content-Type: application/json",
		"-H", "Idempotency-Key: "+key, "--data-binary", "@-")
	cmd.Stdin = bytes.NewReader(body)
	return cmd.Output()
}

// objects counts the puts that the bucket holds: nothing has been deleted yet.
func (f *functions) objects(ctx context.Context) (n int, err error) {
	keys, err := f.cluster.minio.Keys(ctx, bucket)
	return len(keys), err
}

// readBack counts records that are not there, and those that are there more than once.
func (f *functions) readBack(ctx context.Context, producers int) (missing, twice int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.cluster.addrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	seen := map[string]int{}
	// clients look for the partitions of the node that was killed at others within seconds
	deadline := time.Now().Add(patience)
	for quiet := 0; quiet < 2 || len(seen) < producers*functionRecords && time.Now().Before(deadline); quiet++ {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			seen[string(r.Value)]++
			quiet = 0
		})
	}
	for i := range producers {
		for n := range functionRecords {
			switch times := seen[fmt.Sprintf("%d/%d", i, n)]; {
			case times == 0:
				missing++
			case times > 1:
				twice++
			}
			delete(seen, fmt.Sprintf("%d/%d", i, n))
		}
	}
	if len(seen) > 0 {
		err = fmt.Errorf("records that nobody wrote: %s", strings.Join(slices.Sorted(maps.Keys(seen)), " "))
	}
	return missing, twice, err
}
