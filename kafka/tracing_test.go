package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/kafka"
	"firn.dev/tracing"
	"firn.dev/tracing/tracingtest"
)

// TestTraced: a Produce is part of the trace that its first record names, compressed or not, with
// the stages that it was waited for; what names none is not traced at ratio 0.
func TestTraced(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, codec := range map[string]kgo.CompressionCodec{"plain": kgo.NoCompression(), "zstd": kgo.ZstdCompression()} {
		t.Run(name, func(t *testing.T) {
			tracer := tracingtest.Tracer(t, func(sent []tracingtest.Span) {
				request, id := tracingtest.Names(sent, traceID, parent)
				stages, _ := tracingtest.Names(sent, traceID, id)
				if !slices.Equal(request, []string{"Produce"}) ||
					!slices.Equal(stages, []string{"collect", "put", "commit", "journal"}) || len(sent) != 5 {
					t.Errorf("%v, stages %v, of %+v", request, stages, sent)
				}
			})
			f := startFirn(t, kafka.Options{Tracer: tracer})
			f.createTopic(t, "t", 1)
			cl := f.client(t, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
			headers := []kgo.RecordHeader{{Key: "other", Value: []byte("x")},
				{Key: tracing.Parent, Value: []byte("00-" + traceID + "-" + parent + "-01")}}
			for _, headers := range [][]kgo.RecordHeader{nil, headers} {
				record := &kgo.Record{Value: make([]byte, 1000), Headers: headers}
				if err := cl.ProduceSync(t.Context(), record).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
