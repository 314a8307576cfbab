package cloud

import (
	"sync/atomic"
	"time"
)

// Prices are list prices in dollars, of us-east-1.
type Prices struct {
	Put      float64 // of a put, a part or a list
	Get      float64
	Upload   float64 // of a GiB sent
	Download float64 // of a GiB read
	Month    float64 // of keeping a GiB for a month
}

// From https://aws.amazon.com/s3/pricing and, of S3 Express One Zone, the examples of
// https://aws.amazon.com/s3/faqs: the prices since 10 April 2025, when those of Express were
// lowered. Deletes are free, and so is what is answered with 503.
var (
	standardPrices = Prices{Put: 0.005 / 1000, Get: 0.0004 / 1000, Month: 0.023}
	expressPrices  = Prices{Put: 0.00113 / 1000, Get: 0.00003 / 1000, Upload: 0.0032, Download: 0.0006, Month: 0.11}
)

// Meter counts requests.
type Meter struct {
	requests [kinds]atomic.Int64
	busy     atomic.Int64
	up, down atomic.Int64 // bytes
}

// count counts a request that sends so many bytes.
func (m *Meter) count(kind Kind, bytes int64) {
	m.requests[kind].Add(1)
	m.up.Add(bytes)
}

// Usage is what a Meter has counted.
type Usage struct {
	Puts, Gets, Lists, Deletes, Busy int64
	Up, Down                         int64 // bytes
}

// Usage returns what has been counted so far.
func (m *Meter) Usage() Usage {
	return Usage{
		Puts: m.requests[Put].Load(), Gets: m.requests[Get].Load(), Lists: m.requests[List].Load(),
		Deletes: m.requests[Delete].Load(), Busy: m.busy.Load(), Up: m.up.Load(), Down: m.down.Load(),
	}
}

// Since returns what came after an earlier Usage.
func (u Usage) Since(earlier Usage) Usage {
	return Usage{
		Puts: u.Puts - earlier.Puts, Gets: u.Gets - earlier.Gets, Lists: u.Lists - earlier.Lists,
		Deletes: u.Deletes - earlier.Deletes, Busy: u.Busy - earlier.Busy, Up: u.Up - earlier.Up,
		Down: u.Down - earlier.Down,
	}
}

// Dollars is what requests and transfers cost. What is kept costs Prices.Month beside it.
func (u Usage) Dollars(p *Prices) float64 {
	const gib = 1 << 30
	return float64(u.Puts+u.Lists)*p.Put + float64(u.Gets)*p.Get +
		float64(u.Up)/gib*p.Upload + float64(u.Down)/gib*p.Download
}

// month is an average one.
const month = 730 * time.Hour
