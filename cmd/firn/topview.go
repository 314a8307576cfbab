package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Values with a unit, which tables show and JSON leaves to the field's name.
type (
	perSecond      float64
	bytesPerSecond float64
	millis         float64
	dollars        float64
	byteTotal      int64
)

func (v perSecond) String() string {
	if v != 0 && v < 10 && v > -10 {
		return fmt.Sprintf("%.1f", float64(v))
	}
	return fmt.Sprintf("%.0f", float64(v))
}

func (v bytesPerSecond) String() string { return byteCount(int64(v)) }
func (v byteTotal) String() string      { return byteCount(int64(v)) }
func (v millis) String() string         { return fmt.Sprintf("%.1f", float64(v)) }
func (v dollars) String() string        { return fmt.Sprintf("$%.4f", float64(v)) }

// topView is one screen of top.
type topView struct {
	Time          time.Time      `json:"time" table:"-"`
	Seconds       float64        `json:"seconds" table:"-"` // that rates are over
	Up            string         `json:"up"`
	Records       perSecond      `json:"records_per_second" table:"records/s"`
	In            bytesPerSecond `json:"bytes_in_per_second" table:"in/s"`
	Out           bytesPerSecond `json:"bytes_out_per_second" table:"out/s"`
	Requests      perSecond      `json:"requests_per_second" table:"requests/s"`
	StoreRequests perSecond      `json:"store_requests_per_second" table:"bucket requests/s"`
	Dollars       dollars        `json:"dollars_per_hour" table:"for requests, an hour"`
	Nodes         []topNode      `json:"nodes"`
	Topics        []topTopic     `json:"topics"`
	Groups        []topGroup     `json:"groups"`
	// that cost more than they need to
	Producers []costlyProducer `json:"costly_producers"`
}

type topNode struct {
	Node          int32          `json:"node"`
	URL           string         `json:"url"`
	In            bytesPerSecond `json:"bytes_in_per_second" table:"in/s"`
	Out           bytesPerSecond `json:"bytes_out_per_second" table:"out/s"`
	Requests      perSecond      `json:"requests_per_second" table:"req/s"`
	Errors        perSecond      `json:"errors_per_second" table:"err/s"`
	Connections   int64          `json:"connections" table:"conns"`
	Produce50     *millis        `json:"produce_p50_ms" table:"p50 ms"`
	Produce99     *millis        `json:"produce_p99_ms" table:"p99 ms"`
	StoreRequests perSecond      `json:"store_requests_per_second" table:"bucket/s"`
	Dollars       dollars        `json:"dollars_per_hour" table:"$/h"`
	State         string         `json:"state"` // up, or what is wrong
}

type topTopic struct {
	Topic      string    `json:"topic"`
	Partitions int       `json:"partitions"`
	Rate       perSecond `json:"records_per_second" table:"records/s"`
	Records    int64     `json:"records"`
	Bytes      byteTotal `json:"bytes"`
}

type topGroup struct {
	Group string    `json:"group"`
	Topic string    `json:"topic"`
	Lag   int64     `json:"lag"`
	Rate  perSecond `json:"lag_per_second" table:"lag/s"` // by which it grows
}

// moment is what all nodes said at about one time, by their URLs.
type moment struct {
	at      time.Time
	ids     map[string]int32
	scrapes map[string]*scrape
	errors  map[string]error
}

// view is what changed between two moments. At most rows topics and groups are in it, those first
// that have most to do.
func (m *moment) view(before *moment, rows int) topView {
	seconds := m.at.Sub(before.at).Seconds()
	v := topView{Time: m.at.UTC(), Seconds: seconds, Nodes: []topNode{}}
	up := 0
	for _, url := range slices.SortedFunc(maps.Keys(m.ids), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.ids[a], m.ids[b]), cmp.Compare(a, b))
	}) {
		n := topNode{Node: m.ids[url], URL: url, State: "up"}
		if err := m.errors[url]; err != nil {
			n.State = reason(err).Error()
		} else {
			n.measure(m.scrapes[url], before.scrapes[url])
			up++
		}
		v.In, v.Out, v.Requests = v.In+n.In, v.Out+n.Out, v.Requests+n.Requests
		v.StoreRequests, v.Dollars = v.StoreRequests+n.StoreRequests, v.Dollars+n.Dollars
		v.Nodes = append(v.Nodes, n)
	}
	v.Up = fmt.Sprintf("%d of %d nodes", up, len(m.ids))
	v.Topics, v.Records = topTopics(m.partitions(), before.partitions(), seconds, rows)
	v.Groups = topGroups(m.lags(), before.lags(), seconds, rows)
	v.Producers = m.costly(rows)
	return v
}

