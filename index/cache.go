package index

import (
	"container/list"
	"sync"
)

// cache keeps blocks that were read from the bucket; the least recently used leave first.
// Readers of a log come along one behind the other, so recency is all there is to know, and the
// bound holds exactly.
//
// It keeps old blocks apart from live ones: when there is no room, old blocks leave as long as they
// have more than their share, so a replay of everything takes that share of the cache at most from
// the readers of the tail. Whatever the others leave free, each may use.
type cache[K comparable, V interface{ size() int64 }] struct {
	limit    int64
	oldShare int64

	mu    sync.Mutex
	bytes [2]int64 // live, old
	items map[K]*list.Element
	order [2]list.List // of *cached, the latest asked for in front
}

type cached[K comparable, V any] struct {
	key   K
	value V
	class int
}

// The classes of what is cached.
const (
	live = iota
	old
)

func newCache[K comparable, V interface{ size() int64 }](limit, oldShare int64) *cache[K, V] {
	return &cache[K, V]{limit: limit, oldShare: oldShare, items: map[K]*list.Element{}}
}

// get returns what is cached, or the zero value.
func (c *cache[K, V]) get(key K) (value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return value
	}
	found := e.Value.(*cached[K, V])
	c.order[found.class].MoveToFront(e)
	return found.value
}

// put takes something in, unless it is larger than the cache may be.
func (c *cache[K, V]) put(key K, value V, isOld bool) {
	size, class := value.size(), live
	if isOld {
		class = old
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.limit || c.items[key] != nil {
		return
	}
	for c.bytes[live]+c.bytes[old]+size > c.limit {
		c.evict()
	}
	c.items[key] = c.order[class].PushFront(&cached[K, V]{key, value, class})
	c.bytes[class] += size
}

// evict lets one leave. The caller holds mu and knows that there is one.
func (c *cache[K, V]) evict() {
	class := live
	if c.bytes[old] > c.oldShare || c.bytes[live] == 0 {
		class = old
	}
	leaves := c.order[class].Remove(c.order[class].Back()).(*cached[K, V])
	delete(c.items, leaves.key)
	c.bytes[class] -= leaves.value.size()
}

func (c *cache[K, V]) held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes[live] + c.bytes[old]
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit, c.bytes = 0, [2]int64{}
	clear(c.items)
	c.order[live].Init()
	c.order[old].Init()
}
