package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
)

// digest is what one key's lines add up to.
type digest struct {
	Records int64
	SHA256  string // of the lines in order, each followed by a newline
}

// digests holds one for each key.
type digests map[string]digest

func (d digests) records() (n int64) {
	for _, one := range d {
		n += one.Records
	}
	return n
}

// compare says for which keys got differs, the first few by name.
func (d digests) compare(got digests) error {
	var problems []error
	wrong := 0
	differ := func(key string) {
		if wrong++; wrong <= 5 {
			problems = append(problems, fmt.Errorf("key %s: %d records (%.12s…) were written, %d (%.12s…) read",
				key, d[key].Records, d[key].SHA256, got[key].Records, got[key].SHA256))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if got[key] != d[key] {
			differ(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, known := d[key]; !known {
			differ(key)
		}
	}
	if wrong == 0 {
		return nil
	}
	return errors.Join(append(problems, fmt.Errorf("%d of %d keys came back wrong", wrong, len(d)))...)
}

// hashes adds lines up.
type hashes map[string]*running

type running struct {
	records int64
	hash    hash.Hash
}

func (h hashes) add(key string, line []byte) {
	r := h[key]
	if r == nil {
		r = &running{hash: sha256.New()}
		h[key] = r
	}
	r.records++
	r.hash.Write(line)
	r.hash.Write([]byte{'\n'})
}

func (h hashes) sum() digests {
	sums := make(digests, len(h))
	for key, r := range h {
		sums[key] = digest{Records: r.records, SHA256: hex.EncodeToString(r.hash.Sum(nil))}
	}
	return sums
}
