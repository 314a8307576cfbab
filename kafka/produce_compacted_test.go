package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/kafka"
	"firn.dev/segments/batch"
)

// TestCompactedTopicsNeedKeys writes to a compacted topic with and without keys, plain and
// compressed.
func TestCompactedTopicsNeedKeys(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1, "cleanup.policy", "compact,delete")
	for _, codec := range []batch.Codec{batch.None, batch.Zstd} {
		keyed, err := batch.Build([]batch.Record{{Key: []byte{}, Value: []byte("v")}, {Key: []byte("k")}},
			batch.NoProducer(codec))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name    string
			records []byte
			want    *kerr.Error
		}{
			{"keys, one empty", keyed, nil},
			{"no key", build(t, codec, "v"), kerr.InvalidRecord},
		} {
			req := produceRaw(topic, test.records)
			wantCode(t, test.name, f.write(t, req).ErrorCode, test.want)
		}
	}
}
