package rest

import (
	"net/http"

	"firn.dev/ingest/costs"
)

// producerList is what producers that speak Kafka's protocol send to this node.
type producerList struct {
	Node      int32            `json:"node"`
	Producers []costs.Producer `json:"producers"`
}

func (s *Server) costs(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	answer(w, http.StatusOK, typeJSON, producerList{s.opts.Node.Info().ID, s.opts.Costs.List()})
	return nil
}
