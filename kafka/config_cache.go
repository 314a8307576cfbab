package kafka

import (
	"sync"

	"firn/coordinator"
	"firn/coordinator/topicconfig"
	"firn/segments"
)

// configCache keeps the typed configs of topics that have some, so that a Produce need not parse them.
type configCache struct {
	mu     sync.RWMutex
	topics map[segments.TopicID]cachedConfig
}

type cachedConfig struct {
	topic  *coordinator.Topic // the version of the topic that config belongs to
	config topicconfig.Config
}

// maxCachedConfigs bounds the cache. When it is full it is emptied, which also rids it of deleted topics.
const maxCachedConfigs = 10_000

// of returns the configs of a topic as the view gave it.
func (c *configCache) of(topic *coordinator.Topic) topicconfig.Config {
	if len(topic.Configs) == 0 {
		return topicconfig.Default()
	}
	c.mu.RLock()
	cached := c.topics[topic.ID]
	c.mu.RUnlock()
	if cached.topic == topic {
		return cached.config
	}
	config, _ := topicconfig.Parse(topic.Configs) // with defaults for what an older or newer version let pass
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics == nil || len(c.topics) >= maxCachedConfigs {
		c.topics = map[segments.TopicID]cachedConfig{}
	}
	c.topics[topic.ID] = cachedConfig{topic, config}
	return config
}
