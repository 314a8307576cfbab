package rest

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"time"

	"firn.dev/access"
	"firn.dev/budget"
	"firn.dev/coordinator"
)

// consuming is for consumers and for those who manage topics and groups.
func (s *Server) consuming() []route {
	if s.opts.Index == nil || s.opts.Groups == nil {
		return nil
	}
	return slices.Concat(within(s.compressed, slices.Concat(s.topicRoutes(), s.groupRoutes(), s.userRoutes(),
		s.aclRoutes(), s.quotaRoutes(), s.clusterRoutes(), s.historyRoutes())), confluentV3{s}.administering())
}

// clusterRoutes are about the whole of it.
func (s *Server) clusterRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: "/v1/cluster", handler: s.cluster, summary: "the cluster in numbers",
			rules: needs(access.Requests, access.Describe.On(access.Cluster))},
		{method: http.MethodGet, pattern: "/v1/nodes", handler: s.nodes, summary: "the nodes that are alive",
			rules: needs(access.Requests, access.Describe.On(access.Cluster))},
		{method: http.MethodGet, pattern: "/v1/producers", handler: s.costs,
			summary: "what Kafka's producers send to this node, and which cost more than they need to",
			rules:   needs(access.Requests, access.Describe.On(access.Cluster))},
		{method: http.MethodGet, pattern: "/v1/transactions", handler: s.counting(s.listTransactions),
			summary: "transactions that have not ended, the oldest first",
			rules: needs(access.Requests).asking(access.Describe.On(access.Cluster),
				access.Describe.On(access.TransactionalID))},
		{method: http.MethodGet, pattern: "/openapi.json", handler: openAPI, summary: "this list, as an OpenAPI document",
			rules: rules{open: true, quota: access.Unthrottled}},
	}
}

// topicRoutes are about topics.
func (s *Server) topicRoutes() []route {
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	const topics, topic, records = "/v1/topics", "/v1/topics/{topic}", "/v1/topics/{topic}/partitions/{partition}/records"
	read, describe := access.Read.On(access.Topic), access.Describe.On(access.Topic)
	alter, alterConfigs := access.Alter.On(access.Topic), access.AlterConfigs.On(access.Topic)
	configs := access.DescribeConfigs.On(access.Topic)
	return []route{
		{method: get, pattern: topics, handler: s.counting(s.listTopics), summary: "topics, by name",
			rules: needs(access.Requests).asking(describe)},
		{method: post, pattern: topics, handler: audited(s.counting(s.createTopic)), summary: "create a topic",
			rules: needs(access.Mutations).asking(access.Create.On(access.Cluster), access.Create.On(access.Topic), configs)},
		{method: get, pattern: topic, handler: s.counting(s.describeTopic), summary: "a topic: its partitions and configs",
			rules: needs(access.Requests, describe).asking(configs)},
		{method: patch, pattern: topic, handler: audited(s.counting(s.alterTopic)),
			summary: "change a topic's configs, or add partitions",
			rules: needs(access.Mutations, describe).
				asking(alter, alterConfigs, configs)},
		{method: del, pattern: topic, handler: audited(s.deleteTopic), summary: "delete a topic",
			rules: needs(access.Mutations, access.Delete.On(access.Topic))},
		{method: get, pattern: topic + "/clients", handler: s.counting(s.listTopicClients),
			rules: needs(access.Requests, describe).
				asking(access.Describe.On(access.Group), read, access.Describe.On(access.TransactionalID)),
			summary: "the groups that read a topic, and the producers that write it"},
		{method: get, pattern: topic + "/tail", handler: s.tail, rules: needs(access.FetchedBytes, read).parking(),
			summary: "the records of a topic as they come, as Server-Sent Events"},
		{method: get, pattern: records, handler: s.readRecords, rules: needs(access.FetchedBytes, read).parking(),
			summary: "the records of a partition from an offset or a time on, waiting for some if asked to"},
		{method: del, pattern: records, handler: audited(s.deleteRecords), summary: "delete the records before an offset",
			rules: needs(access.Requests, access.Delete.On(access.Topic))},
	}
}

// groupRoutes are about groups. Those about one are answered by the node that owns it.
func (s *Server) groupRoutes() []route {
	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	const group, claims = "/v1/groups/{group}", "/v1/groups/{group}/claims"
	read, describe := access.Read.On(access.Group), access.Describe.On(access.Group)
	readTopics, describeTopics := access.Read.On(access.Topic), access.Describe.On(access.Topic)
	owned := []route{
		{method: get, pattern: group, handler: s.counting(s.describeGroup),
			rules:   needs(access.Requests, describe).asking(describeTopics),
			summary: "a group: its members or claims, its offsets and how far behind they are"},
		{method: del, pattern: group, handler: audited(s.deleteGroup),
			rules:   needs(access.Requests, access.Delete.On(access.Group)),
			summary: "delete a group and what it has committed"},
		{method: post, pattern: group + "/reset", handler: audited(s.counting(s.resetGroup)),
			rules:   needs(access.Requests, read).asking(readTopics),
			summary: "set from where a group reads a topic on"},
		{method: get, pattern: claims, handler: s.counting(s.listClaims),
			rules:   needs(access.Requests, describe).asking(describeTopics),
			summary: "the partitions of a group that are claimed"},
		{method: post, pattern: claims, handler: s.counting(s.claim),
			rules:   needs(access.FetchedBytes, read).asking(readTopics),
			summary: "claim partitions for a time, and read their next records if asked to"},
		{method: post, pattern: claims + "/renew", handler: s.counting(s.renewClaims),
			rules:   needs(access.Requests, read).asking(readTopics),
			summary: "keep claims for longer"},
		{method: post, pattern: claims + "/commit", handler: s.counting(s.commitClaims),
			rules:   needs(access.Requests, read).asking(readTopics),
			summary: "commit offsets under claims"},
		{method: post, pattern: claims + "/release", handler: s.counting(s.releaseClaims),
			rules:   needs(access.Requests, read).asking(readTopics),
			summary: "give claims up"},
		{method: post, pattern: group + "/records/claim", handler: s.counting(s.claimRecords),
			rules:   needs(access.FetchedBytes, read).asking(readTopics).parking(),
			summary: "claim records of a share group one by one, waiting for some if asked to"},
		{method: post, pattern: group + "/records/acknowledge", handler: s.counting(s.acknowledgeRecords),
			rules:   needs(access.Requests, read).asking(readTopics),
			summary: "accept, release, reject or renew claimed records"},
	}
	for i := range owned {
		owned[i].handler = s.ofGroup(owned[i].handler) // which may send it on, once it was asked for
	}
	shares := route{method: post, pattern: group + "/shares", handler: s.ofPeers(s.counting(s.askShares)),
		rules:   needs(access.Requests, read).asking(readTopics),
		summary: "what a node asks the owner of a share group, for a client of its own"}
	return append(owned, shares, route{method: get, pattern: "/v1/groups", handler: s.counting(s.listGroups),
		summary: "consumer groups, of all nodes",
		rules:   needs(access.Requests).asking(access.Describe.On(access.Cluster), describe, describeTopics)})
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

// catchUp has this node hear the news before it says that something is not there. An error means
// that it is cut off.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	return s.opts.Node.CatchUp(ctx)
}

// catchUpTimeout is how long a node may take to hear the news.
const catchUpTimeout = 5 * time.Second

// view is the log as this node knows it.
func (s *Server) view() *coordinator.View { return s.opts.Node.View() }
