package main

import (
	"bytes"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// formatHelp lists what a format string may have. They are kcat's.
const formatHelp = "%t topic, %p partition, %o offset, %T timestamp in milliseconds, %k key, %K its length,\n" +
	"%s value, %S its length, %h headers as name=value with commas between, %% a percent sign; \\n, \\t, \\r, \\0,\n" +
	"\\xHH and \\\\. The length of null is -1."

// directives write what a letter behind % stands for.
var directives = map[byte]formatter{
	't': func(w *bytes.Buffer, r *kgo.Record) error { return written(w.WriteString(r.Topic)) },
	'p': func(w *bytes.Buffer, r *kgo.Record) error { return writeNumber(w, int64(r.Partition)) },
	'o': func(w *bytes.Buffer, r *kgo.Record) error { return writeNumber(w, r.Offset) },
	'T': func(w *bytes.Buffer, r *kgo.Record) error { return writeNumber(w, r.Timestamp.UnixMilli()) },
	'k': func(w *bytes.Buffer, r *kgo.Record) error { return written(w.Write(r.Key)) },
	'K': func(w *bytes.Buffer, r *kgo.Record) error { return writeNumber(w, lengthOf(r.Key)) },
	's': func(w *bytes.Buffer, r *kgo.Record) error { return written(w.Write(r.Value)) },
	'S': func(w *bytes.Buffer, r *kgo.Record) error { return writeNumber(w, lengthOf(r.Value)) },
	'h': writeHeaders,
	'%': func(w *bytes.Buffer, _ *kgo.Record) error { return w.WriteByte('%') },
}

// parseFormat reads a format string like '%p %o %k %s\n'. Without a newline at its end, records
// follow each other with nothing between them, as in kcat.
func parseFormat(text string) (formatter, error) {
	var parts []formatter
	literal := func(s string) error {
		plain, err := unescape(s)
		if err != nil {
			return usagef("--format %q: %w", text, err)
		}
		parts = append(parts, func(w *bytes.Buffer, _ *kgo.Record) error { return written(w.WriteString(plain)) })
		return nil
	}
	begin := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++ // unescape looks at what follows
		case '%':
			if err := literal(text[begin:i]); err != nil {
				return nil, err
			}
			i++
			if i == len(text) || directives[text[i]] == nil {
				return nil, usagef("--format %q: %q is none of %%t %%p %%o %%T %%k %%K %%s %%S %%h %%%%", text,
					text[i-1:min(i+1, len(text))])
			}
			parts = append(parts, directives[text[i]])
			begin = i + 1
		}
	}
	if err := literal(text[begin:]); err != nil {
		return nil, err
	}
	return func(w *bytes.Buffer, r *kgo.Record) error {
		for _, part := range parts {
			if err := part(w, r); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func written(_ int, err error) error { return err }

func writeNumber(w *bytes.Buffer, n int64) error {
	return written(w.Write(strconv.AppendInt(w.AvailableBuffer(), n, 10)))
}

// lengthOf is a length, or -1 for null.
func lengthOf(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

func writeHeaders(w *bytes.Buffer, r *kgo.Record) error {
	for i, h := range r.Headers {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString(h.Key)
		w.WriteByte('=')
		w.Write(h.Value)
	}
	return nil
}
