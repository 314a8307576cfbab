package coordinator

import "math"

// rememberedBatches is how many batches of a producer a partition can tell apart from new ones, as
// in Kafka: a client has at most five requests under way.
const rememberedBatches = 5

// maxProducers bounds the producers that one partition remembers. Beyond it, those that have been
// silent for longest are forgotten.
const maxProducers = 1 << 16

// producer is what a partition knows of an idempotent producer: its current epoch and the newest
// batches in it, oldest first.
type producer struct {
	epoch         int16
	count         uint8
	batches       [rememberedBatches]sequenced
	lastTimestamp int64
}

// sequenced is a batch by its sequence numbers.
type sequenced struct {
	base, last int32
	offset     int64 // of its first record
}

func (pr *producer) last() sequenced { return pr.batches[pr.count-1] }

// nextSequence is the number that follows seq: they wrap to 0 after 2^31-1.
func nextSequence(seq int32) int32 {
	if seq == math.MaxInt32 {
		return 0
	}
	return seq + 1
}

// lastSequence is the number of the last of n records whose first has number base.
func lastSequence(base, n int32) int32 {
	return int32((int64(base) + int64(n) - 1) & math.MaxInt32)
}

// observe notes a batch that joined the prefix. Batches come in the order of their offsets; one
// that comes again is ignored.
func (p *partition) observe(b *ProducerBatch) {
	pr := p.producers[b.ProducerID]
	if pr == nil {
		if p.producers == nil {
			p.producers = map[int64]*producer{}
		}
		pr = &producer{epoch: b.Epoch}
		p.producers[b.ProducerID] = pr
		p.boundProducers()
	}
	if pr.count > 0 && (b.BaseOffset <= pr.last().offset || b.Epoch < pr.epoch) {
		return
	}
	if b.Epoch > pr.epoch {
		pr.epoch, pr.count = b.Epoch, 0
	}
	if pr.count == rememberedBatches {
		copy(pr.batches[:], pr.batches[1:])
		pr.count--
	}
	pr.batches[pr.count] = sequenced{b.BaseSequence, b.LastSequence, b.BaseOffset}
	pr.count++
	pr.lastTimestamp = b.LastTimestamp
}

// boundProducers forgets the older half when there are too many.
func (p *partition) boundProducers() {
	if len(p.producers) <= maxProducers {
		return
	}
	newest := int64(math.MinInt64)
	oldest := int64(math.MaxInt64)
	for _, pr := range p.producers {
		if pr.count > 0 {
			newest, oldest = max(newest, pr.last().offset), min(oldest, pr.last().offset)
		}
	}
	middle := oldest + (newest-oldest)/2
	for id, pr := range p.producers {
		if _, open := p.opened(id); pr.count > 0 && pr.last().offset <= middle && !open {
			delete(p.producers, id)
		}
	}
}

// admit applies the rules of a Kafka broker to a batch that is to be appended, and the rule for
// requests with a key: nil, or an error, with the offset of the original if it is ErrDuplicate.
func (p *partition) admit(b *CommitBatch, now int64) (original int64, err error) {
	if b.Key != nil {
		return p.admitKey(b.Key, now)
	}
	if b.ProducerID < 0 {
		return 0, nil
	}
	pr := p.producers[b.ProducerID]
	switch {
	case pr == nil:
		return 0, nil
	case b.ProducerEpoch < pr.epoch:
		return 0, ErrProducerEpoch
	case b.ProducerEpoch > pr.epoch:
		if b.BaseSequence != 0 {
			return 0, ErrOutOfOrder
		}
		return 0, nil
	}
	last := lastSequence(b.BaseSequence, b.Records)
	for _, known := range pr.batches[:pr.count] {
		if known.base == b.BaseSequence && known.last == last {
			return known.offset, ErrDuplicate
		}
	}
	if b.BaseSequence != nextSequence(pr.last().last) {
		return 0, ErrOutOfOrder
	}
	return 0, nil
}

// forgetProducers drops producers that have been silent since before, in milliseconds.
func (p *partition) forgetProducers(before int64) {
	for id, pr := range p.producers {
		if _, open := p.opened(id); pr.lastTimestamp < before && !open {
			delete(p.producers, id)
		}
	}
}
