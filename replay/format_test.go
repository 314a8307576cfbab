package replay_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"firn.dev/replay"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

var samples = []batch.Record{
	{Offset: 7, Timestamp: 1700000000123, Key: []byte("k"),
		Value: []byte(`{"id":1,"at":"2026-01-31T12:00:00.5Z","who":"ä","on":true,"x":1.5,"deep":{"a":[1]}}`)},
	{Offset: 8, Timestamp: 1700000000124, Value: []byte(`{"id":null,"more":1}`),
		Headers: []batch.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}, {Key: "c", Value: []byte{}}}},
	{Offset: 9, Timestamp: 1700000000125, Key: []byte{}, Value: []byte("\xff\x00")},
	{Offset: 12, Timestamp: 1700000000126, Key: []byte("\xfe"), Value: nil,
		Headers: []batch.RecordHeader{{Key: "z", Value: []byte("\xff")}}},
	{Offset: 13, Timestamp: 1700000000127, Value: []byte(`{"id":"seven"}`)},
}

func encode(t *testing.T, f replay.Format, records []batch.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	e, err := f.New(&b)
	if err == nil {
		err = e.Encode(3, records)
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLines(t *testing.T) {
	want := `{"topic":"orders","partition":3,"offset":8,"timestamp":1700000000124,"key":null,` +
		`"value":"{\"id\":null,\"more\":1}",` +
		`"headers":[{"key":"a","value":"1"},{"key":"b","value":null},{"key":"c","value":""}]}
{"topic":"orders","partition":3,"offset":9,"timestamp":1700000000125,"key":"","value":{"base64":"/wA="}}
{"topic":"orders","partition":3,"offset":12,"timestamp":1700000000126,"key":{"base64":"/g=="},"value":null,` +
		`"headers":[{"key":"z","value":{"base64":"/w=="}}]}
`
	if got := string(encode(t, replay.NDJSON("orders"), samples[1:4])); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := string(encode(t, replay.Raw(), samples[2:5])); got != "\xff\x00\n\n{\"id\":\"seven\"}\n" {
		t.Errorf("raw: %q", got)
	}
}

type parquetHeader struct {
	Key   string  `parquet:"key"`
	Value *[]byte `parquet:"value,optional"`
}

type parquetRow struct {
	Partition int32           `parquet:"partition"`
	Offset    int64           `parquet:"offset"`
	Timestamp int64           `parquet:"timestamp,timestamp(millisecond)"`
	Key       *[]byte         `parquet:"key,optional"`
	Value     *[]byte         `parquet:"value,optional"`
	Headers   []parquetHeader `parquet:"headers,list"`
}

// TestParquet: rows come back as they went in, nulls, lists and all, over several row groups.
func TestParquet(t *testing.T) {
	for _, codec := range []string{"zstd", "snappy", "none"} {
		f, err := replay.Parquet(replay.ParquetOptions{Compression: codec, Memory: 1})
		if err != nil {
			t.Fatal(err)
		}
		var records []batch.Record
		for i := range 3000 {
			r := samples[i%len(samples)]
			r.Offset = int64(i)
			if i%100 == 0 {
				r.Value = bytes.Repeat([]byte{byte(i)}, 100_000)
			}
			records = append(records, r)
		}
		b := encode(t, f, records)
		file, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(file.RowGroups()); n < 3 || file.NumRows() != 3000 {
			t.Errorf("%s: %d row groups, %d rows", codec, n, file.NumRows())
		}
		rows := file.RowGroups()[0].Rows() // raw: what the columns hold
		row := make([]parquet.Row, 5)
		if n, err := rows.ReadRows(row); n != 5 || err != nil && err != io.EOF {
			t.Fatalf("%d rows: %v", n, err)
		}
		rows.Close()
		got := make([]parquetRow, 3000)
		reader := parquet.NewGenericReader[parquetRow](file)
		if n, err := reader.Read(got); n != 3000 || err != nil && err != io.EOF {
			t.Fatalf("%d rows: %v", n, err)
		}
		for i := range got {
			if g, r := got[i], records[i]; g.Partition != 3 || g.Offset != r.Offset || g.Timestamp != r.Timestamp ||
				!sameBytes(g.Key, r.Key) || !sameBytes(g.Value, r.Value) || !sameHeaders(g.Headers, r.Headers) {
				t.Fatalf("%s: row %d: %+v", codec, i, g)
			}
		}
	}
}

func sameBytes(got *[]byte, want []byte) bool {
	if got == nil || want == nil {
		return got == nil && want == nil
	}
	return bytes.Equal(*got, want)
}

func sameHeaders(got []parquetHeader, want []batch.RecordHeader) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i].Key != want[i].Key || !sameBytes(got[i].Value, want[i].Value) {
			return false
		}
	}
	return true
}

