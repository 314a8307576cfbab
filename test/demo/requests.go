package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firn.dev/test/process"
)

// requestsMetric counts requests to the bucket, by kind.
const requestsMetric = "firn_store_requests_total{"

// objectRequests asks the server how many requests it has sent to its bucket.
func objectRequests(ctx context.Context, addr string) (string, error) {
	metrics, err := process.Scrape(ctx, addr)
	if err != nil {
		return "", err
	}
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		if labels, ok := strings.CutPrefix(name, requestsMetric); ok {
			counts = append(counts, fmt.Sprintf("%s %.0f", strings.TrimSuffix(labels, "}"), metrics[name]))
		}
	}
	if len(counts) == 0 {
		return "", fmt.Errorf("/metrics has no %s…}", requestsMetric)
	}
	return "requests: " + strings.Join(counts, "; "), nil
}
