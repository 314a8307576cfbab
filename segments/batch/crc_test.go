package batch_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"firn.dev/segments/batch"
)

// TestExtendCRC: the CRC of batches of all sizes one behind the other is what it is when it is
// taken over all bytes.
func TestExtendCRC(t *testing.T) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	noise := rand.NewChaCha8([32]byte{})
	random := rand.New(noise)
	var crc, want uint32
	for _, most := range []int{1, 100, 20 << 10, 100 << 10, 2 << 20} {
		for range 20 {
			value := make([]byte, random.IntN(most))
			noise.Read(value)
			b, err := batch.Build([]batch.Record{{Value: value}}, batch.NoProducer(batch.None))
			if err != nil {
				t.Fatal(err)
			}
			batch.SetBaseOffset(b, random.Int64())
			h, err := batch.Check(b)
			if err != nil {
				t.Fatal(err)
			}
			crc, want = batch.ExtendCRC(crc, &h, b), crc32.Update(want, castagnoli, b)
			if crc != want {
				t.Fatalf("%08x behind a batch of %d bytes, not %08x", crc, len(b), want)
			}
		}
	}
}

func BenchmarkExtendCRC(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			bytes := make([]byte, size)
			binary.BigEndian.PutUint32(bytes[8:], uint32(size-12))
			bytes[16] = 2
			h, err := batch.ReadHeader(bytes)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				batch.ExtendCRC(1, &h, bytes)
			}
		})
	}
}
