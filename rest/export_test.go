package rest

import (
	"context"
	"net/http"
	"net/netip"

	"firn.dev/access"
	"firn.dev/budget"
	"firn.dev/coordinator"
)

// Route is a row of the table of routes, for tests that go through all of them.
type Route struct {
	Method, Pattern string
	Open, Itself    bool
	Needs, Asks     []access.Need
}

// Routes returns the table.
func (s *Server) Routes() (all []Route) {
	for _, r := range s.routeList() {
		all = append(all, Route{r.method, r.pattern, r.open, r.itself, r.needs, r.asks})
	}
	return all
}

// Admin answers probes and metrics alone, as a listener of their own does.
func (s *Server) Admin() http.Handler { return s.admin }

// Polls and Tails are how many requests wait for records, and how many read as they come.
func (s *Server) Polls() int { return len(s.readers.polls) }
func (s *Server) Tails() int { return len(s.readers.tails) }

// ReadMemory and WriteMemory are what answers and requests take their memory from.
func (s *Server) ReadMemory() *budget.Pool  { return s.readers.memory }
func (s *Server) WriteMemory() *budget.Pool { return s.producers.memory }

// TakeReadMemory takes all the memory for answers that an address may have, in pieces that are no
// small ones, until it is given back.
func (s *Server) TakeReadMemory(at netip.Addr) (giveBack func()) {
	h := s.readShare(context.WithValue(context.Background(), addressKey{}, at))
	for h.hold.TryGrow(64 << 10) {
	}
	return h.giveBack
}

// ProvePeer adds to a request what a node adds that forwards it for a client.
func (s *Server) ProvePeer(out *http.Request, client access.Client, to coordinator.NodeInfo, body []byte) error {
	return s.provePeer(out, client, to, body)
}

// Authenticate and DecodeRecords are parts of a request, for benchmarks.
func (s *Server) Authenticate(r *http.Request) error {
	_, err := s.authenticate(r)
	return err
}

func (s *Server) DecodeRecords(r *http.Request) (int, error) {
	held := s.requestShare(r)
	defer held.giveBack()
	records, err := s.decodeRecords(r, held)
	return len(records), err
}
