package kafka_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// Readers of commits are never out of range: not when the newest commit is gone and forgotten, when
// all are, when the log is made again, or on a node that has not had what was read elsewhere.
func TestCommitsAreNeverOutOfRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, coord := memory.New(), manyNodes{embedded.New(embedded.Options{})}
		near, far := newPipes(), newPipes()
		startAt(t, kafka.Options{}, store, 0, coord, 1, kafka.Listener{Listener: near, Name: kafka.DefaultListener})
		admin := adminOf(t, near)
		createLog(t, admin)
		commitTo(t, admin, "old", 1)
		commitTo(t, admin, "new", 2)
		newest := commitsEnd(t, near)
		deleteGroup(t, admin, "new")
		time.Sleep(time.Second)
		wantCommits(t, near, newest, 2)
		end := commitsEnd(t, near)
		for range 11 { // what tells of the deleted group is forgotten meanwhile
			time.Sleep(time.Minute)
			if now := commitsEnd(t, near); now != end {
				t.Errorf("the end was %d, is %d", end, now)
			}
		}
		wantCommits(t, near, end, 0)
		wantCommits(t, near, 0, 2) // the newest record is not forgotten
		time.Sleep(11 * time.Minute)
		wantCommits(t, near, end, 0)
		wantCommits(t, near, 0, 1)
		deleteGroup(t, admin, "old")
		time.Sleep(time.Second)
		wantCommits(t, near, end, 2)
		end = commitsEnd(t, near)
		time.Sleep(11 * time.Minute)
		wantCommits(t, near, end, 0)
		if now := commitsEnd(t, near); now != 0 {
			t.Errorf("the end of an empty log is %d", now)
		}
		startAt(t, kafka.Options{}, store, 0, coord, 2, kafka.Listener{Listener: far, Name: kafka.DefaultListener})
		wantCommits(t, far, end, 0)
		commitTo(t, admin, "next", 3)
		time.Sleep(time.Second)
		for _, node := range []*pipes{near, far} {
			wantCommits(t, node, end, 1)
			got := fetchCommits(t, node, time.Now().Add(time.Hour).UnixMilli()<<10)
			wantCode(t, "a fetch of what is to come", got.ErrorCode, kerr.OffsetOutOfRange)
		}
	})
}

// A topic that is deleted and created again is the same to who reads commits: what was committed
// for the first does not take away what is for the second.
func TestCommitsOfRecreatedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newPipes()
		startAt(t, kafka.Options{}, memory.New(), 0, embedded.New(embedded.Options{}), 1,
			kafka.Listener{Listener: node, Name: kafka.DefaultListener})
		admin := adminOf(t, node)
		createLog(t, admin)
		commitTo(t, admin, "group", 1)
		wantCommits(t, node, 0, 1)
		if _, err := admin.DeleteTopic(t.Context(), "log"); err != nil {
			t.Fatal(err)
		}
		createLog(t, admin)
		commitTo(t, adminOf(t, node), "group", 2) // the other has kept the topic's id
		time.Sleep(time.Second)
		wantCommits(t, node, 0, 1)
	})
}

// adminOf returns an admin client of one node.
func adminOf(t testing.TB, node *pipes) *kadm.Client {
	cl, err := kgo.NewClient(kgo.SeedBrokers("node:1"),
		kgo.Dialer(func(context.Context, string, string) (net.Conn, error) { return node.dial(t), nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func createLog(t testing.TB, admin *kadm.Client) {
	t.Helper()
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "log"); err != nil {
		t.Fatal(err)
	}
}

func commitTo(t testing.TB, admin *kadm.Client, group string, offset int64) {
	t.Helper()
	var o kadm.Offsets
	o.AddOffset("log", 0, offset, -1)
	if err := admin.CommitAllOffsets(t.Context(), group, o); err != nil {
		t.Fatal(err)
	}
}

func deleteGroup(t testing.TB, admin *kadm.Client, group string) {
	t.Helper()
	if _, err := admin.DeleteGroup(t.Context(), group); err != nil {
		t.Fatal(err)
	}
}

// commitsEnd is the end of __consumer_offsets.
func commitsEnd(t testing.TB, node *pipes) int64 {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: offsetsTopic,
		Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}
	got := askOn[*kmsg.ListOffsetsResponse](t, node.dial(t), req).Topics[0].Partitions[0]
	wantCode(t, "ListOffsets", got.ErrorCode, nil)
	return got.Offset
}

func fetchCommits(t testing.TB, node *pipes, offset int64) kmsg.FetchResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionEpoch, req.MaxBytes, req.MaxWaitMillis, req.MinBytes = 12, -1, 1<<20, 500, 1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: offsetsTopic, Partitions: []kmsg.FetchRequestTopicPartition{
		{FetchOffset: offset, PartitionMaxBytes: 1 << 20, CurrentLeaderEpoch: -1}}}}
	return askOn[*kmsg.FetchResponse](t, node.dial(t), req).Topics[0].Partitions[0]
}

// wantCommits reads from an offset on, where so many records have to be.
func wantCommits(t testing.TB, node *pipes, offset int64, want int) {
	t.Helper()
	got := fetchCommits(t, node, offset)
	wantCode(t, "Fetch", got.ErrorCode, nil)
	n := 0
	for h, err := range batch.All(got.RecordBatches) {
		if err != nil {
			t.Fatal(err)
		}
		n += int(h.Records)
	}
	if n != want {
		t.Errorf("%d records from offset %d, want %d", n, offset, want)
	}
}
