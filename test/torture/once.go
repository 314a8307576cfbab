package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Functions that work exactly once: each claims a partition, reads, and writes what it has read to
// two topics in one transaction with the offset behind it.
const (
	onceAtOnce     = 16 // functions
	oncePartitions = 12
	onceGroup      = "functions"
	onceInput      = "input"
	onceDying      = 100 * time.Millisecond // the longest that a function works that dies
)

var onceOutputs = []string{"left", "right"}

// OnceResult is what functions that died anywhere have left.
type OnceResult struct {
	Lives, Died, Wipes, Kills int
	Records, Missing, Twice   int // in either topic
	Behind                    int // partitions where the group is not at the end
	Took                      time.Duration
}

func (r OnceResult) String() string {
	return fmt.Sprintf("%d functions, of which %d died, %d FLUSHALLs, %d nodes killed, in %v\n%d records for each of %d "+
		"topics: %d missing, %d twice; the group is behind in %d partitions\n", r.Lives, r.Died, r.Wipes, r.Kills,
		r.Took.Round(100*time.Millisecond), r.Records, len(onceOutputs), r.Missing, r.Twice, r.Behind)
}

// Err says what is wrong.
func (r OnceResult) Err() error {
	if r.Missing+r.Twice+r.Behind > 0 || r.Records == 0 {
		return errors.New("records are missing or there twice, or the group is not at the end")
	}
	if r.Wipes == 0 || r.Kills == 0 {
		return errors.New("nothing was struck")
	}
	return nil
}

// Once has functions work on three nodes until so many of them have died, each at a moment of its
// own: its connection is cut, and nothing is asked again in its name. In between Redis loses
// everything, again and again, and nodes are killed.
func Once(ctx context.Context, bin, dir string, deaths int, log io.Writer) (r OnceResult, err error) {
	cl, err := startCluster(ctx, plan{firn: bin, dir: dir})
	defer cl.stop()
	if err != nil {
		return r, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cl.addrs()...), kgo.ProducerLinger(0))
	if err != nil {
		return r, err
	}
	defer client.Close()
	o := &once{cluster: cl, client: client, written: make(chan struct{})}
	o.left.Store(int64(deaths))
	if _, err := kadm.NewClient(client).CreateTopics(ctx, oncePartitions, 1, nil,
		append([]string{onceInput}, onceOutputs...)...); err != nil {
		return r, err
	}
	begun := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	working, done := context.WithCancel(ctx)
	defer done()
	for range onceAtOnce {
		g.Go(func() error { o.functions(working); return nil })
	}
	g.Go(func() error { return o.write(ctx) })
	g.Go(func() error {
		defer done()
		if err := o.strike(ctx, deaths, log); err != nil {
			return err
		}
		return o.untilDone(ctx)
	})
	if err := g.Wait(); err != nil {
		return r, err
	}
	r = OnceResult{Lives: int(o.lives.Load()), Died: deaths, Wipes: o.wipes, Kills: o.kills, Records: o.records,
		Took: time.Since(begun)}
	if r.Behind, err = o.behind(context.WithoutCancel(ctx)); err != nil {
		return r, err
	}
	r.Missing, r.Twice, err = o.readBack(context.WithoutCancel(ctx))
	return r, err
}

// once is the functions, and what there is for them to do.
type once struct {
	cluster      *cluster
	client       *kgo.Client
	written      chan struct{} // closed when the input is
	records      int           // of it
	lives, left  atomic.Int64  // functions that have lived; deaths that are to come, less than 0 when all have
	wipes, kills int
}

// write writes the input, as long as functions are to die.
func (o *once) write(ctx context.Context) error {
	defer close(o.written)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(oncePartitions)
	for o.left.Load() > 0 && ctx.Err() == nil {
		record := kgo.StringRecord(fmt.Sprint(o.records))
		record.Topic = onceInput
		o.records++
		g.Go(func() error { return o.client.ProduceSync(ctx, record).FirstErr() })
	}
	return g.Wait()
}

// functions begins one function after the other. Every second one that finds work dies, as long as
// deaths are left, and some die while they ask for it.
func (o *once) functions(ctx context.Context) {
	for ctx.Err() == nil {
		life, die := context.WithCancel(ctx)
		if rand.IntN(20) == 0 {
			time.AfterFunc(rand.N(onceDying/10), die)
		}
		if !o.runFunction(life, fmt.Sprint("function ", o.lives.Add(1)), die) {
			time.Sleep(onceDying / 2)
		}
		die()
	}
}

type onceClaim struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Epoch     string `json:"epoch"`
	Offset    int64  `json:"offset"`
	Read      struct {
		Records []struct{ Value any }
		Next    int64 `json:"next_offset"`
	} `json:"read"`
}

