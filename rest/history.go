package rest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Bounds of what a node remembers of its last hour: about 12 MB at most.
const (
	historyPeriod  = 10 * time.Second
	historySamples = 360  // an hour of them
	maxTracked     = 1000 // topics, and groups, with a history of their own

	historySeries = 32 // of a node at most; a topic and a group have fewer
	// of a node's history while it is answered: its numbers and times, and what slices leave free
	historyBytes = (1 + historySeries) * historySamples * 12
)

// history is the last hour of this node. It is in memory alone, and begins anew with the process.
type history struct {
	mu     sync.Mutex
	taken  int // samples, those included that are forgotten
	times  [historySamples]int64
	node   map[string]*track // by the name of the series
	topics map[segments.TopicID]map[string]*track
	groups map[string]map[string]*track
}

func newHistory() *history {
	return &history{node: map[string]*track{}, topics: map[segments.TopicID]map[string]*track{},
		groups: map[string]map[string]*track{}}
}

// track is a number at each sample: that of sample n is at n%historySamples, NaN if not known.
type track struct {
	first, last int // samples of which it knows something
	values      [historySamples]float64
}

// note adds the numbers of the sample that is being taken.
func (h *history) note(to map[string]*track, values map[string]float64) {
	for name, v := range values {
		t := to[name]
		if t == nil || t.last < h.taken-historySamples {
			t = &track{first: h.taken, last: h.taken}
			to[name] = t
		}
		for n := t.last + 1; n < h.taken; n++ {
			t.values[n%historySamples] = math.NaN()
		}
		t.last = h.taken
		t.values[h.taken%historySamples] = v
	}
}

// keepTopics chooses the topics that are remembered: those that were, as long as there are any, and
// in the places that are free others in the order of their names.
func (h *history) keepTopics(all []*coordinator.Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := make(map[segments.TopicID]bool, len(all))
	for _, t := range all {
		there[t.ID] = true
	}
	for id := range h.topics {
		if !there[id] {
			delete(h.topics, id)
		}
	}
	for _, t := range all {
		if len(h.topics) >= maxTracked {
			return
		}
		if h.topics[t.ID] == nil {
			h.topics[t.ID] = map[string]*track{}
		}
	}
}

// keepGroups is keepTopics for groups, and returns those that are remembered.
func (h *history) keepGroups(view *coordinator.View) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.groups {
		if !view.GroupExists(name) {
			delete(h.groups, name)
		}
	}
	if len(h.groups) < maxTracked {
		for _, name := range view.Groups() {
			if h.groups[name] == nil && len(h.groups) < maxTracked {
				h.groups[name] = map[string]*track{}
			}
		}
	}
	return slices.Collect(maps.Keys(h.groups))
}

// numbers are values at times. NaN, one that is not known, is null in JSON.
type numbers []float64

// MarshalJSONTo implements json.MarshalerTo.
func (n numbers) MarshalJSONTo(out *jsontext.Encoder) error {
	if err := out.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, v := range n {
		token := jsontext.Null
		if !math.IsNaN(v) {
			token = jsontext.Float(v)
		}
		if err := out.WriteToken(token); err != nil {
			return err
		}
	}
	return out.WriteToken(jsontext.EndArray)
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (n *numbers) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	if token, err := in.ReadToken(); err != nil || token.Kind() != '[' {
		return cmp.Or(err, errNumbers)
	}
	*n = make(numbers, 0, historySamples)
	for in.PeekKind() != ']' {
		value := new(float64)
		if err := json.UnmarshalDecode(in, &value); err != nil {
			return err
		}
		if len(*n) == historySamples {
			return errNumbers
		}
		if value == nil {
			value = &unknown
		}
		*n = append(*n, *value)
	}
	_, err := in.ReadToken()
	return err
}

var unknown = math.NaN()

var errNumbers = fmt.Errorf("a series is a list of up to %d numbers and nulls", historySamples)

// timeline is numbers over time, the oldest first.
type timeline struct {
	PeriodSeconds float64            `json:"period_seconds"`
	Times         []int64            `json:"times"` // in milliseconds
	Series        map[string]numbers `json:"series"`
	Missing       string             `json:"missing,omitempty"` // why there are no series
}

// timeline returns what is remembered of some numbers. The lock is held.
func (h *history) timeline(of map[string]*track, period time.Duration) timeline {
	t := timeline{PeriodSeconds: period.Seconds(), Times: []int64{}, Series: map[string]numbers{}}
	from := max(0, h.taken-historySamples)
	for n := from; n < h.taken; n++ {
		t.Times = append(t.Times, h.times[n%historySamples])
	}
	for name, track := range of {
		values := make(numbers, h.taken-from)
		for n := range values {
			values[n] = math.NaN()
			if at := from + n; at >= track.first && at <= track.last {
				values[n] = track.values[at%historySamples]
			}
		}
		t.Series[name] = values
	}
	return t
}

// remember takes samples until ctx ends, if what they are asked by is served.
func (s *Server) remember(ctx context.Context) {
	if s.consuming() == nil {
		return
	}
	ticker := time.NewTicker(s.opts.HistoryPeriod)
	defer ticker.Stop()
	last := s.measure(time.Now())
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := s.measure(time.Now())
		s.addSample(last, now)
		last = now
	}
}

