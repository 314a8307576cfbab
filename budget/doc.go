// Package budget gives memory to the requests of many clients, so that none of them can take it
// from the others. The front doors use it; it knows nothing of protocols.
//
// A Pool has a number of bytes. Each connection is a Client of it, and each request takes what it
// needs as a Hold, before it allocates.
//
//   - Every client has a little memory of its own (Options.Own), beside the pool's. Requests that
//     fit into it wait for nobody, whatever the others do: heartbeats, commits, lookups.
//   - A quarter of the pool is a reserve for clients that hold little (Options.Small). All that is
//     larger shares the rest.
//   - The clients of one address hold half of either at most.
//   - When there is no room, requests wait: small ones go first, then those of the address that
//     holds least, then the oldest. A request that has waited for Options.Wait is refused.
//   - Requests may grow while they hold something, so they could all come to wait for each other.
//     Therefore those of an address that wait hold half of its share at most; beyond that the
//     youngest are refused, and what they held serves the oldest.
package budget

import (
	"cmp"
	"errors"
	"net/netip"
	"time"
)

// ErrFull is returned when there was no room for a request for too long. Its client may come again.
var ErrFull = errors.New("no room in memory")

// ErrTooLarge is returned when a request would never find room. Coming again does not help.
var ErrTooLarge = errors.New("more memory than one client may hold")

// Options of a Pool. Limit and Bytes are required.
type Options struct {
	Limit   string // the name of the limit, for errors
	Bytes   int64
	Largest int64         // what one request may need; the share of an address is never less
	Own     int64         // of each client, beside Bytes
	Small   int64         // what a client may hold and still draw on the reserve; Bytes/256, at most 256 KiB
	Wait    time.Duration // for room; 0: as long as the request's context allows
}

const maxSmall = 256 << 10

func (o Options) withDefaults() Options {
	o.Small = cmp.Or(o.Small, min(o.Bytes/256, maxSmall))
	return o
}

// AddressOf is the address by which a client is known, given host:port: an IPv4 address, or the
// network of an IPv6 address, since one host has all of its 2^64 addresses. Transports without
// addresses share the zero one.
func AddressOf(hostPort string) netip.Addr {
	parsed, _ := netip.ParseAddrPort(hostPort)
	address := parsed.Addr().Unmap()
	if address.Is6() {
		if network, err := address.WithZone("").Prefix(64); err == nil && !address.IsLoopback() {
			return network.Addr()
		}
	}
	return address
}
