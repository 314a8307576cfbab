package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

// door is a way to write a record.
type door struct {
	name  string
	topic string // begins with
	open  func(spec process.Spec, topic string) (client, error)
}

// client writes one record at a time, on a connection of its own.
type client interface {
	write(ctx context.Context) error
	close()
}

var doors = []door{
	{"HTTP", "http", func(spec process.Spec, topic string) (client, error) {
		return newHTTP(spec, topic, false, false), nil
	}},
	{"HTTP, idempotency key", "keyed", func(spec process.Spec, topic string) (client, error) {
		return newHTTP(spec, topic, true, false), nil
	}},
	{"HTTP, a connection each", "short", func(spec process.Spec, topic string) (client, error) {
		return newHTTP(spec, topic, false, true), nil
	}},
	{"Kafka", "kafka", newKafka},
}

// value is random letters, so that compression has as little to gain as it has with most data.
func value() []byte {
	v := make([]byte, 0, valueBytes)
	for len(v) < valueBytes {
		v = append(v, rand.Text()...)
	}
	return v[:valueBytes]
}

// httpClient writes over HTTP.
type httpClient struct {
	client *http.Client
	url    string
	body   []byte
	keyed  bool
}

func newHTTP(spec process.Spec, topic string, keyed, short bool) *httpClient {
	return &httpClient{
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: short, MaxIdleConnsPerHost: 1}},
		url:    "http://" + spec.HTTP + "/v1/topics/" + topic + "/records",
		body:   fmt.Appendf(nil, `[{"value":"%s"}]`, value()),
		keyed:  keyed,
	}
}

func (c *httpClient) write(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.keyed {
		r.Header.Set("Idempotency-Key", rand.Text())
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

func (c *httpClient) close() { c.client.CloseIdleConnections() }

// kafkaClient writes with franz-go, as it comes but without linger.
type kafkaClient struct {
	client *kgo.Client
	value  []byte
}

func newKafka(spec process.Spec, topic string) (client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(spec.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	return &kafkaClient{client, value()}, err
}

func (c *kafkaClient) write(ctx context.Context) error {
	return c.client.ProduceSync(ctx, &kgo.Record{Value: c.value}).FirstErr()
}

func (c *kafkaClient) close() { c.client.Close() }
