package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// expiringTopic holds records for a few seconds. One idempotent producer writes numbers to its one
// partition, in order: so each record's value is its offset, or something was lost, doubled or
// moved.
const expiringTopic = "expiring"

const expiringAfter = 3 * time.Second

// expiring is what is known of that topic.
type expiring struct {
	c     *crowd
	sent  atomic.Int64
	acked atomic.Int64 // one behind the last
	read  atomic.Int64
}

func (e *expiring) create(ctx context.Context) error {
	client, err := e.c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	retention := strconv.FormatInt(expiringAfter.Milliseconds(), 10)
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &retention}, expiringTopic)
	return err
}

// write writes until ctx ends, and returns when everything is answered.
func (e *expiring) write(ctx context.Context) error {
	client, err := e.c.client(kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(500))
	if err != nil {
		return err
	}
	defer client.Close()
	padding := strings.Repeat("-", 500)
	for ctx.Err() == nil {
		for range 10 {
			n := e.sent.Add(1) - 1
			r := &kgo.Record{Topic: expiringTopic, Value: []byte(strconv.FormatInt(n, 10) + padding)}
			client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
				switch {
				case err != nil:
					e.c.failed("producer of "+expiringTopic, err)
				case r.Offset != n:
					e.c.failed("producer of "+expiringTopic, fmt.Errorf("record %d was given offset %d", n, r.Offset))
				default:
					e.acked.Store(n + 1)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return client.Flush(flush)
}

// watch reads from the log start on, which overtakes it, again and again until ctx ends.
func (e *expiring) watch(ctx context.Context) error {
	start := int64(0)
	for ctx.Err() == nil {
		some, cancel := context.WithTimeout(ctx, 2*time.Second)
		first, _, err := e.readFrom(some, -1)
		cancel()
		if err != nil {
			return err
		}
		if first >= 0 {
			if first < start {
				return fmt.Errorf("%s begins at offset %d, and began at %d before", expiringTopic, first, start)
			}
			start = first
		}
	}
	return nil
}

// readFrom reads from the log start up to an offset, or until ctx ends, and returns the first and
// the last offset that it saw, or -1.
func (e *expiring) readFrom(ctx context.Context, until int64) (first, last int64, err error) {
	first, last = -1, -1
	client, err := e.c.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{expiringTopic: {0: kgo.NewOffset().AtStart()}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.KeepRetryableFetchErrors())
	if err != nil {
		return first, last, err
	}
	defer client.Close()
	for ctx.Err() == nil && (until < 0 || last+1 < until) {
		fetches := client.PollFetches(ctx)
		for _, f := range fetches.Errors() {
			if !kerr.IsRetriable(f.Err) && !errors.Is(f.Err, kerr.OffsetOutOfRange) {
				e.c.failed("reader of "+expiringTopic, f.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			number, _, _ := strings.Cut(string(r.Value), "-")
			if number != strconv.FormatInt(r.Offset, 10) || r.Offset <= last {
				err = fmt.Errorf("%s has record %s at offset %d, behind %d", expiringTopic, number, r.Offset, last)
			}
			if first < 0 {
				first = r.Offset
			}
			last = r.Offset
			e.read.Add(1)
		})
		if err != nil {
			return first, last, err
		}
	}
	return first, last, nil
}

// judge wants the log to end where it should, nothing to be left that was written before `expired`,
// and what is left to be right.
func (e *expiring) judge(ctx context.Context, expired int64) error {
	client, err := e.c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, expiringTopic)
	if err != nil {
		return err
	}
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, expiringTopic)
	if err != nil {
		return err
	}
	start, _ := starts.Lookup(expiringTopic, 0)
	end, _ := ends.Lookup(expiringTopic, 0)
	switch want := e.acked.Load(); {
	case end.Offset != want:
		return fmt.Errorf("%s ends at offset %d, and %d were acknowledged", expiringTopic, end.Offset, want)
	case start.Offset < expired:
		return fmt.Errorf("%s begins at offset %d: what is older than %s should be gone up to %d", expiringTopic,
			start.Offset, expiringAfter, expired)
	case start.Offset == end.Offset:
		return nil
	}
	some, cancel := context.WithTimeout(ctx, 5*time.Second) // it may all expire meanwhile
	defer cancel()
	_, _, err = e.readFrom(some, end.Offset)
	return err
}
