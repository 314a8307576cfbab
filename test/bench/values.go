package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// pool is how many different values are written, again and again: 8 MiB, more than any batch that
// is compressed as one.
const pool = 8192

// randomValues cannot be compressed.
func randomValues() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	return generate(func(value []byte) []byte {
		for len(value) < valueBytes {
			value = binary.BigEndian.AppendUint64(value, random.Uint64())
		}
		return value
	})
}

// textValues look like lines of a log in JSON, and shrink to a third or so.
func textValues() [][]byte {
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"request", "accepted", "from", "upstream", "gateway", "timeout", "retry", "of", "payment", "order",
		"customer", "cart", "updated",
		"without", "stock", "reserved", "shipment", "delayed", "by", "carrier", "session", "expired", "token", "refreshed",
		"for", "user"}
	return generate(func(value []byte) []byte {
		value = fmt.Appendf(value, `{"time":"2026-11-22T12:%02d:%02d.%06dZ","trace":"%016x","message":"`, random.IntN(60),
			random.IntN(60), random.IntN(1e6), random.Uint64())
		for len(value) < valueBytes {
			if random.IntN(8) == 0 {
				value = fmt.Appendf(value, "%d ", random.IntN(1e7))
			} else {
				value = append(append(value, words[random.IntN(len(words))]...), ' ')
			}
		}
		return value
	})
}

func generate(fill func([]byte) []byte) [][]byte {
	values := make([][]byte, pool)
	for i := range values {
		values[i] = fill(make([]byte, 0, valueBytes+64))[:valueBytes]
	}
	return values
}
