package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

// pipeline is a program of others that works exactly once, while it, the nodes and Redis are
// struck. What comes out of it counts: of each key a reader of committed records has to see 1, 2, 3
// …, no number twice, none left out.
type pipeline struct {
	cluster *cluster // it writes to
	from    *cluster // it reads from
	topic   string   // that it writes
	records int      // that come out
	strikes int
	random  *rand.Rand
	log     io.Writer

	commands [][]string // of its processes
	// feed makes records for the program, of which n come out; nil: it makes its own.
	feed func(n int) []*kgo.Record
	// tend, if there is one, looks after the program until ctx ends.
	tend func(ctx context.Context)

	processes []*process.Process
	wrote     map[string]int // of each key
	read      map[string]int // its newest number
	sum       int            // numbers that were read
}

const (
	// ahead is how many numbers are written before they are read. So the strikes hit a program that is
	// at work.
	ahead = 2000
	// pipelinePatience is how long nothing may come: a session, a transaction's timeout, a start, and
	// all of that on a busy machine.
	pipelinePatience = 10 * time.Minute
	// lanes are the keys of numbers.
	lanes = 20
)

// number makes records that count, for programs that copy.
func (p *pipeline) number(topic string) func(n int) []*kgo.Record {
	return func(n int) (records []*kgo.Record) {
		for range n {
			lane := fmt.Sprint("lane", p.random.IntN(lanes))
			p.wrote[lane]++
			records = append(records, &kgo.Record{Topic: topic, Key: []byte(lane), Value: []byte(strconv.Itoa(p.wrote[lane]))})
		}
		return records
	}
}

func (p *pipeline) run(ctx context.Context) (took time.Duration, err error) {
	p.read = map[string]int{}
	in, err := p.from.client()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := p.cluster.client(kgo.ConsumeTopics(p.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer out.Close()
	defer func() {
		for _, one := range p.processes {
			one.Kill()
		}
	}()
	for _, command := range p.commands {
		one, err := process.Start(process.Spec{Command: command})
		if err != nil {
			return 0, err
		}
		p.processes = append(p.processes, one)
	}
	if p.tend != nil {
		tended, stop := context.WithCancel(ctx)
		over := make(chan struct{})
		go func() { defer close(over); p.tend(tended) }()
		defer func() { stop(); <-over }()
	}
	began, written, struck := time.Now(), 0, 0
	for p.sum < p.records {
		if struck < p.strikes && p.sum >= p.records*(struck+1)/(p.strikes+1) {
			if err := p.strike(ctx, struck); err != nil {
				return 0, err
			}
			struck++
		}
		if n := min(p.records, p.sum+ahead) - written; n > 0 && p.feed != nil {
			if err := in.ProduceSync(ctx, p.feed(n)...).FirstErr(); err != nil {
				return 0, err
			}
			written += n
		}
		if err := errors.Join(p.alive(), p.poll(ctx, out)); err != nil {
			return 0, err
		}
	}
	took = time.Since(began)
	return took, errors.Join(p.quiet(ctx, out), p.compare())
}

// alive is an error if a process of the program has ended by itself.
func (p *pipeline) alive() error {
	for i, one := range p.processes {
		select {
		case <-one.Done():
			return fmt.Errorf("process %d has ended\n%s", i+1, one.Output())
		default:
		}
	}
	return nil
}

// poll reads some numbers.
func (p *pipeline) poll(ctx context.Context, out *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, pipelinePatience)
	defer cancel()
	fetches := out.PollFetches(ctx)
	if err := fetches.Err0(); err != nil {
		err = fmt.Errorf("%d of %d numbers came out, and then nothing: %w", p.sum, p.records, err)
		for _, one := range p.processes {
			err = fmt.Errorf("%w\n%s", err, one.Output())
		}
		return err
	}
	var wrong error
	fetches.EachRecord(func(r *kgo.Record) {
		key := string(r.Key)
		number, err := strconv.Atoi(string(r.Value))
		if err == nil && number != p.read[key]+1 {
			err = fmt.Errorf("%s goes from %d to %d, at offset %d of partition %d", key, p.read[key], number, r.Offset,
				r.Partition)
		}
		wrong = errors.Join(wrong, err)
		p.read[key] = number
		p.sum++
	})
	return wrong
}

// quiet sees that no number comes after the last one.
func (p *pipeline) quiet(ctx context.Context, out *kgo.Client) error {
	for _, one := range p.processes { // a transaction in flight is aborted, or committed
		ended, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := one.Terminate(ended)
		cancel()
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if more := out.PollFetches(ctx).NumRecords(); more > 0 {
		return fmt.Errorf("all %d numbers came out, and then %d more", p.records, more)
	}
	return nil
}

func (p *pipeline) compare() (wrong error) {
	for key, n := range p.wrote {
		if got := p.read[key]; got != n {
			wrong = errors.Join(wrong, fmt.Errorf("%s was written %d times and is counted %d times", key, n, got))
		}
	}
	return wrong
}

// strike kills a process of the program, or a node, or wipes Redis, in turn; the program most
// often.
func (p *pipeline) strike(ctx context.Context, n int) (err error) {
	switch {
	case n%2 == 0:
		i := p.random.IntN(len(p.processes))
		fmt.Fprintf(p.log, "after %d numbers, kill -9 of process %d\n", p.sum, i+1)
		p.processes[i].Kill()
		p.processes[i], err = process.Start(p.processes[i].Spec())
		return err
	case n%4 == 3 && p.cluster.redis != nil:
		fmt.Fprintf(p.log, "after %d numbers, Redis is wiped\n", p.sum)
		r := redis.NewClient(&redis.Options{Addr: p.cluster.redis.Addr})
		defer r.Close()
		return r.FlushAll(ctx).Err()
	}
	i := p.random.IntN(len(p.cluster.nodes))
	fmt.Fprintf(p.log, "after %d numbers, kill -9 of node %d\n", p.sum, i+1)
	p.cluster.nodes[i].Kill()
	return p.cluster.startNode(ctx, i)
}