// addSample adds what happened between two measurements.
func (s *Server) addSample(before, now *measurement) {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times[h.taken%historySamples] = now.at.UnixMilli()
	h.note(h.node, now.since(before))
	for id, t := range now.topics {
		if h.topics[id] == nil {
			continue
		}
		values := map[string]float64{"records": float64(t.records), "bytes": float64(t.bytes)}
		if then, known := before.topics[id]; known {
			values["records_per_second"] = rate(float64(then.end), float64(t.end), now.at.Sub(before.at))
		}
		h.note(h.topics[id], values)
	}
	for name, lag := range now.lags {
		if h.groups[name] != nil {
			h.note(h.groups[name], map[string]float64{"lag": float64(lag)})
		}
	}
	h.taken++
}

// dependencyState is how something is that a node depends on.
type dependencyState struct {
	Name         string     `json:"name"`
	Vital        bool       `json:"vital"` // without it the node can do no work
	FailingSince *time.Time `json:"failing_since,omitempty"`
	Error        string     `json:"error,omitempty"`
}

// nodeHistory is the last hour of a node, and how what it depends on is now.
type nodeHistory struct {
	Node         int32             `json:"node"`
	Dependencies []dependencyState `json:"dependencies"`
	timeline
}

// clusterHistory is that of all nodes.
type clusterHistory struct {
	Nodes       []nodeHistory `json:"nodes"`
	Unreachable []int32       `json:"unreachable,omitempty"`
}

// historyRoutes are about the last hour, which nodes keep in their memory.
func (s *Server) historyRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: "/v1/cluster/history", handler: s.counting(s.clusterHistory),
			summary: "the last hour of each node, and what it depends on",
			rules:   needs(access.Requests, access.Describe.On(access.Cluster))},
		{method: http.MethodGet, pattern: "/v1/topics/{topic}/history", handler: s.counting(s.topicHistory),
			summary: "the last hour of a topic",
			rules:   needs(access.Requests, access.Describe.On(access.Topic))},
		{method: http.MethodGet, pattern: "/v1/groups/{group}/history", handler: s.counting(s.groupHistory),
			summary: "the last hour of a group: its lag",
			rules:   needs(access.Requests, access.Describe.On(access.Group)).asking(access.Describe.On(access.Topic))},
	}
}

// clusterHistory asks the other nodes for theirs.
func (s *Server) clusterHistory(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	if err := memory.grow(r.Context(), int64(1+len(s.opts.Node.Nodes()))*historyBytes); err != nil {
		return err
	}
	list := clusterHistory{Nodes: []nodeHistory{s.ownHistory()}}
	if r.Header.Get(forwardedField) == "" {
		var mu sync.Mutex
		list.Unreachable = s.askPeers(r, func(peer coordinator.NodeInfo) error {
			var theirs clusterHistory
			if err := s.askPeer(r.Context(), peer, "/v1/cluster/history", &theirs); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			list.Nodes = append(list.Nodes, theirs.Nodes...)
			return nil
		})
	}
	slices.SortFunc(list.Nodes, func(a, b nodeHistory) int { return int(a.Node) - int(b.Node) })
	answerAs(w, http.StatusOK, typeJSON, list, jsontext.Multiline(false))
	return nil
}

func (s *Server) ownHistory() nodeHistory {
	own := nodeHistory{Node: s.opts.Node.Info().ID, Dependencies: []dependencyState{}}
	for _, d := range s.opts.Health {
		state := dependencyState{Name: d.Name, Vital: d.Vital}
		if outage := d.Outage(); outage != nil {
			since := outage.Since.UTC()
			state.FailingSince, state.Error = &since, outage.Err.Error()
		}
		own.Dependencies = append(own.Dependencies, state)
	}
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	own.timeline = s.history.timeline(s.history.node, s.opts.HistoryPeriod)
	return own
}

func (s *Server) topicHistory(w http.ResponseWriter, r *http.Request, memory *share) error {
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	return s.answerTimeline(w, r, memory, func() (map[string]*track, string) {
		return s.history.topics[t.ID], notRemembered("topics")
	})
}

func (s *Server) groupHistory(w http.ResponseWriter, r *http.Request, memory *share) error {
	group := r.PathValue("group")
	_, all := s.lagOf(group, func(t *coordinator.Topic) bool { return allows(r, access.Describe, access.Topic, t.Name) })
	return s.answerTimeline(w, r, memory, func() (map[string]*track, string) {
		if !all {
			return nil, "the group reads topics that you may not describe, and their lag is part of its own"
		}
		return s.history.groups[group], notRemembered("groups")
	})
}

// notRemembered is why there is no history of something that is there.
func notRemembered(things string) string {
	return fmt.Sprintf("this node does not remember it yet, or remembers %d other %s already", maxTracked, things)
}

// answerTimeline answers with what is remembered of something; if that is nothing, with the reason.
func (s *Server) answerTimeline(w http.ResponseWriter, r *http.Request, memory *share,
	of func() (tracks map[string]*track, otherwise string)) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	if err := memory.grow(r.Context(), historyBytes); err != nil {
		return err
	}
	s.history.mu.Lock()
	tracks, otherwise := of()
	t := s.history.timeline(tracks, s.opts.HistoryPeriod)
	s.history.mu.Unlock()
	if len(t.Series) == 0 {
		t.Missing = otherwise
	}
	answerAs(w, http.StatusOK, typeJSON, t, jsontext.Multiline(false))
	return nil
}
