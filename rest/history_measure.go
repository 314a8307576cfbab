package rest

import (
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// measurement is what a node counts at a time. What it did is the difference of two.
type measurement struct {
	at       time.Time
	families map[string]*dto.MetricFamily
	topics   map[segments.TopicID]topicCounts // all: the node's series add them up
	lags     map[string]int64                 // of the groups that are remembered
}

// topicCounts is a topic's partitions, added up.
type topicCounts struct{ end, records, bytes int64 }

// What the bucket's requests cost in dollars, at the list prices of S3 Standard in us-east-1, as in
// deploy/monitoring/rules.yaml: an upload is two requests and one for each 8 MiB, deletes are free.
const (
	dollarsPerWrite = 5e-6
	dollarsPerGet   = 0.4e-6
	uploadPart      = 8 << 20
)

// Series of a node that are rates of counters, values of gauges, and quantiles of histograms.
var (
	historyRates = map[string]series{
		"bytes_in_per_second":       {name: "firn_kafka_bytes_in_total"},
		"bytes_out_per_second":      {name: "firn_kafka_bytes_out_total"},
		"kafka_requests_per_second": {name: "firn_kafka_requests_total"},
		"http_requests_per_second":  {name: "firn_http_request_seconds"},
		"puts_per_second":           {name: "firn_store_requests_total", label: "op", value: "put"},
		"uploads_per_second":        {name: "firn_store_requests_total", label: "op", value: "upload"},
		"gets_per_second":           {name: "firn_store_requests_total", label: "op", value: "get"},
		"lists_per_second":          {name: "firn_store_requests_total", label: "op", value: "list"},
		"deletes_per_second":        {name: "firn_store_requests_total", label: "op", value: "delete"},
		"bytes_put_per_second":      {name: "firn_store_bytes_total", label: "op", value: "put"},
		"bytes_uploaded_per_second": {name: "firn_store_bytes_total", label: "op", value: "upload"},
		"bytes_got_per_second":      {name: "firn_store_bytes_total", label: "op", value: "get"},
	}
	historyGauges = map[string]series{
		"connections":     {name: "firn_kafka_connections"},
		"buffered_bytes":  {name: "firn_ingest_buffered_bytes"},
		"backlog_bytes":   {name: "firn_cleanup_backlog_bytes"},
		"backlog_seconds": {name: "firn_cleanup_backlog_seconds"},
	}
	historyTimes = map[string]series{
		"write": {name: "firn_ingest_stage_seconds", label: "stage", value: "total"},
		"put":   {name: "firn_store_request_seconds", label: "op", value: "put"},
		"get":   {name: "firn_store_request_seconds", label: "op", value: "get"},
	}
	historyQuantiles = map[string]float64{"p50": 0.5, "p99": 0.99, "p999": 0.999}
)

// series is metrics of a name, all or those with a label.
type series struct{ name, label, value string }

// measure counts. Of the topics and groups it chooses which are remembered.
func (s *Server) measure(at time.Time) *measurement {
	m := &measurement{at: at, families: map[string]*dto.MetricFamily{}, topics: map[segments.TopicID]topicCounts{},
		lags: map[string]int64{}}
	families, _ := s.opts.Gatherer.Gather() // a collector that fails leaves out its own; scrapes log it
	for _, f := range families {
		m.families[f.GetName()] = f
	}
	topics := s.opts.View.Topics()
	s.history.keepTopics(topics)
	for _, t := range topics {
		var c topicCounts
		for i := range t.Partitions {
			info, _ := s.opts.View.Partition(segments.Partition{Topic: t.ID, Index: i})
			c.end += info.HighWatermark
			c.records += info.HighWatermark - info.LogStart
			c.bytes += info.Bytes
		}
		m.topics[t.ID] = c
	}
	for _, group := range s.history.keepGroups(s.view()) {
		m.lags[group], _ = s.lagOf(group, func(*coordinator.Topic) bool { return true })
	}
	return m
}

// since is the node's series: what happened after another measurement.
func (m *measurement) since(before *measurement) map[string]float64 {
	took := m.at.Sub(before.at)
	written := int64(0)
	for id, t := range m.topics {
		if then, known := before.topics[id]; known {
			written += max(0, t.end-then.end)
		}
	}
	values := map[string]float64{"records_per_second": rate(0, float64(written), took)}
	for name, of := range historyRates {
		if now, counted := m.sum(of); counted {
			then, _ := before.sum(of)
			values[name] = rate(then, now, took)
		}
	}
	for name, of := range historyGauges {
		if now, there := m.sum(of); there {
			values[name] = now
		}
	}
	for what, of := range historyTimes {
		for name, q := range historyQuantiles {
			if seconds, any := quantile(before.histogram(of), m.histogram(of), q); any {
				values[what+"_"+name+"_ms"] = significant(seconds * 1000)
			}
		}
	}
	var bytes, records int64
	for _, t := range m.topics {
		bytes, records = bytes+t.bytes, records+t.records
	}
	values["bytes"], values["records"] = float64(bytes), float64(records)
	values["dollars_per_hour"] = significant(3600 * (dollarsPerGet*values["gets_per_second"] +
		dollarsPerWrite*(values["puts_per_second"]+values["lists_per_second"]+2*values["uploads_per_second"]+
			values["bytes_uploaded_per_second"]/uploadPart)))
	return values
}

// rate is by how much a counter grew, per second. A counter that begins anew has not grown.
func rate(then, now float64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return significant(max(0, now-then) / took.Seconds())
}

// significant rounds to four digits: more are noise, and cost bytes.
func significant(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// each yields the metrics of a series.
func (m *measurement) each(of series) func(yield func(*dto.Metric) bool) {
	return func(yield func(*dto.Metric) bool) {
		for _, metric := range m.families[of.name].GetMetric() {
			matches := of.label == ""
			for _, l := range metric.GetLabel() {
				matches = matches || l.GetName() == of.label && l.GetValue() == of.value
			}
			if matches && !yield(metric) {
				return
			}
		}
	}
}

// sum adds a series up, of histograms their counts; there is false if it has no metrics.
func (m *measurement) sum(of series) (sum float64, there bool) {
	for metric := range m.each(of) {
		sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		there = true
	}
	return sum, there
}

func (m *measurement) histogram(of series) *dto.Histogram {
	for metric := range m.each(of) {
		return metric.GetHistogram()
	}
	return nil
}

// quantile is that of what was observed between two states of a histogram, as Prometheus has it.
// If that is nothing, any is false.
func quantile(before, now *dto.Histogram, q float64) (seconds float64, any bool) {
	then := map[float64]uint64{}
	for _, b := range before.GetBucket() {
		then[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	total := float64(now.GetSampleCount()) - float64(before.GetSampleCount())
	if total <= 0 {
		return 0, false
	}
	lower, below := 0.0, 0.0
	for _, b := range now.GetBucket() {
		bound, n := b.GetUpperBound(), float64(b.GetCumulativeCount())-float64(then[b.GetUpperBound()])
		if n >= q*total && !math.IsInf(bound, 1) {
			return lower + (bound-lower)*(q*total-below)/max(n-below, 1), true
		}
		lower, below = bound, n
	}
	return lower, true
}
