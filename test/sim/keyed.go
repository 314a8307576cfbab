package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/ingest"
	"firn.dev/segments"
)

// written is where a record of a request with a key is.
type written struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// keyed is an HTTP client that makes each request with a key, at one node after the other, until it
// is answered.
func (c *client) keyed() {
	for c.think() {
		names := c.records()
		var list []map[string]any
		for _, n := range names {
			record := map[string]any{"value": n}
			if key := c.key(n); key != "" {
				record["key"] = key
			}
			list = append(list, record)
		}
		body, err := json.Marshal(list)
		if err != nil {
			panic(err)
		}
		call, key := c.w.judge.now(), fmt.Sprint(c.name, " request ", c.n)
		for {
			topic, places, ok := c.post(key, body)
			if ok {
				c.acknowledged(topic, call, names, places)
				break
			}
			if c.w.ctx.Err() != nil {
				c.w.judge.gaveUpAnywhere(call, names)
				return
			}
			c.w.sleepAlways(c.dice().between("again", 20*time.Millisecond, time.Second))
		}
	}
}

// key is that of a record of a request over HTTP or of a function: in a compacted topic the one
// that the judge expects, else any or none.
func (c *client) key(record string) string {
	d := c.dice()
	switch {
	case c.w.plan.Compact:
		return keyOf(record)
	case d.chance("key", 0.5):
		return fmt.Sprint("k", d.n("which", 20))
	}
	return ""
}

// acknowledged tells the judge where the records of a request are: those of each partition side by
// side.
func (c *client) acknowledged(topic segments.TopicID, call int64, names []string, places []written) {
	if len(places) != len(names) {
		c.w.judge.violation("%s wrote %d records, and is told where %d are", c.name, len(names), len(places))
		return
	}
	first, records := map[int32]int64{}, map[int32][]string{}
	var order []int32
	for i, p := range places {
		if len(records[p.Partition]) == 0 {
			first[p.Partition] = p.Offset
			order = append(order, p.Partition)
		}
		if want := first[p.Partition] + int64(len(records[p.Partition])); p.Offset != want {
			c.w.judge.violation("%s is told that %s is at offset %d of partition %d: it should be %d", c.name, names[i],
				p.Offset, p.Partition, want)
		}
		records[p.Partition] = append(records[p.Partition], names[i])
	}
	for _, p := range order {
		c.w.judge.acknowledges(c.name, &write{segments.Partition{Topic: topic, Index: p}, records[p], call}, first[p])
	}
}

// post makes a request once.
func (c *client) post(key string, body []byte) (topic segments.TopicID, places []written, ok bool) {
	i, err := c.node(c.w.ctx)
	if err != nil {
		return topic, nil, false
	}
	t := i.member.View().Topic(topicName)
	if t == nil {
		return topic, nil, false
	}
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	answer, err := serve(ctx, i, func(ctx context.Context) (*httptest.ResponseRecorder, error) {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/topics/"+topicName+"/records", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		i.rest.ServeHTTP(w, r)
		return w, nil
	})
	if err != nil {
		return topic, nil, false
	}
	if answer.Code != http.StatusOK {
		if answer.Code == http.StatusUnprocessableEntity {
			c.w.judge.violation("P4: %s makes a request again at node%d, and is told: %s", c.name, i.member.Info().ID,
				answer.Body)
		}
		return topic, nil, false
	}
	var decoded struct{ Records []written }
	if err := json.Unmarshal(answer.Body.Bytes(), &decoded); err != nil {
		c.w.judge.violation("%s is answered %q: %v", c.name, answer.Body, err)
		return topic, nil, false
	}
	// Of two topics of one name it was the one that the node had known before, or the next.
	if now := i.member.View().Topic(topicName); now == nil || now.ID != t.ID {
		return topic, nil, false
	}
	return t.ID, decoded.Records, true
}

// function is a process that writes without a node. It is killed and frozen as sandboxes are, and
// makes each request until it is answered.
func (c *client) function() {
	var p *process
	var direct *ingest.Direct
	for c.think() {
		names := c.records()
		records := make([]ingest.Record, len(names))
		for i, n := range names {
			records[i] = ingest.Record{Partition: -1, Value: []byte(n), Timestamp: -1}
			if key := c.key(n); key != "" {
				records[i].Key = []byte(key)
			}
		}
		call, key := c.w.judge.now(), fmt.Sprint(c.name, " event ", c.n)
		for {
			if p == nil || p.dead() {
				p = c.w.newProcess(c.name)
				var err error
				direct, err = ingest.OpenDirect(p.ctx, ingest.DirectOptions{Store: &store{p, c.w.bucket},
					Coordinator: &redis{p, -1}, Who: c.name, Logger: c.w.logger(c.name)})
				if err != nil {
					panic(err)
				}
			}
			topic, places, err := c.write(p, direct, key, records)
			if err == nil {
				c.acknowledged(topic, call, names, places)
				break
			}
			// A topic whose deletion shows last, after the trouble, is not made again.
			gone := errors.Is(err, coordinator.ErrUnknownTopic) && c.w.admin != nil && c.w.isCalm() &&
				c.w.topicID() == (segments.TopicID{})
			if c.w.ctx.Err() != nil || gone {
				c.w.judge.gaveUpAnywhere(call, names)
				return
			}
			if errors.Is(err, coordinator.ErrKeyReused) {
				c.w.judge.violation("P4: %s is told of %v", c.name, err)
			}
			if c.dice().chance("cold", 0.3) {
				p.kill()
			}
			c.w.sleepAlways(c.dice().between("again", 20*time.Millisecond, time.Second))
		}
		switch d := c.dice(); {
		case d.chance("killed", 0.1):
			p.kill()
		case d.chance("frozen", 0.1):
			p.freeze(d.between("for", 100*time.Millisecond, 10*time.Second))
		}
	}
}

// write makes a request once.
func (c *client) write(p *process, direct *ingest.Direct, key string,
	records []ingest.Record) (topic segments.TopicID, places []written, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, requestTime)
	defer cancel()
	before := c.w.topicID()
	answers, err := direct.Write(ctx, topicName, records, ingest.IdempotencyKey(key))
	if err := p.gate(); err != nil {
		return topic, nil, err
	}
	if err != nil {
		return topic, nil, err
	}
	if before == (segments.TopicID{}) || before != c.w.topicID() {
		return topic, nil, errReset // nobody knows to which topic of the name it was written: once more
	}
	for _, a := range answers {
		places = append(places, written{a.Partition, a.Offset})
	}
	return before, places, nil
}
