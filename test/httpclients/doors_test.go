package httpclients

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBothDoors: what was written over HTTP comes out of a Kafka client as it went in, at the
// offset that the answer said; and records with one key are in one partition, whichever of the two
// doors they came through.
func TestBothDoors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	base, kafka := startServer(t)
	const keys, partitions = 200, 7
	call(t, http.MethodPost, base+"/v1/topics", "application/json",
		fmt.Appendf(nil, `{"name": "t", "partitions": %d}`, partitions), nil)
	var lines bytes.Buffer
	sent := make([][]byte, keys)
	for i := range sent {
		sent[i] = make([]byte, i%23+1)
		for j := range sent[i] {
			sent[i][j] = byte(rand.Uint32())
		}
		b64 := base64.StdEncoding.EncodeToString(sent[i])
		fmt.Fprintf(&lines, `{"key":{"base64":%q},"value":{"base64":%q},"headers":{"n":%d},"timestamp":%d}`+"\n", b64, b64, i,
			1_700_000_000_000+i)
	}
	var answer struct {
		Records []struct {
			Partition int32
			Offset    int64
		}
	}
	call(t, http.MethodPost, base+"/v1/topics/t/records", "application/x-ndjson", lines.Bytes(), &answer)

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("t"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for got := 0; got < keys; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			i := int(r.Timestamp.UnixMilli() - 1_700_000_000_000)
			if at := answer.Records[i]; at.Partition != r.Partition || at.Offset != r.Offset {
				t.Errorf("record %d is at %d/%d, the answer said %+v", i, r.Partition, r.Offset, at)
			}
			if !bytes.Equal(r.Key, sent[i]) || !bytes.Equal(r.Value, sent[i]) || len(r.Headers) != 1 ||
				string(r.Headers[0].Value) != fmt.Sprint(i) {
				t.Errorf("record %d is %x = %x, %v", i, r.Key, r.Value, r.Headers)
			}
		})
	}
	records := make([]*kgo.Record, keys)
	for i, key := range sent {
		records[i] = &kgo.Record{Topic: "t", Key: key}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if r.Partition != answer.Records[i].Partition {
			t.Errorf("key %x is in partition %d by HTTP, %d by franz-go", r.Key, answer.Records[i].Partition, r.Partition)
		}
	}
}
