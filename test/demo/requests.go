package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// requestsMetric counts requests to the bucket, by kind.
const requestsMetric = "firn_store_requests_total{"

// objectRequests asks the server how many requests it has sent to its bucket.
func objectRequests(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var counts []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if labels, ok := strings.CutPrefix(lines.Text(), requestsMetric); ok {
			counts = append(counts, strings.Replace(labels, "}", "", 1))
		}
	}
	if len(counts) == 0 {
		return "", fmt.Errorf("/metrics has no %s…}", requestsMetric)
	}
	return "requests: " + strings.Join(counts, "; "), nil
}
