package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Transfers go to a topic of their own.
const (
	transferTopic      = "transfers"
	transferPartitions = 4
	transferTimeout    = 10 * time.Second // of transactions
	// stableWithin is how long after the end a transaction may be open that nobody ends.
	stableWithin = transferTimeout + 10*time.Second
)

// fate is what is known of a transfer.
type fate int

const (
	inDoubt   fate = iota // it may have been committed
	committed             // whoever made it was told so
	aborted               // nobody ever asked for it to be committed, or whoever did was told that it was not
)

// transfers are transactions of two records each, in two partitions: both are there in the end, or
// neither. Some are aborted, and some are left open by a producer that goes away.
type transfers struct {
	c  *crowd
	mu sync.Mutex

	fates map[string]fate
}

func newTransfers(c *crowd) *transfers { return &transfers{c: c, fates: map[string]fate{}} }

func (t *transfers) note(transfer string, f fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fates[transfer] = f
}

// String counts them.
func (t *transfers) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n [3]int
	for _, f := range t.fates {
		n[f]++
	}
	return fmt.Sprintf("%d committed, %d aborted, %d in doubt", n[committed], n[aborted], n[inDoubt])
}

// run makes transfers until ctx ends.
func (t *transfers) run(ctx context.Context) error {
	client, err := t.c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		made, err := kadm.NewClient(client).CreateTopic(ctx, transferPartitions, 1, nil, transferTopic)
		if err == nil && (made.Err == nil || strings.Contains(made.Err.Error(), "ALREADY_EXISTS")) {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	var producers sync.WaitGroup
	for i := range t.c.opts.Transfers {
		producers.Go(func() {
			random := rand.New(rand.NewPCG(t.c.opts.Seed, 5000+uint64(i)))
			for session := 0; ctx.Err() == nil; session++ {
				t.session(ctx, random, fmt.Sprint("transfer-", i), session)
			}
		})
	}
	producers.Wait()
	return nil
}

// session is one life of a producer. It ends with its first trouble, or sooner.
func (t *transfers) session(ctx context.Context, random *rand.Rand, id string, session int) {
	client, err := t.c.client(kgo.TransactionalID(id), kgo.TransactionTimeout(transferTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1), kgo.RequestRetries(10))
	if err != nil {
		t.c.failed("transfers", err)
		return
	}
	defer client.CloseAllowingRebalance()
	for n := range 1 + random.IntN(60) {
		if ctx.Err() != nil || !t.transfer(ctx, client, random, fmt.Sprintf("%s-%d-%d", id, session, n)) {
			return
		}
	}
}

// transfer makes one transfer, and says whether the producer goes on.
func (t *transfers) transfer(ctx context.Context, client *kgo.Client, random *rand.Rand, name string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	t.note(name, aborted)
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	first := random.Int32N(transferPartitions)
	second := (first + 1 + random.Int32N(transferPartitions-1)) % transferPartitions
	err := client.ProduceSync(ctx,
		&kgo.Record{Topic: transferTopic, Partition: first, Value: []byte(name)},
		&kgo.Record{Topic: transferTopic, Partition: second, Value: []byte(name)}).FirstErr()
	switch how := random.IntN(20); {
	case how == 0:
		return false // it goes away, and leaves the transaction open
	case err != nil || how < 4:
		return client.EndTransaction(ctx, kgo.TryAbort) == nil
	}
	t.note(name, inDoubt)
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return false
	}
	t.note(name, committed)
	return true
}

// judge reads them back through every node: of each committed one both records, of each aborted one
// none, and of the others both or none.
func (t *transfers) judge(ctx context.Context) error {
	var faults []error
	for i, addr := range t.c.addrs {
		if err := t.judgeNode(ctx, addr); err != nil {
			faults = append(faults, fmt.Errorf("transfers through node %d: %w", i+1, err))
		}
	}
	return errors.Join(faults...)
}

func (t *transfers) judgeNode(ctx context.Context, addr string) error {
	ends, err := t.stable(ctx, addr)
	if err != nil {
		return err
	}
	found, err := t.read(ctx, addr, ends)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var faults []error
	for name, f := range t.fates {
		switch n := found[name]; {
		case n != 0 && n != 2, f == committed && n != 2, f == aborted && n != 0:
			faults = append(faults, fmt.Errorf("%s, which was %s, has %d records",
				name, [...]string{"in doubt", "committed", "aborted"}[f], n))
		}
	}
	return errors.Join(faults...)
}

// stable waits until no transaction is open, and returns the ends of the partitions.
func (t *transfers) stable(ctx context.Context, addr string) (map[int32]int64, error) {
	client, err := t.c.client(through(addr))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	var open []string
	until := time.Now().Add(stableWithin + patience)
	for ; time.Now().Before(until) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		all, err := adm.ListEndOffsets(ctx, transferTopic)
		stable, err2 := adm.ListCommittedOffsets(ctx, transferTopic)
		if errors.Join(err, err2, all.Error(), stable.Error()) != nil {
			continue
		}
		ends := map[int32]int64{}
		open = nil
		all.Each(func(o kadm.ListedOffset) {
			ends[o.Partition] = o.Offset
			if s, _ := stable.Lookup(transferTopic, o.Partition); s.Offset != o.Offset {
				open = append(open, fmt.Sprintf("partition %d at %d of %d", o.Partition, s.Offset, o.Offset))
			}
		})
		if len(open) == 0 {
			return ends, nil
		}
	}
	return nil, fmt.Errorf("a transaction is open, with a timeout of %s: %v", transferTimeout, open)
}

// read counts the committed records of each transfer.
func (t *transfers) read(ctx context.Context, addr string, ends map[int32]int64) (map[string]int, error) {
	offsets := map[int32]kgo.Offset{}
	for p := range ends {
		offsets[p] = kgo.NewOffset().At(0)
	}
	client, err := t.c.client(
		through(addr),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{transferTopic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found := map[string]int{}
	next := map[int32]int64{}
	for {
		over := true
		for p, end := range ends {
			over = over && next[p] >= end
		}
		if over {
			return found, nil
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read up to %v of %v: %w", next, ends, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				found[string(r.Value)]++
			}
		})
	}
}
