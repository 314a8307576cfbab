// Package cloud measures what Firn's acknowledgements take and cost on an object store that is paid
// for by the request: Amazon S3, simulated.
//
//   - A Profile (profile.go) says how long requests take: S3 Standard, S3 Express One Zone, and a
//     bad day of S3 Standard. Times are drawn from lognormal distributions.
//   - A Bucket (bucket.go) is a store whose requests take that long, with a Meter (meter.go) that
//     counts them and knows list prices.
//   - A Proxy (proxy.go) does the same to the requests that pass it, before a real server.
//   - A Setting (setting.go, settings.go) is a cluster and a load. Run (run.go) runs whole servers
//     and franz-go's producers in virtual time (testing/synctest), over connections in memory
//     (cluster.go). So an hour of S3 takes seconds, and the figures do not depend on the machine:
//     what processors and networks need is not in them.
package cloud

import (
	"math"
	"math/rand/v2"
	"time"
)

// Times is a lognormal distribution, by two of its percentiles.
type Times struct{ P50, P99 time.Duration }

// z99 is how many standard deviations the 99th percentile of a normal distribution lies above the
// median.
const z99 = 2.3263

func (t Times) draw(r *rand.Rand) time.Duration {
	sigma := math.Log(float64(t.P99)/float64(t.P50)) / z99
	return time.Duration(float64(t.P50) * math.Exp(sigma*r.NormFloat64()))
}

// Kind is what a request is, to the bill and to the clock.
type Kind int

// The kinds of request. An upload in parts is a Put for its beginning, each part and its end.
const (
	Put Kind = iota
	Get
	List
	Delete
	kinds
)

// Profile is how a store behaves.
type Profile struct {
	Name      string
	Small     Times // of puts up to a MiB
	Large     Times // of larger ones, beside what their bytes take
	Get       Times // to the first byte
	List      Times // of a page of 1,000 keys
	Delete    Times
	Bandwidth float64 // bytes per second of one request
	Busy      float64 // share of requests that are answered with 503
	Slow      float64 // share of puts that take SlowBy times as long
	SlowBy    float64
	Prices    Prices
}

// smallBytes is the largest put that is small.
const smallBytes = 1 << 20

// draw returns how long a request that sends so many bytes takes, and whether the store refuses it.
func (p *Profile) draw(r *rand.Rand, kind Kind, bytes int64) (took time.Duration, busy bool) {
	if r.Float64() < p.Busy {
		return p.Delete.draw(r), true
	}
	switch kind {
	case Put:
		took = p.Small.draw(r)
		if bytes > smallBytes {
			took = p.Large.draw(r) + p.transfer(bytes)
		}
		if r.Float64() < p.Slow {
			took = time.Duration(float64(took) * p.SlowBy)
		}
	case Get:
		took = p.Get.draw(r) // and what its bytes take
	case List:
		took = p.List.draw(r)
	case Delete:
		took = p.Delete.draw(r)
	}
	return took, false
}

func (p *Profile) transfer(bytes int64) time.Duration {
	return time.Duration(float64(bytes) / p.Bandwidth * float64(time.Second))
}

const ms = time.Millisecond

// Standard is S3 Standard: small puts and first bytes of gets within "roughly 100-200 ms" for AWS's
// own guide, within tens of milliseconds for those who have measured them from EC2.
var Standard = Profile{
	Name:  "standard",
	Small: Times{25 * ms, 120 * ms}, Large: Times{60 * ms, 250 * ms}, Get: Times{25 * ms, 120 * ms},
	List: Times{40 * ms, 150 * ms}, Delete: Times{25 * ms, 120 * ms},
	Bandwidth: 90e6,
	Prices:    standardPrices,
}

// Express is S3 Express One Zone, which AWS says answers in single-digit milliseconds.
var Express = Profile{
	Name:  "express",
	Small: Times{5 * ms, 15 * ms}, Large: Times{5 * ms, 15 * ms}, Get: Times{5 * ms, 15 * ms},
	List: Times{8 * ms, 25 * ms}, Delete: Times{5 * ms, 15 * ms},
	Bandwidth: 200e6,
	Prices:    expressPrices,
}

// BadDay is S3 Standard on a bad day.
var BadDay = badDay()

func badDay() Profile {
	p := Standard
	p.Name, p.Busy, p.Slow, p.SlowBy = "bad day", 0.01, 0.02, 10
	return p
}

// Profiles are all of them, by name.
func Profiles() map[string]*Profile {
	return map[string]*Profile{"standard": &Standard, "express": &Express, "bad-day": &BadDay}
}
