package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Schema is what the fields of values are that are JSON objects.
type Schema struct {
	Fields []Field `json:"fields"`
}

// Field is one field of a value. Values that lack it, or have null there, have null in its column.
type Field struct {
	Name string    `json:"name"`
	Type FieldType `json:"type"`
}

// FieldType is what a field's column holds.
type FieldType string

// Types of fields.
const (
	Int64     FieldType = "int64"
	Double    FieldType = "double"
	Boolean   FieldType = "boolean"
	String    FieldType = "string"
	Timestamp FieldType = "timestamp" // RFC 3339, kept to the microsecond
	JSON      FieldType = "json"      // anything, as JSON text
)

var fieldTypes = []FieldType{Int64, Double, Boolean, String, Timestamp, JSON}

// maxFields bounds the columns that an inferred schema has, and a given one may have.
const maxFields = 1000

// ParseSchema reads a schema: {"fields": [{"name": "id", "type": "int64"}, …]}.
func ParseSchema(text []byte) (*Schema, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	s := new(Schema)
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf(`it is no {"fields": [{"name": "id", "type": "int64"}, …]}: %w`, err)
	}
	var problems []error
	if len(s.Fields) == 0 || len(s.Fields) > maxFields {
		problems = append(problems, fmt.Errorf("%d fields: there must be 1 to %d", len(s.Fields), maxFields))
	}
	names := map[string]bool{}
	for _, f := range s.Fields {
		if f.Name == "" || names[f.Name] {
			problems = append(problems, fmt.Errorf("field name %q is empty or there twice", f.Name))
		}
		if names[f.Name] = true; !slices.Contains(fieldTypes, f.Type) {
			problems = append(problems, fmt.Errorf("field %q: type %q is not one of %q", f.Name, f.Type, fieldTypes))
		}
	}
	return s, errors.Join(problems...)
}

// InferSchema finds a schema in a sample: that many records, from the beginning of the ranges.
func (r *Replay) InferSchema(ctx context.Context, records int) (*Schema, error) {
	types := map[string]FieldType{}
	objects, read := 0, r.read.Load()
	defer func() { r.read.Store(read) }() // the sample is no progress
	for one, err := range r.Records(ctx) {
		if err != nil {
			return nil, err
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(one.Value, &fields) == nil && fields != nil {
			objects++
			for name, text := range fields {
				if t := typeOf(text); t != "" && (len(types) < maxFields || types[name] != "") && name != "" {
					types[name] = widest(types[name], t)
				}
			}
		}
		if records--; records <= 0 {
			break
		}
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("of the records in the sample %d are JSON objects, and they have no fields: "+
			"no schema can be inferred from them; give one, or go without", objects)
	}
	s := &Schema{}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		s.Fields = append(s.Fields, Field{name, types[name]})
	}
	return s, nil
}

// typeOf is the narrowest type that a JSON value has; "" for null.
func typeOf(text json.RawMessage) FieldType {
	switch text[0] {
	case 'n':
		return ""
	case 't', 'f':
		return Boolean
	case '"':
		if _, err := parseTime(text); err == nil {
			return Timestamp
		}
		return String
	case '{', '[':
		return JSON
	}
	if _, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return Int64
	}
	return Double
}

// widest is a type that has the values of both.
func widest(a, b FieldType) FieldType {
	switch {
	case a == b || a == "":
		return b
	case a == Int64 && b == Double || a == Double && b == Int64:
		return Double
	case a == String && b == Timestamp || a == Timestamp && b == String:
		return String
	}
	return JSON
}

func parseTime(text json.RawMessage) (time.Time, error) {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, s)
}