// runFunction is one life of a function. ctx ends with it. It says whether there was something to
// do.
func (o *once) runFunction(ctx context.Context, holder string, die func()) (worked bool) {
	var got struct{ Claims []onceClaim }
	if status := o.ask(ctx, "/v1/groups/"+onceGroup+"/claims?read=1000", "",
		map[string]any{"holder": holder, "topics": []string{onceInput}, "max": 1, "ttl": 2}, &got); status != http.StatusOK {
		return false
	}
	for _, c := range got.Claims {
		var records []map[string]any
		for _, r := range c.Read.Records {
			for _, name := range onceOutputs {
				records = append(records, map[string]any{"topic": name, "key": fmt.Sprint(r.Value), "value": fmt.Sprint(r.Value)})
			}
		}
		claim := map[string]any{"topic": c.Topic, "partition": c.Partition, "epoch": c.Epoch}
		if len(records) == 0 {
			o.ask(ctx, "/v1/groups/"+onceGroup+"/claims/release", "",
				map[string]any{"holder": holder, "claims": []any{claim}}, nil)
			continue
		}
		if worked = true; rand.IntN(2) == 0 && o.left.Add(-1) >= 0 {
			time.AfterFunc(rand.N(onceDying), die)
		}
		claim["from"], claim["offset"], claim["release"] = c.Offset, c.Read.Next, true
		transaction := map[string]any{"records": records,
			"offsets": map[string]any{"group": onceGroup, "holder": holder, "claims": []any{claim}}}
		for ctx.Err() == nil { // until it knows what became of it
			status := o.ask(ctx, "/v1/transactions", holder, transaction, nil)
			if status == http.StatusOK || status == http.StatusConflict {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return worked
}

// ask posts to some node. It returns the status of the answer; 0 if there is none.
func (o *once) ask(ctx context.Context, path, key string, body, answer any) int {
	text, err := json.Marshal(body)
	if err != nil {
		return 0
	}
	node := o.cluster.nodes[rand.IntN(clusterNodes)]
	status, got, err := post(ctx, "http://"+node.spec.HTTP+path, key, text)
	switch {
	case err != nil:
		time.Sleep(10 * time.Millisecond) // the node is away
		return 0
	case answer != nil && json.Unmarshal(got, answer) != nil:
		return 0
	}
	return status
}

// strike empties Redis after each tenth of the deaths, and kills a node with every third of these.
func (o *once) strike(ctx context.Context, deaths int, log io.Writer) error {
	for next := 1; o.left.Load() > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		if died := deaths - int(o.left.Load()); died*10 < next*deaths {
			continue
		}
		fmt.Fprintln(log, "FLUSHALL")
		if err := o.cluster.tellRedis("FLUSHALL"); err != nil {
			return err
		}
		o.wipes++
		if next%3 == 1 {
			fmt.Fprintln(log, "kill -9 of a node")
			o.cluster.nodes[rand.IntN(clusterNodes)].kill()
			o.kills++
			if err := o.cluster.startNodes(ctx); err != nil {
				return err
			}
		}
		next++
	}
	return nil
}

// untilDone waits until the group has read everything. A function that dies does not know what it
// has done: the group does.
func (o *once) untilDone(ctx context.Context) error {
	<-o.written
	for {
		if n, err := o.behind(ctx); err == nil && n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// behind counts the partitions where the group is not at the end. All of the input has to be there.
func (o *once) behind(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	admin := kadm.NewClient(o.client)
	ends, err := admin.ListEndOffsets(ctx, onceInput)
	if err != nil {
		return 0, err
	}
	at, err := admin.FetchOffsets(ctx, onceGroup)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		total += end.Offset
		if committed, ok := at.Lookup(end.Topic, end.Partition); end.Offset > 0 && (!ok || committed.At != end.Offset) {
			n++
		}
	})
	if total != int64(o.records) {
		return 0, fmt.Errorf("the input has %d records, want %d", total, o.records)
	}
	return n, errors.Join(ends.Error(), at.Error())
}

// readBack reads both topics through each node, and counts what is missing and what is there twice:
// of the worst.
func (o *once) readBack(ctx context.Context) (missing, twice int, err error) {
	for _, addr := range o.cluster.addrs() {
		for _, name := range onceOutputs {
			seen, err := o.readTopic(ctx, addr, name)
			if err != nil {
				return 0, 0, err
			}
			m, t := 0, 0
			for i := range o.records {
				switch times := seen[fmt.Sprint(i)]; {
				case times == 0:
					m++
				case times > 1:
					t++
				}
			}
			missing, twice = max(missing, m), max(twice, t)
		}
	}
	return missing, twice, nil
}

// readTopic counts the values of a topic, from its beginning to its end.
func (o *once) readTopic(ctx context.Context, addr, name string) (map[string]int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), through(addr), kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, name)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	left := int64(0)
	ends.Each(func(end kadm.ListedOffset) { left += end.Offset })
	seen, next := map[string]int{}, map[int32]int64{}
	for left > 0 {
		waiting, cancel := context.WithTimeout(ctx, patience)
		fetches := client.PollFetches(waiting)
		over := waiting.Err() != nil
		cancel()
		if over && fetches.NumRecords() == 0 {
			return nil, fmt.Errorf("reading %s through %s: nothing comes at %v of %v: %w", name, addr, next,
				ends.Offsets()[name], fetches.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen[string(r.Value)]++
			next[r.Partition] = r.Offset + 1
			left--
		})
	}
	return seen, nil
}
