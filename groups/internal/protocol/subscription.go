package protocol

import "encoding/binary"

// consumerProtocol is the protocol type of consumers. Its members' metadata begins with the topics
// that they are subscribed to.
const consumerProtocol = "consumer"

// Subscriptions says of which topics a member is a subscriber. A member whose metadata cannot be
// read may be one of any.
func (g *classicGroup) Subscriptions() func(topic string) bool {
	topics, unreadable := map[string]bool{}, false
	for _, m := range g.order {
		if g.protocolType != consumerProtocol || len(m.protocols) == 0 {
			continue
		}
		names, ok := subscribedTopics(m.protocols[0].Metadata)
		unreadable = unreadable || !ok
		for _, name := range names {
			topics[name] = true
		}
	}
	return func(topic string) bool { return unreadable || topics[topic] }
}

// subscribedTopics reads the beginning of Kafka's ConsumerProtocolSubscription: version (int16),
// topics (array of strings).
func subscribedTopics(b []byte) (topics []string, ok bool) {
	if len(b) < 6 {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b[2:])
	for b = b[6:]; n > 0; n-- {
		if len(b) < 2 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < size {
			return nil, false
		}
		topics, b = append(topics, string(b[:size])), b[size:]
	}
	return topics, true
}