// measure fills in what a node did since the scrape before.
func (n *topNode) measure(now, before *scrape) {
	rate := func(name string, labels map[string]string) float64 { return now.rateOf(before, name, labels) }
	n.In, n.Out = bytesPerSecond(rate(metricBytesIn, nil)), bytesPerSecond(rate(metricBytesOut, nil))
	n.Requests = perSecond(rate(metricRequests, nil))
	n.Errors = max(0, n.Requests-perSecond(rate(metricRequests, map[string]string{"error": "none"})))
	n.Connections = int64(now.sum(metricConnections, nil))
	produce := map[string]string{"api": "Produce"}
	n.Produce50 = now.quantile(before, 0.5, metricLatency, produce)
	n.Produce99 = now.quantile(before, 0.99, metricLatency, produce)
	n.StoreRequests = perSecond(rate(metricStore, nil))
	op := func(metric, op string) float64 { return rate(metric, map[string]string{"op": op}) }
	// As in the alert about costs, at the list prices of S3 Standard: an upload is two requests and
	// one for each 8 MiB, deletes are free.
	writes := op(metricStore, "put") + op(metricStore, "list") + 2*op(metricStore, "upload") +
		op(metricStoreBytes, "upload")/(8<<20)
	n.Dollars = dollars(3600 * (writes*5e-6 + op(metricStore, "get")*0.4e-6))
	for m, since := range now.each(metricFailing, nil) {
		if since > 0 {
			n.State = fmt.Sprintf("%s fails for %.0fs", labelOf(m, "dependency"), since)
		}
	}
}

// partitionState is what the nodes say of a partition. Each is a little behind the others at times.
type partitionState struct{ start, end, size float64 }

// partitions are the partitions of each topic.
func (m *moment) partitions() map[string]map[string]partitionState {
	found := map[string]map[string]partitionState{}
	for _, s := range m.scrapes {
		for name, set := range map[string]func(p *partitionState, v float64){
			metricEnd:   func(p *partitionState, v float64) { p.end = max(p.end, v) },
			metricStart: func(p *partitionState, v float64) { p.start = max(p.start, v) },
			metricSize:  func(p *partitionState, v float64) { p.size = max(p.size, v) },
		} {
			for metric, value := range s.each(name, nil) {
				topic, partition := labelOf(metric, "topic"), labelOf(metric, "partition")
				if found[topic] == nil {
					found[topic] = map[string]partitionState{}
				}
				p := found[topic][partition]
				set(&p, value)
				found[topic][partition] = p
			}
		}
	}
	return found
}

// topTopics are the topics that get most records, and what all of them get.
func topTopics(now, before map[string]map[string]partitionState, seconds float64,
	rows int) (list []topTopic, all perSecond) {
	list = []topTopic{}
	for topic, partitions := range now {
		t := topTopic{Topic: topic, Partitions: len(partitions)}
		grown := 0.0
		for partition, p := range partitions {
			t.Records += int64(p.end - p.start)
			t.Bytes += byteTotal(p.size)
			if then, there := before[topic][partition]; there {
				grown += max(0, p.end-then.end)
			}
		}
		if seconds > 0 {
			t.Rate = perSecond(grown / seconds)
		}
		all += t.Rate
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b topTopic) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Topic, b.Topic))
	})
	return list[:min(len(list), rows)], all
}

// groupTopic is a topic that a group reads.
type groupTopic struct{ group, topic string }

// lags is how far groups are behind.
func (m *moment) lags() map[groupTopic]float64 {
	found := map[groupTopic]float64{}
	for _, s := range m.scrapes {
		for metric, value := range s.each(metricLag, nil) {
			of := groupTopic{labelOf(metric, "group"), labelOf(metric, "topic")}
			found[of] = max(found[of], value)
		}
	}
	return found
}

// topGroups are the groups that are furthest behind.
func topGroups(now, before map[groupTopic]float64, seconds float64, rows int) []topGroup {
	list := []topGroup{}
	for of, lag := range now {
		g := topGroup{Group: of.group, Topic: of.topic, Lag: int64(lag)}
		if then, there := before[of]; there && seconds > 0 {
			g.Rate = perSecond((lag - then) / seconds)
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b topGroup) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic))
	})
	return list[:min(len(list), rows)]
}

// costly are the producers that cost more than they need to, those first that send most requests.
func (m *moment) costly(rows int) []costlyProducer {
	list := []costlyProducer{}
	for _, s := range m.scrapes {
		list = append(list, s.costly...)
	}
	slices.SortFunc(list, func(a, b costlyProducer) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Producer, b.Producer), cmp.Compare(a.Node, b.Node))
	})
	return list[:min(len(list), rows)]
}
