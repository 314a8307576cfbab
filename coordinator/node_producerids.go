package coordinator

import "context"

// producerIDs is a block of producer ids that this node may hand out.
type producerIDs struct {
	turn      chan struct{} // of one element: held by the call that takes one out, or fetches the next block
	next, end int64
}

// producerIDBlock is how many ids a node takes at once, as Kafka's brokers do.
const producerIDBlock = 1000

// ProducerID hands out a producer id that was never handed out before. It waits for the
// coordinator, and for other calls that do, no longer than ctx.
func (n *Node) ProducerID(ctx context.Context) (int64, error) {
	p := &n.producers
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
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
