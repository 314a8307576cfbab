package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"firn.dev/segments/batch"
)

// ParquetOptions say how Parquet is written. Zero values mean the defaults.
type ParquetOptions struct {
	Compression string  // zstd, snappy or none
	Schema      *Schema // of values that are JSON objects; nil: values are bytes
	Memory      int64   // that of the Replay: row groups are cut by it, at 1 MiB to 64 MiB
}

// Parquet is Apache Parquet. Its columns are partition, offset, timestamp (milliseconds, UTC), key,
// value, and headers, a list of key and value.
//
// With a schema value is a group of its fields, and there is a column more, value_raw: bytes that
// do not fit into the schema, because they are no JSON object, or have a field that the schema has
// not or that is of another type. So nothing gets lost; where the value fits, value_raw is null.
func Parquet(o ParquetOptions) (Format, error) {
	codecs := map[string]compress.Codec{"": &parquet.Zstd, "zstd": &parquet.Zstd, "snappy": &parquet.Snappy,
		"none": &parquet.Uncompressed}
	codec := codecs[o.Compression]
	if codec == nil {
		return Format{}, fmt.Errorf("%q is not one of zstd, snappy, none", o.Compression)
	}
	group := min(max(o.Memory/16, 1<<20), 64<<20)
	schema := parquet.NewSchema("record", recordNode(o.Schema))
	return Format{Name: "parquet", Extension: "parquet", Memory: 2 * group, New: func(w io.Writer) (Encoder, error) {
		e := &parquetEncoder{
			w:         parquet.NewGenericWriter[any](w, schema, parquet.Compression(codec), parquet.CreatedBy("firn", "", "")),
			groupSize: group, typed: o.Schema,
		}
		e.find(schema)
		return e, nil
	}}, nil
}

// ordered is a group whose columns stay in the order in which they are named.
type ordered struct {
	parquet.Group
	names []string
}

func (g ordered) Fields() []parquet.Field {
	fields := g.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int {
		return slices.Index(g.names, a.Name()) - slices.Index(g.names, b.Name())
	})
	return fields
}

func recordNode(s *Schema) parquet.Node {
	bytes := parquet.Leaf(parquet.ByteArrayType)
	header := ordered{parquet.Group{"key": parquet.String(), "value": parquet.Optional(bytes)}, []string{"key", "value"}}
	columns := parquet.Group{
		"partition": parquet.Leaf(parquet.Int32Type),
		"offset":    parquet.Leaf(parquet.Int64Type),
		"timestamp": parquet.Timestamp(parquet.Millisecond),
		"key":       parquet.Optional(bytes),
		"value":     parquet.Optional(bytes),
		"headers":   parquet.List(header),
	}
	if s != nil {
		fields := ordered{parquet.Group{}, nil}
		for _, f := range s.Fields {
			fields.Group[f.Name] = parquet.Optional(fieldNode(f.Type))
			fields.names = append(fields.names, f.Name)
		}
		columns["value"], columns["value_raw"] = parquet.Optional(fields), parquet.Optional(bytes)
	}
	return ordered{columns, []string{"partition", "offset", "timestamp", "key", "value", "value_raw", "headers"}}
}

func fieldNode(t FieldType) parquet.Node {
	switch t {
	case Int64:
		return parquet.Int(64)
	case Double:
		return parquet.Leaf(parquet.DoubleType)
	case Boolean:
		return parquet.Leaf(parquet.BooleanType)
	case Timestamp:
		return parquet.Timestamp(parquet.Microsecond)
	}
	return parquet.String() // JSON too: engines differ in what they make of the annotation
}

// parquetEncoder is an Encoder.
type parquetEncoder struct {
	w         *parquet.GenericWriter[any]
	typed     *Schema
	groupSize int64 // bytes of keys, values and headers in a row group, before they are compressed
	size      int64 // of the one that is being filled
	rows      [1]parquet.Row

	partition, offset, timestamp, key, value, raw, headerKey, headerValue int // columns
	fields                                                                []int
}

// find looks up where columns are.
func (e *parquetEncoder) find(s *parquet.Schema) {
	column := func(path ...string) int {
		leaf, ok := s.Lookup(path...)
		if !ok {
			return -1
		}
		return leaf.ColumnIndex
	}
	e.partition, e.offset, e.timestamp, e.key, e.value, e.raw = column("partition"), column("offset"), column("timestamp"),
		column("key"), column("value"), column("value_raw")
	e.headerKey, e.headerValue = column("headers", "list", "element", "key"), column("headers", "list", "element", "value")
	if e.typed != nil {
		for _, f := range e.typed.Fields {
			e.fields = append(e.fields, column("value", f.Name))
		}
	}
}

