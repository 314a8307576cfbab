package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// oldProtocol keeps a client to the versions of before KIP-890.
func oldProtocol() kgo.Opt { return kgo.MaxVersions(kversion.V3_7_0()) }

// inBothProtocols runs a test as a client of either.
func inBothProtocols(t *testing.T, test func(t *testing.T, opts ...kgo.Opt)) {
	t.Run("new", func(t *testing.T) { test(t) })
	t.Run("old", func(t *testing.T) { test(t, oldProtocol()) })
}

// read reads a topic from its beginning until it has had n records, or a marker record.
func (f *firn) readUntil(t *testing.T, topic, last string, level kgo.IsolationLevel) (values []string) {
	t.Helper()
	cl := f.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(200*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !slices.Contains(values, last) {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%v, after %v", err, values)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func write(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("writing %s: %v", v, err)
		}
	}
}

func begin(t *testing.T, cl *kgo.Client) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, cl *kgo.Client, how kgo.TransactionEndTry) {
	t.Helper()
	if err := cl.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

// Who reads committed records sees those of committed transactions, in the order of the log, and
// nothing behind an open one.
func TestTransactions(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, opts ...kgo.Opt) {
		f := startFirn(t, kafka.Options{})
		f.createTopic(t, "t", 1)
		writer := f.client(t, append(opts, kgo.TransactionalID("writer"))...)
		plain := f.client(t)
		begin(t, writer)
		write(t, writer, "t", "a1", "a2")
		end(t, writer, kgo.TryCommit)
		begin(t, writer)
		write(t, writer, "t", "b1")
		write(t, plain, "t", "p1")
		write(t, writer, "t", "b2")
		end(t, writer, kgo.TryAbort)
		begin(t, writer)
		write(t, writer, "t", "c1")
		write(t, plain, "t", "p2")
		if got := f.offsets(t, "t", true); got != 7 {
			t.Errorf("the last stable offset is %d, should be 7", got)
		}
		if got := f.offsets(t, "t", false); got != 9 {
			t.Errorf("the high watermark is %d, should be 9", got)
		}
		end(t, writer, kgo.TryCommit)
		write(t, plain, "t", "end")
		want := []string{"a1", "a2", "p1", "c1", "p2", "end"}
		if got := f.readUntil(t, "t", "end", kgo.ReadCommitted()); !slices.Equal(got, want) {
			t.Errorf("committed records are %v, should be %v", got, want)
		}
		want = []string{"a1", "a2", "b1", "p1", "b2", "c1", "p2", "end"}
		if got := f.readUntil(t, "t", "end", kgo.ReadUncommitted()); !slices.Equal(got, want) {
			t.Errorf("all records are %v, should be %v", got, want)
		}
	})
}

// offsets returns the end of partition 0, for who reads committed records or all.
func (f *firn) offsets(t *testing.T, topic string, committed bool) int64 {
	t.Helper()
	adm := kadm.NewClient(f.client(t))
	list := adm.ListEndOffsets
	if committed {
		list = adm.ListCommittedOffsets
	}
	listed, err := list(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := listed.Lookup(topic, 0)
	return o.Offset
}

// A producer that begins anew fences the one before, and aborts what that has left open.
func TestFencedProducer(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, opts ...kgo.Opt) {
		f := startFirn(t, kafka.Options{})
		f.createTopic(t, "t", 2)
		opts = append(opts, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		first, second := f.client(t, opts...), f.client(t, opts...)
		begin(t, first)
		write(t, first, "t", "lost1", "lost2", "lost3")
		begin(t, second)
		write(t, second, "t", "kept1", "kept2")
		err := first.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr()
		if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
			t.Errorf("a fenced producer's write: %v", err)
		}
		if err := first.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("a fenced producer has committed")
		}
		end(t, second, kgo.TryCommit)
		write(t, f.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner())), "t", "end")
		got := f.readUntil(t, "t", "end", kgo.ReadCommitted())
		for _, lost := range []string{"lost1", "lost2", "lost3", "late"} {
			if slices.Contains(got, lost) {
				t.Errorf("read %v", got)
			}
		}
	})
}

// A transaction whose producer is silent for its timeout is aborted.
func TestTransactionTimeout(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 1)
	silent := f.client(t, kgo.TransactionalID("silent"), kgo.TransactionTimeout(300*time.Millisecond))
	begin(t, silent)
	write(t, silent, "t", "lost")
	write(t, f.client(t), "t", "end")
	if got := f.readUntil(t, "t", "end", kgo.ReadCommitted()); !slices.Equal(got, []string{"end"}) {
		t.Errorf("read %v", got)
	}
	txns, err := kadm.NewClient(f.client(t)).ListTransactions(t.Context(), nil, nil)
	if err != nil || txns["silent"].State != "CompleteAbort" {
		t.Errorf("%+v, %v", txns, err)
	}
}

