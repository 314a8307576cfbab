package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"

	"firn.dev/test/torture/history"
)

// headLen is the length of what each value begins with: producer, number, and a hash of the key and
// of all other bytes of the value.
const headLen = 4 + 8 + 8

var crcTable = crc64.MakeTable(crc64.ECMA)

// errPayload is a value that no producer of ours made.
var errPayload = errors.New("value is not one that was sent")

// encode makes key and value of the next record: mostly short, now and then long, half of it text.
// Every fourth producer's are larger, so that its requests are.
func encode(random *rand.Rand, producer, partition int32, number int64) (key, value []byte, r history.Record) {
	size := headLen + random.IntN(1000)
	if producer%4 == 3 {
		size *= 4
	}
	if random.IntN(500) == 0 {
		size = headLen + random.IntN(300_000)
	}
	key = fmt.Appendf(nil, "producer-%d/partition-%d", producer, partition)
	value = make([]byte, size)
	binary.BigEndian.PutUint32(value, uint32(producer))
	binary.BigEndian.PutUint64(value[4:], uint64(number))
	for i := headLen; i < size; i++ {
		value[i] = "a record of no importance, "[i%27]
	}
	for i := headLen; i+8 <= headLen+(size-headLen)/2; i += 8 {
		binary.BigEndian.PutUint64(value[i:], random.Uint64())
	}
	hash := hashOf(key, value)
	binary.BigEndian.PutUint64(value[12:], hash)
	return key, value, history.Record{Producer: producer, Number: number, Hash: hash}
}

// decode reads what encode made.
func decode(key, value []byte) (history.Record, error) {
	if len(value) < headLen {
		return history.Record{}, errPayload
	}
	r := history.Record{
		Producer: int32(binary.BigEndian.Uint32(value)),
		Number:   int64(binary.BigEndian.Uint64(value[4:])),
		Hash:     binary.BigEndian.Uint64(value[12:]),
	}
	if hashOf(key, value) != r.Hash {
		return r, errPayload
	}
	return r, nil
}

func hashOf(key, value []byte) uint64 {
	h := crc64.Checksum(key, crcTable)
	h = crc64.Update(h, crcTable, value[:12])
	return crc64.Update(h, crcTable, value[headLen:])
}
