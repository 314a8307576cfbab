package cloud

import (
	"fmt"
	"slices"
	"time"
)

// Setting is a cluster and what it is asked to do. Zero values mean their defaults.
type Setting struct {
	Name      string
	Profile   *Profile // Standard
	Nodes     int      // 1
	Budget    float64  // puts per second of each node; 0: none
	Shared    bool     // Budget is of all nodes together
	Carry     int      // bytes of a segment that is put together with its journal object; 0: none is
	Records   float64  // per second, of all producers together; 0: nothing is written
	Producers int      // 1
	InFlight  int      // requests of a producer at once, to each node; 5, as idempotent producers have it
	Linger    time.Duration
	Warm, For time.Duration // the figures are of For, which comes after Warm
	Even      bool          // records come at even intervals; otherwise at random ones (a Poisson process)
	Seed      uint64
}

const (
	partitions  = 12
	recordBytes = 1024
	mib         = 1 << 20

	defaultBudget = 8                     // of `firn serve` on s3
	carried       = 8 * mib               // likewise
	defaultLinger = 10 * time.Millisecond // franz-go's
	idempotent    = 5                     // requests in flight
)

func (s Setting) withDefaults() Setting {
	if s.Profile == nil {
		s.Profile = &Standard
	}
	s.Nodes, s.Producers = max(s.Nodes, 1), max(s.Producers, 1)
	if s.InFlight == 0 {
		s.InFlight = idempotent
	}
	if s.Linger == 0 {
		s.Linger = defaultLinger
	}
	if s.Warm == 0 {
		s.Warm = 20 * time.Second
	}
	if s.For == 0 {
		s.For = time.Minute
	}
	return s
}

// Result is what a Setting came to. Latencies are of records, from the moment at which each should
// have been sent to its acknowledgement, in milliseconds.
type Result struct {
	Setting       string  `json:"setting"`
	Profile       string  `json:"profile"`
	Nodes         int     `json:"nodes"`
	Producers     int     `json:"producers"`
	InFlight      int     `json:"inFlight"`
	LingerMillis  float64 `json:"lingerMillis"`
	Budget        float64 `json:"putBudget"`
	Shared        bool    `json:"putBudgetShared"` // by all nodes
	RecordsSecond float64 `json:"recordsPerSecond"`
	Seconds       float64 `json:"seconds"`

	Records int     `json:"records"`
	Failed  int     `json:"failed"`
	P50     float64 `json:"p50Millis"`
	P99     float64 `json:"p99Millis"`
	P999    float64 `json:"p999Millis"`

	PutsSecond     float64 `json:"putsPerSecond"`
	Gets           int64   `json:"gets"`
	Lists          int64   `json:"lists"`
	Busy           int64   `json:"busy"`
	DollarsGiB     float64 `json:"dollarsPerGiB"`   // of requests and transfers, for what was written
	DollarsMonth   float64 `json:"dollarsPerMonth"` // of the same, if it went on like this
	DollarsKeeping float64 `json:"dollarsPerGiBMonth"`
}

// quantile returns a percentile of sorted times, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := min(int(float64(len(sorted))*q), len(sorted)-1)
	return float64(sorted[at]) / float64(time.Millisecond)
}

func (s *Setting) result(took []time.Duration, failed int, used Usage, span time.Duration) Result {
	slices.Sort(took)
	r := Result{
		Setting: s.Name, Profile: s.Profile.Name, Nodes: s.Nodes, Producers: s.Producers, InFlight: s.InFlight,
		LingerMillis: float64(s.Linger) / float64(time.Millisecond), Budget: s.Budget, Shared: s.Shared,
		RecordsSecond: s.Records, Seconds: span.Seconds(), Records: len(took), Failed: failed,
		P50: quantile(took, 0.5), P99: quantile(took, 0.99), P999: quantile(took, 0.999),
		PutsSecond: float64(used.Puts) / span.Seconds(), Gets: used.Gets, Lists: used.Lists, Busy: used.Busy,
		DollarsKeeping: s.Profile.Prices.Month,
	}
	dollars := used.Dollars(&s.Profile.Prices)
	r.DollarsMonth = dollars * month.Seconds() / span.Seconds()
	if n := len(took); n > 0 {
		r.DollarsGiB = dollars / (float64(n) * recordBytes / (1 << 30))
	}
	return r
}

// budgetOf writes a put budget as --put-budget takes it.
func budgetOf(perSecond float64, shared bool) string {
	if shared {
		return fmt.Sprintf("%g/cluster", perSecond)
	}
	return fmt.Sprintf("%g", perSecond)
}

// load names a number of records a second.
func load(records float64) string {
	if records >= mib/recordBytes {
		return fmt.Sprintf("%g MiB/s", records*recordBytes/mib)
	}
	return fmt.Sprintf("%g records/s", records)
}

// String is a setting in one line.
func (s *Setting) String() string {
	budget := "no budget"
	if s.Budget > 0 {
		budget = "budget " + budgetOf(s.Budget, s.Shared)
	}
	return fmt.Sprintf("%s, %s, nodes %d, producers %d, in flight %d, %s", s.Profile.Name, s.Name, s.Nodes, s.Producers,
		s.InFlight, budget)
}
