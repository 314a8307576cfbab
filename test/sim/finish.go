package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// alive is how long it may take, when the trouble is over, until all works again.
const alive = 5 * time.Minute

// answered waits until all clients have got their answers.
func (w *world) answered(idle <-chan struct{}) bool {
	timer := time.NewTimer(alive)
	defer timer.Stop()
	select {
	case <-idle:
	case <-w.judge.over:
	case <-timer.C:
		var busy []string
		w.busy.Range(func(name, _ any) bool {
			busy = append(busy, name.(string))
			return true
		})
		w.judge.violation("liveness: %s after the trouble these clients have no answers: %v", alive, busy)
	}
	return w.judge.found() == nil
}

// livesOn writes at each node, and to the whole cluster once more when Redis has forgotten
// everything.
func (w *world) livesOn() bool {
	ctx, cancel := context.WithTimeout(w.ctx, alive)
	defer cancel()
	for _, n := range w.nodes {
		c := w.newClient("last-" + n.name)
		for {
			err := c.writeTo(ctx, n)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				w.judge.violation("liveness: %s after the trouble %s does not write: %v", alive, n.name, err)
				return false
			}
			w.sleepAlways(time.Second)
		}
	}
	if w.plan.Long {
		w.sleepAlways(coordinator.MergeDeadline(w.plan.CommitDeadline) + 4*w.plan.Grace)
	}
	return w.judge.found() == nil
}

// writeTo writes at one node.
func (c *client) writeTo(ctx context.Context, n *node) error {
	i, err := n.instance(ctx)
	if err != nil {
		return err
	}
	t := i.member.View().Topic(topicName)
	if t == nil {
		if c.w.admin == nil {
			return errors.New("it does not know the topic")
		}
		return nil // it was deleted
	}
	at := segments.Partition{Topic: t.ID}
	names := c.records()
	b, h := bytesOf(names, batch.NoProducer(batch.None))
	w := c.w.judge.sends(at, names)
	trying, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	r, err := i.append(trying, ingest.Batch{Partition: at, Header: h, Bytes: b})
	if err == nil {
		err = r.Err
	}
	if err != nil {
		c.w.judge.gaveUp(w)
		return err
	}
	c.w.judge.acknowledges(c.name, w, r.BaseOffset)
	return nil
}

// finish compares what everybody serves in the end with what was promised.
func (w *world) finish() {
	ctx, cancel := context.WithTimeout(w.ctx, 2*alive)
	defer cancel()
	for _, n := range w.nodes {
		i, err := n.instance(ctx)
		if err == nil {
			err = i.member.CatchUp(ctx)
		}
		var log map[segments.Partition]whole
		for err == nil {
			// a get of the time of trouble may be on its way still, and fail only now
			if log, err = readAll(ctx, i.member.View(), i.index); err == nil || ctx.Err() != nil {
				break
			}
			w.sleepAlways(time.Second)
			err = ctx.Err()
		}
		if err != nil {
			w.judge.violation("P1: %s cannot be read in the end: %v", n.name, err)
			return
		}
		w.judge.ends(n.name, log)
	}
	w.audit(ctx)
	for who, load := range map[string]func() (*coordinator.State, error){
		"a reader of the bucket": func() (*coordinator.State, error) { return coordinator.Load(ctx, w.bucket) },
		"a recovery": func() (*coordinator.State, error) {
			return coordinator.Recover(ctx, w.bucket, coordinator.RecoverOptions{Who: "the judge"})
		},
	} {
		log, err := w.readBucket(ctx, load)
		if err != nil {
			w.judge.violation("P5: %s cannot read it in the end: %v", who, err)
			return
		}
		w.judge.ends(who, log)
	}
	w.judge.linearizable()
}

// readBucket reads what a state refers to.
func (w *world) readBucket(
	ctx context.Context, load func() (*coordinator.State, error),
) (map[segments.Partition]whole, error) {
	state, err := load()
	if err != nil {
		return nil, err
	}
	view := coordinator.NewView(state)
	x, err := index.New(index.Options{Store: w.bucket, View: view})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	return readAll(ctx, view, x)
}

