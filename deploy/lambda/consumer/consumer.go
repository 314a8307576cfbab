package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

const (
	// grace is how long before its deadline an invocation stops to work: it has to commit, and give
	// back what it has.
	grace = 2 * time.Second
	// longest is how long an invocation works when Lambda names no deadline, and how long a claim may
	// last.
	longest = 15 * time.Minute

	claimsAtOnce = 4
	readBytes    = 1 << 20 // of all claims together, in one answer
)

// consumer works through what a group has to read.
type consumer struct {
	cluster *cluster
	group   string
	topics  []string
	work    work      // nil: transform
	change  transform // nil: work
	logger  *slog.Logger
}

// report is the function's answer.
type report struct {
	Records int  `json:"records"` // that were worked on and committed
	Lost    int  `json:"lost"`    // claims that had ended before they were committed: others work on those records again
	Left    bool `json:"left"`    // the time was over before the records were
}

// claim is a partition that is this invocation's for a time, with its next records.
type claim struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Epoch     string          `json:"epoch"`
	Offset    int64           `json:"offset"`
	Problem   json.RawMessage `json:"problem"` // why it cannot be read
	Read      struct {
		Records []json.RawMessage `json:"records"`
		Next    int64             `json:"next_offset"`
	} `json:"read"`
}

// held names a claim, and says what becomes of it.
type held struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Epoch     string `json:"epoch"`
	From      int64  `json:"from"`
	Offset    int64  `json:"offset"`
	Release   bool   `json:"release"`
}

// handle is one invocation.
func (c *consumer) handle(ctx context.Context) (r report, err error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(longest)
	}
	working, cancel := context.WithDeadline(ctx, deadline.Add(-grace))
	defer cancel()
	finishing, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	// no two invocations may have the same: this one may be frozen while the next is at work
	holder := "function " + rand.Text()
	for working.Err() == nil {
		claims, err := c.claim(working, holder, time.Until(deadline))
		if err != nil && working.Err() == nil {
			return r, fmt.Errorf("claiming partitions of group %s: %w", c.group, err)
		} else if err != nil {
			break // the claims, if there are any, end with this invocation's time
		}
		found, err := c.workThrough(working, finishing, holder, claims, &r)
		if err != nil || !found && working.Err() == nil {
			return r, err
		}
	}
	r.Left = true
	return r, nil
}

// claim takes the partitions that have most to do. Those whose claim was answered and the answer
// lost are among them, because it names the same holder.
func (c *consumer) claim(ctx context.Context, holder string, ttl time.Duration) ([]claim, error) {
	var answer struct{ Claims []claim }
	ttl = min(max(ttl, time.Second), longest)
	err := c.cluster.post(ctx, c.path(fmt.Sprintf("?read=%d", readBytes)), map[string]any{
		"holder": holder, "topics": c.topics, "max": claimsAtOnce, "ttl": ttl.Seconds()}, &answer)
	return answer.Claims, err
}

// workThrough works on the records of claims, one partition after the other, commits them and gives
// the claims back. It says whether there were any. A partition whose records could not be worked on
// is left where it was, and the others are committed all the same.
func (c *consumer) workThrough(working, finishing context.Context, holder string, claims []claim,
	r *report) (found bool, err error) {
	var done []held
	records := map[string]int{}
	for _, cl := range claims {
		h := held{Topic: cl.Topic, Partition: cl.Partition, Epoch: cl.Epoch, From: cl.Offset, Offset: cl.Offset,
			Release: true}
		switch n := len(cl.Read.Records); {
		case len(cl.Problem) > 0:
			err = errors.Join(err, fmt.Errorf("reading partition %d of %s: %s", cl.Partition, cl.Topic, cl.Problem))
		case n > 0 && working.Err() == nil:
			b := batch{c.group, cl.Topic, cl.Partition, cl.Read.Records}
			if c.change != nil {
				h.Offset = cl.Read.Next
				lost, failed := c.transact(finishing, holder, h, b)
				switch {
				case failed != nil:
					err = errors.Join(err, fmt.Errorf("partition %d of %s, from offset %d: %w", cl.Partition, cl.Topic, cl.Offset,
						failed))
				case lost:
					r.Lost++
				default:
					r.Records += n
				}
				found = found || failed == nil
				continue // the claim was given up with it, or ends with this invocation's time
			}
			failed := c.work(working, b)
			switch {
			case failed == nil:
				found, h.Offset, records[cl.Epoch] = true, cl.Read.Next, n
			case working.Err() == nil:
				err = errors.Join(err, fmt.Errorf("partition %d of %s, from offset %d: %w", cl.Partition, cl.Topic, cl.Offset,
					failed))
			}
		}
		done = append(done, h)
	}
	if len(done) == 0 {
		return found, err
	}
	refused, failed := c.finish(finishing, holder, done)
	for epoch, n := range records {
		if refused[epoch] {
			r.Lost++
		} else if failed == nil {
			r.Records += n
		}
	}
	return found, errors.Join(err, failed)
}

// transact writes what follows from the records of a claim, commits and gives it back, all in one
// step. It says whether the claim had ended: then nothing was done.
func (c *consumer) transact(ctx context.Context, holder string, h held, b batch) (lost bool, err error) {
	records, err := c.change(b)
	if err != nil {
		return false, err
	}
	key := fmt.Sprintf("%s %s %s %d", rand.Text(), h.Epoch, h.Topic, h.Partition)
	err = c.cluster.postOnce(ctx, "/v1/transactions", key, map[string]any{"records": records,
		"offsets": map[string]any{"group": c.group, "holder": holder, "claims": []held{h}}}, nil)
	if ended := new(conflict); errors.As(err, &ended) {
		c.logger.Warn("a claim had ended before its transaction; its records are worked on again", "topic", h.Topic,
			"partition", h.Partition)
		return true, nil
	}
	return false, err
}

// finish commits claims and gives them back. It returns the epochs of those that had ended.
func (c *consumer) finish(ctx context.Context, holder string, done []held) (refused map[string]bool, err error) {
	err = c.cluster.post(ctx, c.path("/commit"), map[string]any{"holder": holder, "claims": done}, nil)
	var ended *conflict
	if !errors.As(err, &ended) {
		return nil, err
	}
	refused = map[string]bool{}
	for i, answer := range ended.Claims {
		if i < len(done) && answer.Error != "" {
			c.logger.Warn("a claim had ended before it was committed; its records are worked on again", "topic", answer.Topic,
				"partition", answer.Partition)
			refused[done[i].Epoch] = true
		}
	}
	return refused, nil
}

func (c *consumer) path(rest string) string {
	return "/v1/groups/" + url.PathEscape(c.group) + "/claims" + rest
}
