package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of --filter. Regular expressions are RE2: they take time in proportion to what they look
// at.
const (
	maxFilters     = 16
	maxFilterBytes = 1024
)

// filter says whether a record is wanted.
type filter func(*kgo.Record) bool

// filterOperators are what may stand between a field and a text. Longer ones come first.
var filterOperators = []struct {
	sign  string
	not   bool
	match func(text string) (func([]byte) bool, error)
}{
	{"!~", true, matchRegexp}, {"!=", true, matchEqual}, {"*=", false, matchContains},
	{"~", false, matchRegexp}, {"=", false, matchEqual},
}

func matchEqual(text string) (func([]byte) bool, error) {
	return func(b []byte) bool { return b != nil && string(b) == text }, nil
}

func matchContains(text string) (func([]byte) bool, error) {
	want := []byte(text)
	return func(b []byte) bool { return bytes.Contains(b, want) }, nil
}

func matchRegexp(text string) (func([]byte) bool, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return func(b []byte) bool { return b != nil && re.Match(b) }, nil
}

// parseFilters reads expressions, all of which a record has to meet.
func parseFilters(texts []string) (filter, error) {
	if len(texts) > maxFilters {
		return nil, usagef("--filter: there are %d; at most %d are possible", len(texts), maxFilters)
	}
	var filters []filter
	for _, text := range texts {
		f, err := parseFilter(text)
		if err != nil {
			return nil, usagef("--filter %q: %w", text, err)
		}
		filters = append(filters, f)
	}
	return func(r *kgo.Record) bool {
		for _, f := range filters {
			if !f(r) {
				return false
			}
		}
		return true
	}, nil
}

// parseFilter reads FIELD OPERATOR TEXT, such as key~^anna or header.trace=x1.
func parseFilter(text string) (filter, error) {
	if len(text) > maxFilterBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFilterBytes)
	}
	at := strings.IndexAny(text, "!*~=")
	if at < 0 {
		return nil, fmt.Errorf("write FIELD~REGEXP, FIELD=TEXT or FIELD*=TEXT, or !~ and != for those that do not match")
	}
	field := text[:at]
	for _, operator := range filterOperators {
		want, ok := strings.CutPrefix(text[at:], operator.sign)
		if !ok {
			continue
		}
		match, err := operator.match(want)
		if err != nil {
			return nil, err
		}
		of, err := fieldFilter(field, match)
		if err != nil || !operator.not {
			return of, err
		}
		return func(r *kgo.Record) bool { return !of(r) }, nil
	}
	return nil, fmt.Errorf("%q is none of ~, =, *=, !~ and !=", text[at:min(at+2, len(text))])
}

// fieldFilter looks at a field. A header that is there several times matches if one of them does.
func fieldFilter(field string, match func([]byte) bool) (filter, error) {
	switch name, isHeader := strings.CutPrefix(field, "header."); {
	case field == "key":
		return func(r *kgo.Record) bool { return match(r.Key) }, nil
	case field == "value":
		return func(r *kgo.Record) bool { return match(r.Value) }, nil
	case isHeader && name != "":
		return func(r *kgo.Record) bool {
			for _, h := range r.Headers {
				if h.Key == name && match(h.Value) {
					return true
				}
			}
			return false
		}, nil
	}
	return nil, fmt.Errorf("%q is none of key, value and header.NAME", field)
}
