package process

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics are the samples of a /metrics page, by name and labels as they stand there.
type Metrics map[string]float64

// Scrape reads the metrics of the server whose HTTP is at addr.
func Scrape(ctx context.Context, addr string) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	s := Metrics{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			s[name] = n
		}
	}
	return s, lines.Err()
}

// Sum adds up the samples of a metric that have a label.
func (s Metrics) Sum(metric, label string) (total float64) {
	for name, value := range s {
		base, labels, _ := strings.Cut(name, "{")
		if base == metric && strings.Contains(labels, label) {
			total += value
		}
	}
	return total
}
