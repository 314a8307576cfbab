package batch

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// TestDecodersAreFew: however many requests have batches decoded at once, few of them hold a
// decoder, and one at a time holds more than usual. All of them come to their end.
func TestDecodersAreFew(t *testing.T) {
	many := func(codec Codec, n int) []byte {
		record := Record{Value: bytes.Repeat([]byte("firn "), n/5)}
		b, err := Build([]Record{record}, NoProducer(codec))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wide := many(None, 10<<20)
	wide = append(wide[:HeaderLen:HeaderLen], wideFrame(t, wide[HeaderLen:])...)
	wide[posAttributes+1] |= byte(Zstd)
	wide, err := finish(wide)
	if err != nil {
		t.Fatal(err)
	}
	var usual, large, mostUsual, mostLarge atomic.Int64
	enter := func(n, most *atomic.Int64) {
		for now := n.Add(1); ; {
			if before := most.Load(); now <= before || most.CompareAndSwap(before, now) {
				return
			}
		}
	}
	var working sync.WaitGroup
	small := [][]byte{many(Gzip, 1000), many(LZ4, 1000), many(Zstd, 1000), many(Snappy, 1000)}
	big := [][]byte{many(Gzip, 9<<20), many(Snappy, 9<<20), wide}
	for range 4 * cap(usualSlots) {
		for _, b := range small {
			working.Go(func() {
				for _, err := range Records(b, MaxDecompressed) {
					if err != nil {
						t.Error(err)
					}
					enter(&usual, &mostUsual)
					runtime.Gosched()
					usual.Add(-1)
				}
			})
		}
	}
	for range 2 {
		for _, b := range big {
			working.Go(func() {
				for _, err := range Records(b, MaxDecompressed) {
					if err != nil {
						t.Error(err)
					}
					enter(&large, &mostLarge)
					runtime.Gosched()
					large.Add(-1)
				}
				if _, err := Inspect(b, MaxDecompressed, func(Scanned) {}); err != nil {
					t.Error(err)
				}
				if out, err := Recompress(b, LZ4, MaxDecompressed); err != nil || len(out) > 1<<20 {
					t.Errorf("%d bytes, error %v", len(out), err)
				}
			})
		}
	}
	working.Wait()
	if most := mostUsual.Load(); most > int64(cap(usualSlots)) {
		t.Errorf("%d batches were read at once; there are %d slots", most, cap(usualSlots))
	}
	if most := mostLarge.Load(); most != 1 {
		t.Errorf("%d large batches were read at once", most)
	}
	if left := len(usualSlots); left > 0 || !largeSlot.TryLock() {
		t.Errorf("%d slots were not left, or the large one was not", left)
	} else {
		largeSlot.Unlock()
	}
}

// wideFrame is a frame with a window that a usual decoder does not have.
func wideFrame(t *testing.T, plain []byte) []byte {
	t.Helper()
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return frame.Bytes()
}

// TestSlotsAreLeft: whatever is wrong with what is decoded, its slot is free again.
func TestSlotsAreLeft(t *testing.T) {
	torn := snappy.Encode(nil, make([]byte, 9<<20))
	for codec, src := range map[Codec][]byte{
		Gzip: []byte("no gzip"), LZ4: []byte(lz4FrameStart + "no block"), Zstd: wideFrame(t, make([]byte, 10<<20))[:200],
		Snappy: torn[:len(torn)-1], Codec(7): []byte("?"),
	} {
		for range 2 {
			if _, err := Decompress(codec, src, MaxDecompressed); err == nil {
				t.Fatalf("%s reads what is broken", codec)
			}
		}
	}
	if len(usualSlots) > 0 {
		t.Errorf("%d slots were not left", len(usualSlots))
	}
}
