package segments_test

import (
	"fmt"
	"slices"
	"testing"

	"firn.dev/segments"
)

func BenchmarkEncodeMixed(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("8MiB/%dKiB", size>>10), func(b *testing.B) {
			one := newBatch(b, 0, 1, size)
			data := make([]segments.RunData, 12)
			for i := range data {
				data[i] = segments.RunData{Partition: segments.Partition{Topic: topicA, Index: int32(i)},
					Batches: slices.Repeat([][]byte{one}, max(1, (8<<20)/size/12))}
			}
			b.SetBytes(int64(len(one) * len(data) * len(data[0].Batches)))
			b.ReportAllocs()
			for b.Loop() {
				mustEncode(b, testID, data)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	object, _ := mustEncode(b, testID, someData(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segments.Decode(object); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	object, _ := mustEncode(b, testID, someData(b))
	b.SetBytes(int64(len(object)))
	b.ReportAllocs()
	for b.Loop() {
		if err := segments.Validate(object); err != nil {
			b.Fatal(err)
		}
	}
}