// Encode implements Encoder.
func (e *parquetEncoder) Encode(partition int32, records []batch.Record) error {
	for i := range records {
		r := &records[i]
		row := append(e.rows[0][:0], parquet.Int32Value(partition).Level(0, 0, e.partition),
			parquet.Int64Value(r.Offset).Level(0, 0, e.offset),
			parquet.Int64Value(r.Timestamp).Level(0, 0, e.timestamp), optional(r.Key, e.key))
		if e.typed == nil {
			row = append(row, optional(r.Value, e.value))
		} else {
			row = e.appendTyped(row, r.Value)
		}
		row = e.appendHeaders(row, r.Headers)
		e.rows[0] = row
		if _, err := e.w.WriteRows(e.rows[:]); err != nil {
			return err
		}
		e.size += 32 + int64(len(r.Key)) + int64(len(r.Value))
		for _, h := range r.Headers {
			e.size += int64(len(h.Key)) + int64(len(h.Value))
		}
		if e.size >= e.groupSize {
			e.size = 0
			if err := e.w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close implements Encoder.
func (e *parquetEncoder) Close() error { return e.w.Close() }

func optional(b []byte, column int) parquet.Value {
	if b == nil {
		return parquet.NullValue().Level(0, 0, column)
	}
	return parquet.ByteArrayValue(b).Level(0, 1, column)
}

// appendHeaders appends the columns of headers: key and then value, each with the whole list.
func (e *parquetEncoder) appendHeaders(row parquet.Row, headers []batch.RecordHeader) parquet.Row {
	if len(headers) == 0 {
		return append(row, parquet.NullValue().Level(0, 0, e.headerKey), parquet.NullValue().Level(0, 0, e.headerValue))
	}
	for i, h := range headers {
		row = append(row, parquet.ByteArrayValue([]byte(h.Key)).Level(min(i, 1), 1, e.headerKey))
	}
	for i, h := range headers {
		if h.Value == nil {
			row = append(row, parquet.NullValue().Level(min(i, 1), 1, e.headerValue))
		} else {
			row = append(row, parquet.ByteArrayValue(h.Value).Level(min(i, 1), 2, e.headerValue))
		}
	}
	return row
}

// appendTyped appends the columns of a value's fields, and value_raw.
func (e *parquetEncoder) appendTyped(row parquet.Row, value []byte) parquet.Row {
	var object map[string]json.RawMessage
	fits := value == nil || json.Unmarshal(value, &object) == nil && object != nil
	known := 0
	for i, f := range e.typed.Fields {
		column := e.fields[i]
		text, there := object[f.Name]
		switch {
		case object == nil:
			row = append(row, parquet.NullValue().Level(0, 0, column))
			continue
		case there:
			known++
		}
		v, ok := fieldValue(f.Type, text)
		if fits = fits && ok; v.IsNull() {
			row = append(row, v.Level(0, 1, column))
		} else {
			row = append(row, v.Level(0, 2, column))
		}
	}
	if fits && known == len(object) {
		value = nil
	}
	return append(row, optional(value, e.raw))
}

// fieldValue is what a field's column holds for a JSON value; false if it is of another type. No
// text, and null, are null.
func fieldValue(t FieldType, text json.RawMessage) (v parquet.Value, ok bool) {
	if len(text) == 0 || text[0] == 'n' {
		return parquet.NullValue(), true
	}
	switch t {
	case Int64:
		n, err := strconv.ParseInt(string(text), 10, 64)
		v, ok = parquet.Int64Value(n), err == nil
	case Double:
		n, err := strconv.ParseFloat(string(text), 64)
		v, ok = parquet.DoubleValue(n), err == nil
	case Boolean:
		v, ok = parquet.BooleanValue(text[0] == 't'), text[0] == 't' || text[0] == 'f'
	case String:
		var s string
		err := json.Unmarshal(text, &s)
		v, ok = parquet.ByteArrayValue([]byte(s)), err == nil
	case Timestamp:
		at, err := parseTime(text)
		v, ok = parquet.Int64Value(at.UnixMicro()), err == nil
	case JSON:
		v, ok = parquet.ByteArrayValue(text), true
	}
	if !ok {
		return parquet.NullValue(), false
	}
	return v, true
}
