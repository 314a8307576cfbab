package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Forms of standard input.
const (
	formatLine = "line"
	formatJSON = "json"
)

// inputOptions say how standard input is read.
type inputOptions struct {
	format          string
	keySeparator    string
	recordSeparator string
	key             string
	headers         []string
	tombstones      bool

	withKey bool // --key was given
	parsed  []kgo.RecordHeader
	flags   *pflag.FlagSet
}

func (o *inputOptions) addFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVarP(&o.format, "format", "f", formatLine, "`what` standard input has: line or json (one object a line)")
	f.StringVar(&o.keySeparator, "key-separator", "", "`text` that ends the key of each line, for example \\t")
	f.StringVar(&o.recordSeparator, "record-separator", `\n`, "`text` that ends each record, for example \\0")
	f.StringVar(&o.key, "key", "", "`key` of every record")
	f.StringArrayVar(&o.headers, "header", nil, "header of every record as `name=value`; may be repeated")
	f.BoolVar(&o.tombstones, "tombstones", false, "an empty value is null")
}

// parse reads the flags.
func (o *inputOptions) parse() (err error) {
	o.withKey = o.flags.Changed("key")
	switch o.format {
	case formatLine:
	case formatJSON, "ndjson":
		for _, flag := range []string{"key-separator", "record-separator", "key", "header", "tombstones"} {
			if o.flags.Changed(flag) {
				return usagef("--%s does not go with --format %s, whose records have their own", flag, o.format)
			}
		}
	default:
		return usagef("--format %q is not one of line, json", o.format)
	}
	if o.withKey && o.keySeparator != "" {
		return usagef("--key and --key-separator do not go together: a record has one key")
	}
	if o.keySeparator, err = unescape(o.keySeparator); err != nil {
		return usagef("--key-separator %q: %w", o.keySeparator, err)
	}
	if o.recordSeparator, err = unescape(o.recordSeparator); err != nil || o.recordSeparator == "" {
		return usagef("--record-separator: %w", cmp.Or(err, errors.New("it is empty")))
	}
	for _, header := range o.headers {
		name, value, ok := strings.Cut(header, "=")
		if !ok || name == "" {
			return usagef("--header %q is not name=value", header)
		}
		o.parsed = append(o.parsed, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return nil
}

// recordReader reads records.
type recordReader interface {
	// next returns the next record, whose partition is -1 if it names none, or io.EOF.
	next() (*kgo.Record, error)
	// at says of an error which record it is about.
	at(error) error
}

// reader reads standard input. No record's key and value are longer than most bytes.
func (o *inputOptions) reader(in io.Reader, topic string, most int) recordReader {
	scan := func(separator string, most int) *bufio.Scanner {
		s := bufio.NewScanner(in)
		s.Buffer(make([]byte, min(64<<10, most+1)), most+len(separator))
		s.Split(splitAt([]byte(separator)))
		return s
	}
	if o.format == formatLine {
		return &lineReader{inputOptions: o, lines: scan(o.recordSeparator, most), most: most, topic: topic}
	}
	// A byte is at most six in JSON (\u0000); names and numbers come on top.
	return &jsonReader{lines: scan("\n", 6*most+64<<10)}
}

// splitAt splits at a separator: a record is every byte up to it. Unlike bufio.ScanLines it keeps
// carriage returns.
func splitAt(separator []byte) bufio.SplitFunc {
	return func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		if i := bytes.Index(data, separator); i >= 0 {
			return i + len(separator), data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	}
}

// lineReader makes a record of each line.
type lineReader struct {
	*inputOptions
	lines  *bufio.Scanner
	keep   slabs
	number int
	most   int
	topic  string
}

func (l *lineReader) next() (*kgo.Record, error) {
	l.number++
	if !l.lines.Scan() {
		if errors.Is(l.lines.Err(), bufio.ErrTooLong) {
			return nil, fmt.Errorf("line %d is longer than %d bytes, the most that fits into the topic's max.message.bytes; "+
				"raise that with 'firn topic alter %s --config max.message.bytes=N'", l.number, l.most, l.topic)
		}
		return nil, cmp.Or(l.lines.Err(), io.EOF)
	}
	r := l.keep.record(l.lines.Bytes(), l.keySeparator)
	if l.withKey {
		r.Key = []byte(l.key)
	}
	if l.tombstones && len(r.Value) == 0 {
		r.Value = nil
	}
	r.Partition, r.Headers = -1, l.parsed
	return r, nil
}

func (l *lineReader) at(err error) error { return fmt.Errorf("line %d: %w", l.number, err) }

// slabs hands out records and the bytes behind them in large pieces: two allocations for a thousand
// lines rather than for each.
type slabs struct {
	records []kgo.Record
	bytes   []byte
}

// record returns a record with the line's key and value, copied. An empty separator means no keys.
func (s *slabs) record(line []byte, separator string) *kgo.Record {
	if len(s.records) == 0 {
		s.records = make([]kgo.Record, 1024)
	}
	r := &s.records[0]
	s.records = s.records[1:]
	if len(line) > len(s.bytes) {
		s.bytes = make([]byte, max(256<<10, len(line)))
	}
	kept := s.bytes[:len(line):len(line)]
	s.bytes = s.bytes[len(line):]
	copy(kept, line)
	r.Value = kept
	if separator != "" {
		if key, value, ok := bytes.Cut(kept, []byte(separator)); ok {
			r.Key, r.Value = slices.Clip(key), value
		}
	}
	return r
}
