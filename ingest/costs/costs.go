// Package costs knows what each producer sends to a node, and which of them cost more than they
// need to: requests that could be fewer, and bytes that could be compressed.
package costs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Request is what one Produce had.
type Request struct {
	Batches, Records int
	Bytes            int64 // of batches, as they came
	Plain            int64 // of batches that came uncompressed
	Kept             int64 // what is stored of those
}

// Sum is what several had.
type Sum struct {
	Requests int64 `json:"requests"`
	Batches  int64 `json:"batches"`
	Records  int64 `json:"records"`
	Bytes    int64 `json:"bytes"`
	Plain    int64 `json:"plain_bytes"`
	Kept     int64 `json:"plain_bytes_kept"`

	hosts map[string]struct{} // that sent them, mostHosts at most
}

func (s *Sum) add(o Sum) {
	s.Requests, s.Batches, s.Records = s.Requests+o.Requests, s.Batches+o.Batches, s.Records+o.Records
	s.Bytes, s.Plain, s.Kept = s.Bytes+o.Bytes, s.Plain+o.Plain, s.Kept+o.Kept
	for host := range o.hosts {
		s.sentBy(host)
	}
}

// sentBy notes that a host is among those that sent it.
func (s *Sum) sentBy(host string) {
	if s.hosts == nil {
		s.hosts = map[string]struct{}{}
	}
	if len(s.hosts) < mostHosts {
		s.hosts[host] = struct{}{}
	}
}

// Bounds of what is remembered.
const (
	window    = 5 * time.Minute // what is older than twice this is forgotten
	mostIDs   = 1000            // in a window; what more of them send is counted together, under Others
	mostHosts = 32              // of an id
	longest   = 256             // bytes of an id; longer ones are counted under their beginning
)

// Others is the id of those that are beyond mostIDs.
const Others = "(others)"

// Producers counts what producers send, by their client ids. All its methods may be called at once.
type Producers struct {
	clock func() time.Time

	mu      sync.Mutex
	current map[string]*Sum
	before  map[string]*Sum // of the window before
	begun   time.Time       // the current window
	since   time.Time       // the one before, or when counting began
}

// NewProducers returns one that tells the metrics how many producers cost more than they need to.
func NewProducers(reg prometheus.Registerer) (*Producers, error) {
	p := newCounter(time.Now)
	for _, config := range []string{compressionType, lingerMs} {
		err := reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firn_kafka_costly_producers",
			Help: "Producers, by their client ids, that cost more than they need to, by the config of theirs that would " +
				"change it: see GET /v1/producers.",
			ConstLabels: prometheus.Labels{"config": config},
		}, func() float64 { return float64(p.advised(config)) }))
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

func newCounter(clock func() time.Time) *Producers {
	now := clock()
	return &Producers{clock: clock, current: map[string]*Sum{}, begun: now, since: now}
}

// Add counts a request of a client that is at a host. Without a counter it does nothing.
func (p *Producers) Add(clientID, host string, r Request) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn()
	id := strings.Clone(strings.ToValidUTF8(clientID[:min(len(clientID), longest)], "�"))
	sum := p.current[id]
	if sum == nil && len(p.current) >= mostIDs {
		id = Others
		sum = p.current[id]
	}
	if sum == nil {
		sum = &Sum{}
		p.current[id] = sum
	}
	sum.add(Sum{Requests: 1, Batches: int64(r.Batches), Records: int64(r.Records), Bytes: r.Bytes, Plain: r.Plain,
		Kept: r.Kept})
	sum.sentBy(host)
}

// turn begins the next window when it is time. The caller holds mu.
func (p *Producers) turn() {
	now := p.clock()
	switch passed := now.Sub(p.begun); {
	case passed >= 2*window:
		p.before, p.current, p.since, p.begun = nil, map[string]*Sum{}, now, now
	case passed >= window:
		p.before, p.current, p.since, p.begun = p.current, map[string]*Sum{}, p.begun, now
	}
}

// Producer is what one sent in the last minutes, and what would make it cost less.
type Producer struct {
	ClientID string  `json:"client_id"`
	Seconds  float64 `json:"seconds"` // in which it sent that
	Sum
	Advice []Advice `json:"advice"`
}

// Advice is a config of Kafka's producers, and why to set it.
type Advice struct {
	Config string `json:"config"`
	Text   string `json:"text"`
}

// List returns the producers of the last five to ten minutes, those first that send most requests;
// none without a counter.
func (p *Producers) List() []Producer {
	if p == nil {
		return []Producer{}
	}
	sums, seconds := p.sums()
	list := make([]Producer, 0, len(sums))
	for id, sum := range sums {
		one := Producer{ClientID: id, Seconds: seconds, Sum: sum}
		one.Advice = one.advise()
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Producer) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.ClientID, b.ClientID))
	})
	return list
}

// sums is what each sent, and in how many seconds.
func (p *Producers) sums() (map[string]Sum, float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn()
	sums := map[string]Sum{}
	for _, counted := range []map[string]*Sum{p.before, p.current} {
		for id, s := range counted {
			sum := sums[id]
			sum.add(*s)
			sums[id] = sum
		}
	}
	return sums, p.clock().Sub(p.since).Seconds()
}

// The configs that advice is about.
const (
	compressionType = "compression.type"
	lingerMs        = "linger.ms"
)

// When there is advice. A linger of 50 ms makes 20 requests a second to each node at most.
const (
	enough      = 30.0     // seconds; before that little is known
	muchPlain   = 10 << 10 // bytes a second
	shrinks     = 0.8      // of what came plain, at most, is kept
	manyRequest = 30.0     // a second
	lingering   = 20.0     // requests a second of one that lingers
	smallBytes  = 16 << 10 // of a request
)

func (p *Producer) advise() []Advice {
	advice := []Advice{}
	if p.Seconds < enough || p.Requests == 0 || p.ClientID == Others {
		return advice
	}
	rate := float64(p.Requests) / p.Seconds / float64(max(len(p.hosts), 1)) // of each: a host has one, about
	perRequest := float64(p.Records) / float64(p.Requests)
	if rate >= manyRequest && p.Bytes/p.Requests < smallBytes {
		advice = append(advice, Advice{lingerMs, fmt.Sprintf("%.0f requests a second of %.1f records each: with "+
			"linger.ms=50 it would be %.0f of %.0f", rate, perRequest, lingering, perRequest*rate/lingering)})
	}
	if float64(p.Plain)/p.Seconds >= muchPlain && 2*p.Plain >= p.Bytes && float64(p.Kept) <= shrinks*float64(p.Plain) {
		share := float64(p.Kept) / float64(p.Plain)
		advice = append(advice, Advice{compressionType, fmt.Sprintf("%.0f KiB a second come uncompressed, and shrink to "+
			"%.0f %%: with compression.type=lz4 or zstd it would send that, and the node need not compress it",
			float64(p.Plain)/p.Seconds/1024, 100*share)})
	}
	return advice
}

// advised counts those that have advice about a config.
func (p *Producers) advised(config string) (n int) {
	for _, one := range p.List() {
		if slices.ContainsFunc(one.Advice, func(a Advice) bool { return a.Config == config }) {
			n++
		}
	}
	return n
}
