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

// transfer is what is known of one.
type transfer struct {
	fate  fate
	began time.Time
	told  time.Time // when it was answered as committed
}

// transfers are transactions of two records each, in two partitions: both are there in the end, or
// neither. Some are aborted, and some are left open by a producer that goes away.
type transfers struct {
	c  *crowd
	mu sync.Mutex

	known map[string]transfer
	// followed are the transfers that a reader of committed records has read all along, by partition.
	followed map[int32][]string
}

func newTransfers(c *crowd) *transfers {
	return &transfers{c: c, known: map[string]transfer{}, followed: map[int32][]string{}}
}

func (t *transfers) note(name string, f fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, now := t.known[name], time.Now()
	one.fate = f
	if one.began.IsZero() {
		one.began = now
	}
	if f == committed {
		one.told = now
	}
	t.known[name] = one
}

// String counts them.
func (t *transfers) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n [3]int
	for _, one := range t.known {
		n[one.fate]++
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
	producers.Go(func() { t.follow(ctx) })
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

// follow reads committed records as they come, until ctx ends.
func (t *transfers) follow(ctx context.Context) {
	offsets := map[int32]kgo.Offset{}
	for p := range int32(transferPartitions) {
		offsets[p] = kgo.NewOffset().At(0)
	}
	client, err := t.c.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{transferTopic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		t.c.failed("transfers", err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			t.followed[r.Partition] = append(t.followed[r.Partition], string(r.Value))
		})
	}
}

// judge reads them back through every node.
func (t *transfers) judge(ctx context.Context) error {
	var faults []error
	for i, addr := range t.c.addrs {
		ends, err := t.stable(ctx, addr)
		if err == nil {
			var l ledger
			if l, err = t.read(ctx, addr, ends); err == nil {
				err = t.check(l)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("transfers through node %d: %w", i+1, err))
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

// read reads the ledger.
func (t *transfers) read(ctx context.Context, addr string, ends map[int32]int64) (ledger, error) {
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
		return ledger{}, err
	}
	defer client.Close()
	l := newLedger()
	next := map[int32]int64{}
	for {
		over := true
		for p, end := range ends {
			over = over && next[p] >= end
		}
		if over {
			return l, nil
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ledger{}, fmt.Errorf("read up to %v of %v: %w", next, ends, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			l.add(r)
		})
	}
}
