package rest

import (
	"net/http"
)

// countedHandler is a handler of those who manage topics and groups. What it makes for its answer
// is counted as the answers to consumers are: it takes memory for it before it makes it. Of the
// text there is never more than a little: it is written as it is made (see answer).
type countedHandler func(w http.ResponseWriter, r *http.Request, memory *share) error

// counting gives a handler a share of the memory of answers.
func (s *Server) counting(h countedHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		memory := s.readShare(r.Context())
		defer memory.giveBack()
		return h(w, r, memory)
	}
}

// What the parts of an answer take, about, with what they are made from.
const (
	pointerBytes     = 8
	listedTopicBytes = 192
	partitionBytes   = 64
	groupBytes       = 320
	listedGroupBytes = 512
	describedBytes   = 512 << 10 // a group's members or a topic's configs
	offsetBytes      = 512
	claimBytes       = 512
	listedNameBytes  = 64
	listedUserBytes  = 320
	listedACLBytes   = 512
	listedQuotaBytes = 512

	// A body in JSON grows at most that much when it is read: into maps of short names, say.
	adminBodyFactor = 16
)
