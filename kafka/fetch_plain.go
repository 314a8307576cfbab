package kafka

import (
	"strings"

	"firn.dev/segments/batch"
)

// readsLZ4 are the clients, by the name that they give themselves (KIP-511), that are known to read
// LZ4 without anything installed beside them.
var readsLZ4 = []string{"apache-kafka-", "kgo", "librdkafka", "confluent-kafka-", "sarama"}

// wantsPlain says whether LZ4 batches are decompressed for a client. Batches that arrived plain may
// be stored as LZ4, and some clients (kafkajs, kafka-python) read that only with a package that
// their users never needed: "change bootstrap.servers and nothing else" holds for them too.
func (p *peer) wantsPlain() bool {
	for _, name := range readsLZ4 {
		if strings.HasPrefix(p.Software, name) {
			return false
		}
	}
	return true
}

// unpack returns the batches of a partition with those in LZ4 decompressed: as many as fit into
// most bytes, and the first in any case if atLeastOne. A batch that grows beyond what its topic
// takes was never plain, and is given as it is.
func (f *fetchCall) unpack(p *fetchPartition, most int, atLeastOne bool) (plain [][]byte) {
	left := most
	for _, run := range p.batches {
		for h, err := range batch.All(run) {
			if err != nil {
				return plain
			}
			b := run[:h.Size()]
			run = run[h.Size():]
			if h.Attributes.Codec() == batch.LZ4 {
				if extra := p.maxPlain - most; atLeastOne && len(plain) == 0 && extra > 0 &&
					f.more(f.reads.ctx, int64(extra)) != nil {
					return nil
				}
				if unpacked, err := batch.Recompress(b, batch.None, p.maxPlain); err == nil {
					b = unpacked
				}
			}
			if left -= len(b); left < 0 && (len(plain) > 0 || !atLeastOne) {
				return plain
			}
			plain = append(plain, b)
		}
	}
	return plain
}
