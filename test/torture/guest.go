package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"firn.dev/coordinator/redis"
	"firn.dev/ingest"
	"firn.dev/segments/minio"
	"firn.dev/test/torture/history"
)

// attemptLimit is how long a direct writer's request may take before it is given up and made again,
// as by a function that has reached its time limit.
const attemptLimit = 10 * time.Second

// guestProducer is the direct writer's number among producers.
const guestProducer = 1000

// guest is a direct writer, as functions use it: it writes into the bucket itself, and speaks to
// Redis through a gate of its own. It makes those calls to the coordinator that nodes do not make.
type guest struct {
	toRedis     *gate
	coordinator *redis.Coordinator
	writer      *ingest.Direct
	log         *os.File
}

// newGuest opens it. Somebody has to close it.
func newGuest(ctx context.Context, c *cluster) (g *guest, err error) {
	g = &guest{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.toRedis, err = newGate("127.0.0.1", c.redis.Addr); err != nil {
		return nil, err
	}
	if g.log, err = os.Create(filepath.Join(c.plan.dir, "guest.log")); err != nil {
		return nil, err
	}
	place, err := minio.ParseURL(c.minio.MinIOURL(bucket, "log"))
	if err != nil {
		return nil, err
	}
	store, err := minio.Open(place)
	if err != nil {
		return nil, err
	}
	way, err := redis.ParseURL("redis://" + g.toRedis.addr)
	if err != nil {
		return nil, err
	}
	if g.coordinator, err = redis.New(ctx, way); err != nil {
		return nil, err
	}
	g.writer, err = ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: g.coordinator,
		TopicLifetime: time.Second,
		Who:           "a direct writer of the torture", Logger: slog.New(slog.NewTextHandler(g.log, nil))})
	return g, err
}

func (g *guest) close() {
	if g.coordinator != nil {
		g.coordinator.Close()
	}
	if g.log != nil {
		g.log.Close()
	}
	if g.toRedis != nil {
		g.toRedis.close()
	}
}

// write writes records under idempotency keys until ctx ends. A request that fails is made again,
// under its key, until it has succeeded.
func (g *guest) write(ctx context.Context, c *crowd) error {
	random := rand.New(rand.NewPCG(c.opts.Seed, guestProducer))
	numbers := make([]int64, c.opts.Partitions)
	for request := 0; ctx.Err() == nil; request++ {
		partition := int32(random.IntN(c.opts.Partitions))
		var records []ingest.Record
		var sent []history.Record
		for range 1 + random.IntN(3) {
			key, value, record := encode(random, guestProducer, partition, numbers[partition])
			numbers[partition]++
			c.sent(partition, record)
			records, sent = append(records, ingest.Record{Partition: partition, Key: key, Value: value, Timestamp: -1}),
				append(sent, record)
		}
		written, err := g.insist(context.WithoutCancel(ctx), records,
			ingest.IdempotencyKey(fmt.Sprintf("request %d", request)))
		if err != nil {
			return err
		}
		for i, w := range written {
			c.acknowledged(partition, sent[i], w.Offset)
		}
		time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
	}
	return nil
}

// insist makes a request until it is answered.
func (g *guest) insist(ctx context.Context, records []ingest.Record,
	key ingest.WriteOption) (written []ingest.Written, err error) {
	for until := time.Now().Add(comeback); time.Now().Before(until); {
		attempt, cancel := context.WithTimeout(ctx, attemptLimit)
		written, err = g.writer.Write(attempt, topic, records, key)
		cancel()
		if err == nil {
			return written, nil
		}
		fmt.Fprintln(g.log, "a request fails, and is made again under its key:", err)
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("the direct writer's request is not answered within %v: %w", comeback, err)
}
