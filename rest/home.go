package rest

import (
	"net/http"
	"strings"

	"firn/coordinator"
	"firn/segments"
)

// maxListed is how many topics / lists.
const maxListed = 1000

// home is what / says.
type home struct {
	Service   string            `json:"service"`
	ClusterID string            `json:"cluster_id"`
	Paths     map[string]string `json:"paths"`
	Topics    []topic           `json:"topics"` // the first of them, by name
	Total     int               `json:"topics_total"`
}

// topic is a topic in that list.
type topic struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Partitions int32  `json:"partitions"`
	Records    int64  `json:"records"` // offsets between log start and high watermark
	Bytes      int64  `json:"bytes"`
}

// home lists what there is.
func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	topics := s.opts.View.Topics()
	h := home{Service: "firn", ClusterID: s.opts.View.ClusterID(), Total: len(topics), Topics: []topic{}, Paths: map[string]string{}}
	for _, r := range s.routeList() {
		h.Paths[strings.TrimSuffix(strings.TrimSpace(r.method+" "+r.pattern), "{$}")] = r.summary
	}
	for _, t := range topics[:min(len(topics), maxListed)] {
		h.Topics = append(h.Topics, s.describe(t))
	}
	answer(w, http.StatusOK, "application/json", h)
}

// describe adds a topic's partitions up.
func (s *Server) describe(t *coordinator.Topic) topic {
	d := topic{Name: t.Name, ID: t.ID.String(), Partitions: t.Partitions}
	for i := range t.Partitions {
		if info, ok := s.opts.View.Partition(segments.Partition{Topic: t.ID, Index: i}); ok {
			d.Records += info.HighWatermark - info.LogStart
			d.Bytes += info.Bytes
		}
	}
	return d
}
