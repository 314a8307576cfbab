package index

import (
	"container/list"
	"sync"

	"firn/coordinator"
)

// cache keeps blocks that were read from the bucket; the one that nobody has asked for longest leaves first. Readers of a log come along one
// behind the other, so recency is all there is to know, and the bound holds exactly. A block is found by its whole span, as in the tail.
type cache struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	items map[coordinator.Span]*list.Element
	order list.List // of cached, the latest asked for in front
}

type cached struct {
	span  coordinator.Span
	block *block
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, items: map[coordinator.Span]*list.Element{}}
}

func (c *cache) get(span coordinator.Span) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[span]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).block
}

// put takes a block in, unless it is larger than the whole cache may be.
func (c *cache) put(span coordinator.Span, b *block) {
	size := b.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.limit || c.items[span] != nil {
		return
	}
	for c.bytes+size > c.limit {
		oldest := c.order.Remove(c.order.Back()).(*cached)
		delete(c.items, oldest.span)
		c.bytes -= oldest.block.size()
	}
	c.items[span] = c.order.PushFront(&cached{span, b})
	c.bytes += size
}

func (c *cache) held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit, c.bytes = 0, 0
	clear(c.items)
	c.order.Init()
}
