package topicconfig

import (
	"sync"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Cache keeps the configs of topics that have some, so that a front door need not parse them for
// each request. Its zero value is empty.
type Cache struct {
	mu     sync.RWMutex
	topics map[segments.TopicID]cached
}

type cached struct {
	topic  *coordinator.Topic // the version of the topic that config belongs to
	config Config
}

// maxCached bounds the cache. When it is full it is emptied, which also rids it of deleted topics.
const maxCached = 10_000

// Of returns the configs of a topic as the view gave it.
func (c *Cache) Of(topic *coordinator.Topic) Config {
	if len(topic.Configs) == 0 {
		return Default()
	}
	c.mu.RLock()
	known := c.topics[topic.ID]
	c.mu.RUnlock()
	if known.topic == topic {
		return known.config
	}
	config, _ := Parse(topic.Configs) // with defaults for what an older or newer version let pass
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics == nil || len(c.topics) >= maxCached {
		c.topics = map[segments.TopicID]cached{}
	}
	c.topics[topic.ID] = cached{topic, config}
	return config
}
