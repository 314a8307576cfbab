package rest

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"firn.dev/budget"
	"firn.dev/coordinator"
)

// consuming is for consumers and for those who manage topics and groups.
func (s *Server) consuming() []route {
	if s.opts.Index == nil || s.opts.Groups == nil {
		return nil
	}
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	const topic, group = "/v1/topics/{topic}", "/v1/groups/{group}"
	routes := []route{
		{get, "/v1/cluster", s.cluster, "the cluster in numbers"},
		{get, "/v1/nodes", s.nodes, "the nodes that are alive"},
		{get, "/v1/topics", s.listTopics, "topics, by name"},
		{post, "/v1/topics", s.createTopic, "create a topic"},
		{get, topic, s.describeTopic, "a topic: its partitions and configs"},
		{patch, topic, s.alterTopic, "change a topic's configs, or add partitions"},
		{del, topic, s.deleteTopic, "delete a topic"},
		{get, topic + "/tail", s.tail, "the records of a topic as they come, as Server-Sent Events"},
		{get, topic + "/partitions/{partition}/records", s.readRecords, "the records of a partition from an offset or a time on, waiting for some if asked to"},
		{del, topic + "/partitions/{partition}/records", s.deleteRecords, "delete the records before an offset"},
		{get, "/v1/groups", s.listGroups, "consumer groups, of all nodes"},
		{get, group, s.ofGroup(s.describeGroup), "a group: its members or claims, its offsets and how far behind they are"},
		{del, group, s.ofGroup(s.deleteGroup), "delete a group and what it has committed"},
		{post, group + "/reset", s.ofGroup(s.resetGroup), "set from where a group reads a topic on"},
		{get, group + "/claims", s.ofGroup(s.listClaims), "the partitions of a group that are claimed"},
		{post, group + "/claims", s.ofGroup(s.claim), "claim partitions for a time, and read their next records if asked to"},
		{post, group + "/claims/renew", s.ofGroup(s.renewClaims), "keep claims for longer"},
		{post, group + "/claims/commit", s.ofGroup(s.commitClaims), "commit offsets under claims"},
		{post, group + "/claims/release", s.ofGroup(s.releaseClaims), "give claims up"},
		{get, "/openapi.json", openAPI, "this list, as an OpenAPI document"},
	}
	for i := range routes {
		routes[i].handler = s.compressed(routes[i].handler)
	}
	return routes
}

// readers is what requests that read share.
type readers struct {
	memory   *budget.Pool    // of answers under way
	decoding chan struct{}   // a place for each batch that is being decompressed
	polls    chan struct{}   // a place for each request that waits for records
	tails    chan struct{}   // a place for each tail
	stopping context.Context // ends when the server begins to stop: nobody waits any more
	stop     context.CancelFunc
}

func newReaders(l Limits) *readers {
	stopping, stop := context.WithCancel(context.Background())
	return &readers{
		memory:   newReadMemory(l),
		decoding: make(chan struct{}, runtime.GOMAXPROCS(0)),
		polls:    make(chan struct{}, l.MaxLongPolls),
		tails:    make(chan struct{}, l.MaxTails),
		stopping: stopping,
		stop:     stop,
	}
}

// full is a request that a limit leaves no room for now.
func full(limit, format string, args ...any) *problem {
	p := busy("", format, args...)
	p.Limit = limit
	return p
}

// enter takes a place of a limited number; leave gives it back.
func enter(places chan struct{}, limit, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, full(limit, "there are %d %s, and that is as many as there may be", cap(places), what)
	}
}

// catchUp has this node hear the news before it says that something is not there. An error means that it is cut off.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	return s.opts.Node.CatchUp(ctx)
}

// catchUpTimeout is how long a node may take to hear the news.
const catchUpTimeout = 5 * time.Second

// view is the log as this node knows it.
func (s *Server) view() *coordinator.View { return s.opts.Node.View() }