// Records are read, written elsewhere and committed as read in one step: what is aborted is read
// again, and what is committed is not.
func TestConsumeTransformProduce(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, opts ...kgo.Opt) {
		f := startFirn(t, kafka.Options{})
		f.createTopic(t, "in", 3)
		f.createTopic(t, "out", 2)
		in := f.client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		const records = 60
		for i := range records {
			write(t, in, "in", fmt.Sprint(i))
		}
		s, err := kgo.NewGroupTransactSession(
			append(
				opts,
				kgo.SeedBrokers(f.address),
				kgo.TransactionalID("etl"),
				kgo.ConsumerGroup("g"),
				kgo.ConsumeTopics(
					"in",
				),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.FetchIsolationLevel(kgo.ReadCommitted()),
				kgo.RequireStableFetchOffsets(),
				kgo.FetchMaxWait(100*time.Millisecond),
			)...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for done, rounds := 0, 0; done < records; rounds++ {
			fetches := s.PollRecords(ctx, 7)
			if ctx.Err() != nil {
				t.Fatalf("%d of %d records were done: %v", done, records, ctx.Err())
			}
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) { s.Produce(ctx, &kgo.Record{Topic: "out", Value: r.Value}, nil) })
			committed, err := s.End(ctx, kgo.TransactionEndTry(rounds%3 != 0))
			if err != nil {
				t.Fatal(err)
			}
			if committed {
				done += fetches.NumRecords()
			}
		}
		write(t, in, "out", "end")
		got := f.client(t, kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		seen := map[string]int{}
		for len(seen) < records+1 && ctx.Err() == nil {
			got.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
		}
		for i := range records {
			if n := seen[fmt.Sprint(i)]; n != 1 {
				t.Errorf("record %d is there %d times", i, n)
			}
		}
		committed, err := kadm.NewClient(in).FetchOffsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum != records {
			t.Errorf("%d records are committed as read, should be %d", sum, records)
		}
	})
}

// Types of updates of UpdateFeatures.
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// UpdateFeatures changes all of what a request names, or nothing. ApiVersions tells the level, on
// every node, and clients of each go on with their transactions.
func TestTransactionVersions(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 1)
	const name = "transaction.version"
	update := func(level int16, kind int8) kmsg.UpdateFeaturesRequestFeatureUpdate {
		return kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: name, MaxVersionLevel: level, UpgradeType: kind}
	}
	announced := func() (level int16, epoch int64) {
		resp := ask[*kmsg.ApiVersionsResponse](t, f, &kmsg.ApiVersionsRequest{Version: 3, ClientSoftwareName: "test",
			ClientSoftwareVersion: "1"})
		for _, feature := range resp.FinalizedFeatures {
			if feature.Name == name {
				level = feature.MaxVersionLevel
			}
		}
		return level, resp.FinalizedFeaturesEpoch
	}
	unknown := kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: "x", UpgradeType: upgrade}
	for _, one := range []struct {
		what     string
		updates  []kmsg.UpdateFeaturesRequestFeatureUpdate
		validate bool
		want     *kerr.Error
		level    int16
	}{
		{"a level below, as an upgrade", updates(update(1, upgrade)), false, kerr.InvalidUpdateVersion, 2},
		{"no kind of update", updates(update(2, 0)), false, kerr.InvalidUpdateVersion, 2},
		{"above the highest", updates(update(3, upgrade)), false, kerr.InvalidUpdateVersion, 2},
		{"as it is", updates(update(2, upgrade)), false, nil, 2},
		{"with one that there is not", updates(update(1, safeDowngrade), unknown), false, kerr.InvalidUpdateVersion, 2},
		{"twice", updates(update(1, safeDowngrade), update(0, safeDowngrade)), false, kerr.InvalidRequest, 2},
		{"to look", updates(update(1, safeDowngrade)), true, nil, 2},
		{"lower", updates(update(1, safeDowngrade)), false, nil, 1},
		{"higher, as a downgrade", updates(update(2, unsafeDowngrade)), false, kerr.InvalidUpdateVersion, 1},
		{"lowest", updates(update(0, unsafeDowngrade)), false, nil, 0},
		{"highest", updates(update(2, upgrade)), false, nil, 2},
	} {
		before, epoch := announced()
		resp := ask[*kmsg.UpdateFeaturesResponse](t, f, &kmsg.UpdateFeaturesRequest{Version: 2, FeatureUpdates: one.updates,
			ValidateOnly: one.validate})
		wantCode(t, one.what, resp.ErrorCode, one.want)
		level, after := announced()
		if level != one.level || (after > epoch) != (level != before) {
			t.Errorf("%s: level %d with epoch %d, and before with %d", one.what, level, after, epoch)
		}
		writer := f.client(t, kgo.TransactionalID("writer"))
		begin(t, writer)
		write(t, writer, "t", one.what)
		end(t, writer, kgo.TryCommit)
		begin(t, writer)
		write(t, writer, "t", "aborted")
		end(t, writer, kgo.TryAbort)
	}
	if got := f.readUntil(t, "t", "highest", kgo.ReadCommitted()); len(got) != 11 || slices.Contains(got, "aborted") {
		t.Errorf("committed records are %v", got)
	}
}

func updates(all ...kmsg.UpdateFeaturesRequestFeatureUpdate) []kmsg.UpdateFeaturesRequestFeatureUpdate {
	return all
}
