package rest

import (
	"context"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Bounds of what a node remembers of its last hour: about 12 MB at most.
const (
	historyPeriod  = 10 * time.Second
	historySamples = 360  // an hour of them
	maxTracked     = 1000 // topics, and groups, with a history of their own: those that the node met first
	historyBytes   = 256 << 10
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

// timeline is numbers over time, the oldest first. A number that is not known is null.
type timeline struct {
	PeriodSeconds float64               `json:"period_seconds"`
	Times         []int64               `json:"times"` // in milliseconds
	Series        map[string][]*float64 `json:"series"`
}

// timeline returns what is remembered of some numbers. The lock is held.
func (h *history) timeline(of map[string]*track, period time.Duration) timeline {
	t := timeline{PeriodSeconds: period.Seconds(), Times: []int64{}, Series: map[string][]*float64{}}
	from := max(0, h.taken-historySamples)
	for n := from; n < h.taken; n++ {
		t.Times = append(t.Times, h.times[n%historySamples])
	}
	for name, track := range of {
		values := make([]*float64, h.taken-from)
		for n := max(from, track.first); n <= track.last; n++ {
			if v := track.values[n%historySamples]; !math.IsNaN(v) {
				values[n-from] = &v
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
		then, known := before.topics[id]
		if h.topics[id] == nil {
			if len(h.topics) == maxTracked {
				continue
			}
			h.topics[id] = map[string]*track{}
		}
		values := map[string]float64{"records": float64(t.records), "bytes": float64(t.bytes)}
		if known {
			values["records_per_second"] = rate(float64(then.end), float64(t.end), now.at.Sub(before.at))
		}
		h.note(h.topics[id], values)
	}
	for name, lag := range now.lags {
		if h.groups[name] == nil {
			if len(h.groups) == maxTracked {
				continue
			}
			h.groups[name] = map[string]*track{}
		}
		h.note(h.groups[name], map[string]float64{"lag": float64(lag)})
	}
	for id := range h.topics {
		if _, there := now.topics[id]; !there {
			delete(h.topics, id)
		}
	}
	for name := range h.groups {
		if _, there := now.lags[name]; !there {
			delete(h.groups, name)
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
			rules:   needs(access.Requests, access.Describe.On(access.Group))},
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
	return s.answerTimeline(w, r, memory, func() map[string]*track { return s.history.topics[t.ID] })
}

func (s *Server) groupHistory(w http.ResponseWriter, r *http.Request, memory *share) error {
	return s.answerTimeline(w, r, memory, func() map[string]*track { return s.history.groups[r.PathValue("group")] })
}

// answerTimeline answers with what is remembered of something; nothing, if that is nothing.
func (s *Server) answerTimeline(w http.ResponseWriter, r *http.Request, memory *share,
	of func() map[string]*track) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	if err := memory.grow(r.Context(), historyBytes); err != nil {
		return err
	}
	s.history.mu.Lock()
	t := s.history.timeline(of(), s.opts.HistoryPeriod)
	s.history.mu.Unlock()
	answerAs(w, http.StatusOK, typeJSON, t, jsontext.Multiline(false))
	return nil
}
