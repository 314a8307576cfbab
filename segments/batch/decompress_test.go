package batch_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"firn.dev/segments/batch"
)

// TestZstdWithoutContentSize decompresses frames as streaming encoders write them: they do not say
// how much there is in them, and may need a large window. The decoders of amd64 and of other
// processors have to agree: the test is run with -tags noasm as well.
func TestZstdWithoutContentSize(t *testing.T) {
	for _, size := range []int{100, 5 << 10, 200 << 10, 9 << 20} {
		for _, window := range []int{1 << 20, 64 << 20} {
			t.Run(fmt.Sprintf("%d bytes, window of %d MiB", size, window>>20), func(t *testing.T) {
				plain := bytes.Repeat([]byte("firn "), size/5)
				frame := streamed(t, plain, zstd.WithWindowSize(window))
				for name, src := range map[string][]byte{
					"alone": frame, "behind another": append(streamed(t, nil), frame...),
					"twice": append(bytes.Clone(frame), frame...),
				} {
					want := plain
					if name == "twice" {
						want = append(bytes.Clone(plain), plain...)
					}
					got, err := batch.Decompress(batch.Zstd, src, len(want))
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
					}
					if _, err := batch.Decompress(batch.Zstd, src, len(want)-1); !errors.Is(err, batch.ErrTooLarge) {
						t.Fatalf("%s: one byte too many: %v", name, err)
					}
					if _, err := batch.Decompress(batch.Zstd, src[:len(src)-1], len(want)); err == nil ||
						errors.Is(err, batch.ErrTooLarge) {
						t.Fatalf("%s: cut off: %v", name, err)
					}
				}
			})
		}
	}
}

// streamed is a frame as an encoder writes it that does not know what is to come.
func streamed(t *testing.T, plain []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, options...)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 64<<10)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil { // or it would know the size when it is closed
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return frame.Bytes()
}
