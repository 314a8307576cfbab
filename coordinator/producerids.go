package coordinator

import (
	"context"
	"sync"
)

// producerIDs is a block of producer ids that this node may hand out.
type producerIDs struct {
	mu        sync.Mutex
	next, end int64
}

// producerIDBlock is how many ids a node takes at once, as Kafka's brokers do.
const producerIDBlock = 1000

// ProducerID hands out a producer id that nobody has had.
func (n *Node) ProducerID(ctx context.Context) (int64, error) {
	p := &n.producers
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		fact, err := n.Change(ctx, Change{ProducerIDs: producerIDBlock})
		if err != nil {
			return 0, err
		}
		p.next, p.end = fact.ProducerIDs.End-producerIDBlock, fact.ProducerIDs.End
	}
	p.next++
	return p.next - 1, nil
}
