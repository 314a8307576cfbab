package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"firn.dev/segments/storetest"
)

// BenchmarkTwoSyncs is the floor below BenchmarkPut: a file created, written and synced, and its
// directory synced.
func BenchmarkTwoSyncs(b *testing.B) {
	for _, size := range sizes {
		b.Run(sizeName(size), func(b *testing.B) {
			dir, body := b.TempDir(), make([]byte, size)
			directory, err := os.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer directory.Close()
			b.SetBytes(int64(size))
			n := 0
			for b.Loop() {
				n++
				f, err := os.Create(filepath.Join(dir, fmt.Sprint(n)))
				if err != nil {
					b.Fatal(err)
				}
				f.Write(body)
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				f.Close()
				if err := directory.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var sizes = []int{1 << 10, 1 << 20, 8 << 20}

func sizeName(size int) string { return fmt.Sprintf("%dKiB", size>>10) }

func BenchmarkPut(b *testing.B) {
	for _, size := range sizes {
		b.Run(sizeName(size), func(b *testing.B) {
			s, body := open(b, b.TempDir()), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if err := s.Put(b.Context(), fmt.Sprintf("segments/%d", n), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParallelPut has 8 puts under way for each processor.
func BenchmarkParallelPut(b *testing.B) {
	for _, size := range sizes {
		b.Run(sizeName(size), func(b *testing.B) {
			s, body := open(b, b.TempDir()), make([]byte, size)
			b.SetBytes(int64(size))
			b.SetParallelism(8)
			var n atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Put(b.Context(), fmt.Sprintf("segments/%d", n.Add(1)), body); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir())
	if err := s.Put(b.Context(), "segments/object", make([]byte, 8<<20)); err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(sizeName(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Get(b.Context(), "segments/object", 12345, int64(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDirectory10k lists and opens a directory of 10,000 objects.
func BenchmarkDirectory10k(b *testing.B) {
	const n = 10_000
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "segments"), 0o755); err != nil {
		b.Fatal(err)
	}
	key := func(i int) string { return fmt.Sprintf("segments/%026d", i) }
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, key(i)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s := open(b, dir)
	for _, list := range []struct {
		name, prefix, after string
		want                int
	}{{"all", "segments/", "", n}, {"last 100", "segments/", key(n - 101), 100}, {"another prefix", "journal/", "", 0}} {
		b.Run("list "+list.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				for _, err := range s.List(b.Context(), list.prefix, list.after) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
				if got != list.want {
					b.Fatal(got)
				}
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			open(b, dir)
		}
	})
}

// BenchmarkUpload writes an object of 256 MiB in pieces of a block, beside puts of as many bytes.
func BenchmarkUpload(b *testing.B) {
	for name, part := range map[string]int{"upload": 0, "puts": 8 << 20} {
		b.Run(name, func(b *testing.B) {
			storetest.BenchmarkLarge(b, open(b, b.TempDir()), part)
		})
	}
}
