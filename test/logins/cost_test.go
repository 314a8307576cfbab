package logins

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	costRounds  = 5
	costSeconds = 3 * time.Second
	costBytes   = 1024
)

// measured is what one way through the server came to.
type measured struct{ mib, cpu float64 } // a second, and seconds of the server for each GiB

// BenchmarkTLS writes records and reads them back through the listener without TLS and through the
// one with TLS and SCRAM, in turns, and prints the medians. make bench-tls runs it once.
func BenchmarkTLS(b *testing.B) {
	s := startStage(b)
	if _, err := kadm.NewClient(s.admin).CreateACLs(b.Context(), kadm.NewACLs().Topics("cost-").
		ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpAll).Allow("User:alice").AllowHosts("*")); err != nil {
		b.Fatal(err)
	}
	values := make([][]byte, 1000)
	for i := range values {
		values[i] = make([]byte, costBytes)
		for j := range values[i] {
			values[i][j] = byte(rand.Uint32())
		}
	}
	doors := map[string][]kgo.Opt{
		"plaintext": {kgo.SeedBrokers(s.server.Kafka())},
		"sasl-ssl": {kgo.SeedBrokers(s.sasl), kgo.DialTLSConfig(s.client),
			kgo.SASL(scram.Auth{User: "alice", Pass: password}.AsSha512Mechanism())},
	}
	results := map[string][]measured{}
	for b.Loop() {
		for round := range costRounds {
			for door, opts := range doors {
				produced, fetched := s.cost(b, fmt.Sprintf("cost-%d-%s", round, door), opts, values)
				results[door+" produce"] = append(results[door+" produce"], produced)
				results[door+" fetch"] = append(results[door+" fetch"], fetched)
			}
		}
	}
	for name, all := range results {
		slices.SortFunc(all, func(x, y measured) int { return int(1000 * (x.mib - y.mib)) })
		b.Logf("%-20s %7.0f MiB/s", name, all[len(all)/2].mib)
		slices.SortFunc(all, func(x, y measured) int { return int(1000 * (x.cpu - y.cpu)) })
		b.Logf("%-20s %7.2f CPU seconds of the server for a GiB", name, all[len(all)/2].cpu)
	}
}

// cost writes records for a while, and reads them.
func (s *stage) cost(b *testing.B, topic string, opts []kgo.Opt, values [][]byte) (produced, fetched measured) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(s.admin).CreateTopic(ctx, 12, 1, nil, topic); err != nil {
		b.Fatal(err)
	}
	opts = append(slices.Clone(opts), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	measure := func(do func(cl *kgo.Client) int64, more ...kgo.Opt) measured {
		cl, err := kgo.NewClient(append(slices.Clone(opts), more...)...)
		if err != nil {
			b.Fatal(err)
		}
		defer cl.Close()
		if err := cl.Ping(ctx); err != nil {
			b.Fatal(err)
		}
		before, err := s.server.Usage()
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		mib := float64(do(cl)) * costBytes / (1 << 20)
		took := time.Since(began).Seconds()
		after, err := s.server.Usage()
		if err != nil {
			b.Fatal(err)
		}
		return measured{mib / took, (after.CPU - before.CPU).Seconds() / mib * 1024}
	}
	var written atomic.Int64
	produced = measure(func(cl *kgo.Client) int64 {
		for began, n := time.Now(), 0; time.Since(began) < costSeconds; n++ {
			cl.Produce(ctx, &kgo.Record{Value: values[n%len(values)]}, func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
				written.Add(1)
			})
		}
		if err := cl.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		return written.Load()
	})
	fetched = measure(func(cl *kgo.Client) (n int64) {
		for n < written.Load() {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				b.Fatal(err)
			}
			n += int64(fetches.NumRecords())
		}
		return n
	}, kgo.ConsumeTopics(topic), kgo.FetchMaxPartitionBytes(4<<20))
	return produced, fetched
}
