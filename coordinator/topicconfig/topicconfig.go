// Package topicconfig knows the topic configs of Kafka: their types, defaults and limits, which of them Firn honours and which it accepts because
// clients send them although they have no meaning here.
package topicconfig
