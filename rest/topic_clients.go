package rest

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/segments"
)

// topicClients is what is known of those that read and write a topic.
type topicClients struct {
	Groups []topicReader `json:"groups"`
	// those that are idempotent; of others nothing is remembered
	Producers []topicWriter `json:"producers"`
	More      bool          `json:"more,omitempty"` // there are more than maxListed of either
}

// topicReader is a group that has committed offsets for a topic.
type topicReader struct {
	Group       string `json:"group"`
	Partitions  int    `json:"partitions"` // that it has committed offsets for
	Lag         int64  `json:"lag"`
	CommittedAt string `json:"committed_at"` // the newest
}

// topicWriter is a producer that a topic's partitions remember.
type topicWriter struct {
	ProducerID      int64  `json:"producer_id"`
	ProducerEpoch   int16  `json:"producer_epoch"`
	TransactionalID string `json:"transactional_id,omitempty"`
	Partitions      int    `json:"partitions"`
	LastTimestamp   string `json:"last_timestamp"` // of its records
}

// listTopicClients lists the groups that read a topic, and the producers that write it.
func (s *Server) listTopicClients(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	view, bytes := s.view(), int64(0)
	for i := range t.Partitions {
		bytes += int64(view.ProducerCount(segments.Partition{Topic: t.ID, Index: i})) * listedTopicBytes
	}
	if err := memory.grow(r.Context(), bytes+int64(view.GroupCount())*listedNameBytes); err != nil {
		return err
	}
	list := topicClients{Groups: []topicReader{}, Producers: []topicWriter{}}
	for _, group := range view.Groups() {
		if err := r.Context().Err(); err != nil {
			return err
		}
		if !allows(r, access.Describe, access.Group, group) {
			continue
		}
		lag := groups.LagOf(view, group, t.ID)
		if lag.Partitions == 0 {
			continue
		}
		if len(list.Groups) == maxListed {
			list.More = true
			break
		}
		list.Groups = append(list.Groups, topicReader{group, lag.Partitions, lag.Records, millisText(lag.Time)})
	}
	if allows(r, access.Read, access.Topic, t.Name) { // as DescribeProducers asks for
		list.Producers = topicWriters(r, view, t)
	}
	if len(list.Producers) > maxListed {
		list.Producers, list.More = list.Producers[:maxListed], true
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// topicWriters are the producers that the partitions of a topic remember, those first that wrote
// last.
func topicWriters(r *http.Request, view *coordinator.View, t *coordinator.Topic) []topicWriter {
	type known struct {
		topicWriter
		last int64
	}
	byID := map[int64]*known{}
	for i := range t.Partitions {
		for _, p := range view.Producers(segments.Partition{Topic: t.ID, Index: i}) {
			k := byID[p.ProducerID]
			if k == nil {
				k = &known{topicWriter: topicWriter{ProducerID: p.ProducerID}}
				byID[p.ProducerID] = k
			}
			k.Partitions++
			k.ProducerEpoch, k.last = max(k.ProducerEpoch, p.Epoch), max(k.last, p.LastTimestamp)
		}
	}
	writers := []known{}
	for id, k := range byID {
		if of, is := view.TransactionalIDOf(id); is && allows(r, access.Describe, access.TransactionalID, of.ID) {
			k.TransactionalID = of.ID
		}
		k.LastTimestamp = millisText(k.last)
		writers = append(writers, *k)
	}
	slices.SortFunc(writers, func(a, b known) int {
		return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.ProducerID, b.ProducerID))
	})
	list := make([]topicWriter, len(writers))
	for i := range writers {
		list[i] = writers[i].topicWriter
	}
	return list
}

// millisText is a time as JSON has it.
func millisText(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}
