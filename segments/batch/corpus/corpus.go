// Package corpus gives tests what other implementations have compressed: record batches as other
// people's clients sent them, and frames that hold the records of one. How they were made is in
// test/corpus; the files are in segments/batch/testdata/corpus and are not made anew without need.
package corpus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firn.dev/segments/batch"
)

// File is one file of the corpus.
type File struct {
	Name    string
	Maker   string
	Refused bool // what nobody could read, or Kafka's own clients could not
	Codec   batch.Codec
	Bytes   []byte // a frame if Plain is set, and else batches
	Plain   []byte // the records that the frame holds
}

// Load reads the corpus.
func Load(t testing.TB) []File {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "testdata", "corpus")
	read := func(parts ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{dir}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var all []File
	list := bufio.NewScanner(bytes.NewReader(read("frames.tsv")))
	for list.Scan() {
		name, rest, _ := strings.Cut(list.Text(), "\t")
		plain, rest, _ := strings.Cut(rest, "\t")
		codec, maker, ok := strings.Cut(rest, "\t")
		if !ok {
			t.Fatalf("frames.tsv: %q", list.Text())
		}
		all = append(all, File{Name: name, Maker: maker, Refused: strings.HasPrefix(name, "refused-"), Codec: codecOf(codec),
			Bytes: read("frames", name), Plain: read("plain", plain+".records")})
	}
	entries, err := os.ReadDir(filepath.Join(dir, "batches"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".batches")
		parts := strings.Split(name, "-")
		codec := strings.TrimRight(parts[len(parts)-2], "0123456789")
		if codec == "lz" {
			codec = "lz4"
		}
		all = append(all, File{Name: name, Maker: strings.Join(parts[:len(parts)-2], "-"), Codec: codecOf(codec),
			Bytes: read("batches", e.Name())})
	}
	return all
}

func codecOf(name string) batch.Codec {
	for c := batch.None; c <= batch.Zstd; c++ {
		if c.String() == name {
			return c
		}
	}
	panic("no codec " + name)
}

// Batches yields copies of the file's batches; a frame is put into one.
func (f *File) Batches(t testing.TB) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if f.Plain != nil {
			yield(f.wrap(t))
			return
		}
		rest := f.Bytes
		for h, err := range batch.All(f.Bytes) {
			if err != nil {
				t.Fatal(err)
			}
			if !yield(bytes.Clone(rest[:h.Size()])) {
				return
			}
			rest = rest[h.Size():]
		}
	}
}

// wrap makes a batch whose records the frame is.
func (f *File) wrap(t testing.TB) []byte {
	t.Helper()
	n, latest := int32(0), int64(-1)
	head := make([]byte, batch.HeaderLen)
	be := binary.BigEndian
	head[16] = 2
	be.PutUint16(head[21:], uint16(f.Codec))
	be.PutUint64(head[43:], ^uint64(0)) // no producer
	be.PutUint16(head[51:], ^uint16(0))
	be.PutUint32(head[53:], ^uint32(0))
	const base = 1_760_000_000_000 // the records count their timestamps from here
	be.PutUint64(head[27:], base)
	for rest := f.Plain; len(rest) > 0; n++ {
		length, size := binary.Varint(rest)
		delta, _ := binary.Varint(rest[size+1:])
		latest = max(latest, base+delta)
		rest = rest[size+int(length):]
	}
	be.PutUint64(head[35:], uint64(latest))
	be.PutUint32(head[23:], uint32(n-1))
	be.PutUint32(head[57:], uint32(n))
	b := append(head, f.Bytes...)
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Compare fails if the records are not those that were written.
func (f *File) Compare(t testing.TB) {
	t.Helper()
	var records []batch.Record
	for b := range f.Batches(t) {
		for r, err := range batch.Records(b, 8<<20) {
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
	}
	f.CompareRecords(t, records)
}

// CompareRecords fails if these are not the records that were written.
func (f *File) CompareRecords(t testing.TB, records []batch.Record) {
	t.Helper()
	if strings.HasSuffix(f.Name, "-noise") {
		if len(records) != 1 || !bytes.Contains(f.Plain, records[0].Value) || len(records[0].Value) != 3000 {
			t.Fatalf("%d records", len(records))
		}
		return
	}
	if want := map[string]int{"small": 200, "large": 1500}[f.Name[strings.LastIndexByte(f.Name,
		'-')+1:]]; len(records) != want {
		t.Fatalf("%d records of %d", len(records), want)
	}
	for i, r := range records {
		key, value := fmt.Sprintf("k%d", i), fmt.Sprintf(`{"id":%d,"name":"alice","tags":["a","b","c"],"ok":true}`, i)
		if string(r.Key) != key || string(r.Value) != value {
			t.Fatalf("record %d is %q: %q", i, r.Key, r.Value)
		}
	}
}

// Makers are those of the corpus, in order.
func Makers(files []File) []string {
	var makers []string
	for _, f := range files {
		makers = append(makers, f.Maker)
	}
	slices.Sort(makers)
	return slices.Compact(makers)
}