type typedValue struct {
	ID   *int64   `parquet:"id,optional"`
	At   *int64   `parquet:"at,optional,timestamp(microsecond)"`
	Who  *string  `parquet:"who,optional"`
	On   *bool    `parquet:"on,optional"`
	X    *float64 `parquet:"x,optional"`
	Deep *string  `parquet:"deep,optional"`
}

type typedRow struct {
	Offset int64       `parquet:"offset"`
	Value  *typedValue `parquet:"value,optional"`
	Raw    *[]byte     `parquet:"value_raw,optional"`
}

// TestTyped: fields are where the schema wants them, and what does not fit is kept as it is.
func TestTyped(t *testing.T) {
	schema, err := replay.ParseSchema([]byte(`{"fields":[{"name":"id","type":"int64"},{"name":"at","type":"timestamp"},
		{"name":"who","type":"string"},
		{"name":"on","type":"boolean"},{"name":"x","type":"double"},{"name":"deep","type":"json"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := replay.Parquet(replay.ParquetOptions{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	b := encode(t, f, samples)
	got := make([]typedRow, len(samples))
	if n, err := parquet.NewGenericReader[typedRow](bytes.NewReader(b)).Read(got); n != len(samples) ||
		err != nil && err != io.EOF {
		t.Fatalf("%d rows: %v", n, err)
	}
	id, at, who, on, x, deep := int64(1), time.Date(2026, 1, 31, 12, 0, 0, 500_000_000, time.UTC).UnixMicro(), "ä", true,
		1.5, `{"a":[1]}`
	if want := (typedValue{&id, &at, &who, &on, &x, &deep}); got[0].Value == nil ||
		!reflect.DeepEqual(*got[0].Value, want) || got[0].Raw != nil {
		t.Errorf("row 0: %+v", got[0])
	}
	for i, want := range []bool{false, true, true, false, true} { // that the raw value is kept
		if (got[i].Raw != nil) != want || want && !bytes.Equal(*got[i].Raw, samples[i].Value) {
			t.Errorf("row %d: raw %v", i, got[i].Raw)
		}
	}
	if got[2].Value != nil || got[3].Value != nil || got[1].Value == nil || got[1].Value.ID != nil {
		t.Errorf("rows 1 to 3: %+v", got[1:4])
	}
}

func TestInferSchema(t *testing.T) {
	w := newWorld(t, memory.New(), 2)
	w.fill(10, 0)
	w.close()
	r := w.open(replay.Options{})
	s, err := r.InferSchema(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(s)
	if want := `{"fields":[{"name":"id","type":"int64"},{"name":"pad","type":"string"}]}`; string(text) != want {
		t.Errorf("got %s", text)
	}
	if read, _ := r.Read(); read != 0 {
		t.Errorf("%d bytes count as progress", read)
	}
	type types = map[replay.FieldType]replay.FieldType
	for a, row := range map[replay.FieldType]types{
		replay.Int64:     {replay.Double: replay.Double, replay.String: replay.JSON, "": replay.Int64},
		replay.Timestamp: {replay.String: replay.String, replay.Timestamp: replay.Timestamp},
		replay.Boolean:   {replay.Int64: replay.JSON},
	} {
		for b, want := range row {
			if got := replay.Widest(b, a); got != want {
				t.Errorf("%s and %s: %s", a, b, got)
			}
		}
	}
	for _, wrong := range []string{`{}`, `{"fields":[]}`, `{"fields":[{"name":"a","type":"int"}]}`,
		`{"fields":[{"name":"a","type":"json"},{"name":"a","type":"json"}]}`, `[1]`, `{"field":1}`} {
		if _, err := replay.ParseSchema([]byte(wrong)); err == nil || strings.Contains(err.Error(), "\x00") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
