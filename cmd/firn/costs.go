package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"firn.dev/ingest/costs"
)

// maxCostsBytes bounds a node's answer to /v1/producers: two windows of a thousand ids, with what
// is said of them.
const maxCostsBytes = 16 << 20

// costlyProducer is a producer that costs more than it needs to, at one node, as top shows it.
type costlyProducer struct {
	Producer string         `json:"producer"`
	Node     int32          `json:"node"`
	Requests perSecond      `json:"requests_per_second" table:"req/s"`
	Records  perSecond      `json:"records_per_request" table:"records/req"`
	In       bytesPerSecond `json:"bytes_per_second" table:"in/s"`
	Advice   string         `json:"advice"`
}

// costly reads /v1/producers, and returns those that have advice.
func costly(body []byte) ([]costlyProducer, error) {
	var answer struct {
		Node      int32            `json:"node"`
		Producers []costs.Producer `json:"producers"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("GET /v1/producers: %w", err)
	}
	var list []costlyProducer
	for _, p := range answer.Producers {
		if len(p.Advice) == 0 {
			continue
		}
		c := costlyProducer{
			Producer: p.ClientID, Node: answer.Node, Requests: perSecond(float64(p.Requests) / p.Seconds),
			Records: perSecond(float64(p.Records) / float64(p.Requests)),
			In:      bytesPerSecond(float64(p.Bytes) / p.Seconds),
		}
		var texts []string
		for _, a := range p.Advice {
			texts = append(texts, a.Text)
		}
		c.Advice = strings.Join(texts, "; ")
		list = append(list, c)
	}
	return list, nil
}

// examineProducers asks the node that serves HTTP at an address which producers cost more than they
// need to. There is no finding if none answers, or it wants a login.
func examineProducers(ctx context.Context, https bool, addr string) []finding {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	node := nodesOfTop{client: strangerClient}
	body, err := node.fetchBounded(ctx, webURL(https, addr)+"/v1/producers", false, maxCostsBytes)
	if err != nil {
		return nil
	}
	list, err := costly(body)
	if err != nil {
		return nil
	}
	var found []finding
	for _, p := range list {
		found = append(found, finding{"producer", doubtful("firn top shows all nodes'", "%s: %s", printable(p.Producer),
			p.Advice)})
	}
	return found
}