// readAll reads all partitions from beginning to end.
func readAll(ctx context.Context, view *coordinator.View, x *index.Index) (map[segments.Partition]whole, error) {
	log := map[segments.Partition]whole{}
	for _, t := range view.Topics() {
		for p := range t.Partitions {
			at := segments.Partition{Topic: t.ID, Index: p}
			for {
				all, err := readWhole(ctx, view, x, at)
				if err != nil {
					return nil, err
				}
				log[at] = all
				if info, _ := view.Partition(at); info.LogStart == all.start {
					break // otherwise retention went on while it was read
				}
			}
		}
	}
	return log, nil
}

// readWhole reads a partition from beginning to end.
func readWhole(ctx context.Context, view *coordinator.View, x *index.Index, at segments.Partition) (whole, error) {
	info, _ := view.Partition(at)
	all := whole{start: info.LogStart, end: info.HighWatermark, records: map[int64]string{}}
	for next := info.LogStart; next < info.HighWatermark; {
		chunk, err := x.Read(ctx, at, next, 1<<20, true)
		if err != nil {
			return whole{}, err
		}
		offsets, records, err := values(chunk.Batches, next)
		if err != nil {
			return whole{}, err
		}
		if len(offsets) == 0 {
			return whole{}, fmt.Errorf("there is nothing at offset %d of %s, which goes from %d to %d", next, at, info.LogStart,
				info.HighWatermark)
		}
		all.bytes += bytesFrom(chunk.Batches, next)
		for i, o := range offsets {
			all.records[o] = records[i]
		}
		next = offsets[len(offsets)-1] + 1
	}
	return all, nil
}

// bytesFrom is the size of those batches that begin at an offset or behind it.
func bytesFrom(batches [][]byte, offset int64) (n int64) {
	for _, some := range batches {
		for h, err := range batch.All(some) {
			if err == nil && h.BaseOffset >= offset {
				n += int64(h.Size())
			}
		}
	}
	return n
}

// audit asks what is in the bucket for nothing, and what is needed and not there.
func (w *world) audit(ctx context.Context) {
	report, err := coordinator.Audit(ctx, w.bucket, coordinator.AuditOptions{CommitDeadline: w.plan.CommitDeadline,
		Grace: w.plan.Grace})
	switch {
	case err != nil:
		w.judge.violation("P7: the audit fails: %v", err)
	case len(report.Missing) > 0:
		w.judge.violation("P7: %d objects are missing, the first is %s: %s", len(report.Missing), report.Missing[0].Key,
			report.Missing[0].Detail)
	case len(report.Leaked) > 0 && w.plan.Long:
		w.judge.violation("P7: %d objects are leaked, the first is %s: %s", len(report.Leaked), report.Leaked[0].Key,
			report.Leaked[0].Detail)
	case report.Tallies[coordinator.Unknown].Objects > 0:
		w.judge.violation("P7: %d objects are nothing that firn puts there", report.Tallies[coordinator.Unknown].Objects)
	}
}

// reader reads the bucket alone, again and again.
func (c *client) reader() {
	p := c.w.newProcess(c.name)
	defer p.kill()
	for c.think() {
		bucket := &store{p, c.w.bucket}
		ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
		call := c.w.judge.now()
		state, err := coordinator.Load(ctx, bucket)
		if err == nil {
			c.readState(ctx, call, coordinator.NewView(state), bucket)
		}
		cancel()
	}
}

func (c *client) readState(ctx context.Context, call int64, view *coordinator.View, bucket segments.Store) {
	x, err := index.New(index.Options{Store: bucket, View: view})
	if err != nil {
		panic(err)
	}
	defer x.Close()
	for _, t := range view.Topics() {
		for i := range t.Partitions {
			at := segments.Partition{Topic: t.ID, Index: i}
			info, _ := view.Partition(at)
			chunk, err := x.Read(ctx, at, info.LogStart, 1<<20, true)
			if err != nil {
				continue
			}
			if offsets, records, err := values(chunk.Batches, info.LogStart); err == nil {
				c.w.judge.serves(c.name, at, call, offsets, records)
			}
		}
	}
}
