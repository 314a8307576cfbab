package rest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/groups"
)

// groupRoutes are those of v3 about groups. A node asks the owner of a group for what it is, and
// makes the answer itself, so that links lead to the host that the client has asked.
func (s confluentV3) groupRoutes() []route {
	const all, one, consumers, lags = v3Path + "/consumer-groups", v3Path + "/consumer-groups/{group}",
		v3Path + "/consumer-groups/{group}/consumers", v3Path + "/consumer-groups/{group}/lags"
	group, topics := access.Describe.On(access.Group), access.Describe.On(access.Topic)
	list := []route{
		{pattern: one, handler: s.ofV3Group(s.v3Group), summary: "a group, as Confluent's REST Proxy v3 shows it"},
		{pattern: consumers, handler: s.ofV3Group(s.listV3Consumers),
			summary: "a group's members, as Confluent's REST Proxy v3 lists them"},
		{pattern: consumers + "/{consumer}", handler: s.ofV3Group(s.v3ConsumerOf),
			summary: "a group's member, as Confluent's REST Proxy v3 shows it"},
		{pattern: one + "/lag-summary", handler: s.ofV3Group(s.v3LagSummary),
			summary: "how far a group is behind, as Confluent's REST Proxy v3 shows it"},
		{pattern: lags, handler: s.ofV3Group(s.listV3Lags),
			summary: "how far a group is behind in each partition, as Confluent's REST Proxy v3 lists it"},
		{pattern: lags + "/{topic}/partitions/{partition}", handler: s.ofV3Group(s.v3LagOf),
			summary: "how far a group is behind in a partition, as Confluent's REST Proxy v3 shows it"},
	}
	for i := range list {
		list[i].method, list[i].rules = http.MethodGet, needs(access.Requests, group).asking(topics)
	}
	return append(list, route{method: http.MethodGet, pattern: all, handler: s.counting(s.listV3Groups),
		summary: "consumer groups of all nodes, as Confluent's REST Proxy v3 lists them",
		rules:   needs(access.Requests).asking(access.Describe.On(access.Cluster), group, topics)})
}

// v3GroupOf is a group that a request is about, and what its answer is made with.
type v3GroupOf struct {
	*groupDetails
	links v3Links
	path  []string // to the group
	crn   string   // of the group
}

// to is the path to something that the group has.
func (g *v3GroupOf) to(path ...string) []string {
	return append(g.path[:len(g.path):len(g.path)], path...)
}

// resource begins the answer for something that the group has.
func (g *v3GroupOf) resource(kind, name string, path ...string) v3InGroup {
	return v3InGroup{g.links.resource(kind, g.crn+name, g.to(path...)...), g.Group}
}

// v3InGroup is what all resources of a group have.
type v3InGroup struct {
	v3Resource
	Group string `json:"consumer_group_id"`
}

// answerV3List answers with resources that the group has.
func answerV3List[T any](w http.ResponseWriter, g *v3GroupOf, kind, path string, data []T) {
	answer(w, http.StatusOK, typeJSON, newV3List(kind, g.links.to(g.to(path)...), data))
}

// ofV3Group finds the group that a request is about.
func (s confluentV3) ofV3Group(h func(w http.ResponseWriter, r *http.Request, g *v3GroupOf) error) handler {
	return s.counting(func(w http.ResponseWriter, r *http.Request, memory *share) error {
		if q := queryOf(r); q.err != nil {
			return q.err
		}
		d, err := s.v3GroupDetails(r, memory)
		if err != nil {
			return err
		}
		if d.Type == groups.Share.String() {
			return notFound(kerr.GroupIDNotFound, "group %q is a share group, which v3 does not have; /v1/groups has", d.Group)
		}
		g := s.links(r).group(d)
		if err := growV3(r, memory, len(d.Members)+len(d.Offsets), (len(d.Members)+len(d.Offsets))*len(d.Group)); err != nil {
			return err
		}
		return h(w, r, g)
	})
}

func (l v3Links) group(d *groupDetails) *v3GroupOf {
	return &v3GroupOf{d, l, []string{"consumer-groups", d.Group}, "/consumer-group=" + d.Group}
}

// v3GroupDetails is all there is to say of the group that a path names, wherever it is.
func (s confluentV3) v3GroupDetails(r *http.Request, memory *share) (*groupDetails, error) {
	group := r.PathValue("group")
	owner, ours, err := s.ownerOf(r, group)
	if err != nil {
		return nil, err
	}
	if ours {
		return s.groupDetails(r, memory)
	}
	if err := memory.grow(r.Context(), describedBytes+int64(s.view().CommittedCount(group))*offsetBytes); err != nil {
		return nil, err
	}
	d := &groupDetails{}
	err = s.askPeer(r.Context(), owner, "/v1/groups/"+url.PathEscape(group), d)
	if _, refused := errors.AsType[*problem](err); err != nil && !refused {
		p := retryable(problem{Status: http.StatusServiceUnavailable, Code: kerr.CoordinatorNotAvailable.Message,
			Detail: fmt.Sprintf("the group is node %d's, which does not answer: %v", owner.ID, err)})
		return nil, &p
	}
	return d, err
}

// v3Group is a group as v3 shows it.
type v3Group struct {
	v3InGroup
	Simple      bool       `json:"is_simple"`
	Assignor    string     `json:"partition_assignor"`
	State       string     `json:"state"`
	Coordinator *v3Related `json:"coordinator"`
	Consumers   *v3Related `json:"consumers"`
	LagSummary  *v3Related `json:"lag_summary"`
	Lags        *v3Related `json:"lags"`
}

func (g *v3GroupOf) newGroup() v3Group {
	return v3Group{
		v3InGroup: g.resource("KafkaConsumerGroup", ""),
		Simple:    g.Type == groups.Classic.String() && g.ProtocolType == "", Assignor: g.Protocol, State: v3State(g.State),
		Coordinator: g.links.related("brokers", strconv.Itoa(int(g.Node))),
		Consumers:   g.links.related(g.to("consumers")...), LagSummary: g.links.related(g.to("lag-summary")...),
		Lags: g.links.related(g.to("lags")...),
	}
}

// v3State is a state as Java spells it: PREPARING_REBALANCE.
func v3State(state string) string {
	var b strings.Builder
	for i, c := range state {
		if i > 0 && unicode.IsUpper(c) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(c))
	}
	return b.String()
}

// listV3Groups serves GET …/consumer-groups.
func (s confluentV3) listV3Groups(w http.ResponseWriter, r *http.Request, memory *share) error {
	known, err := s.groupList(r, memory)
	if err != nil {
		return err
	}
	names := 0
	for i := range known.Groups {
		names += len(known.Groups[i].Group)
	}
	if err := growV3(r, memory, len(known.Groups), names); err != nil {
		return err
	}
	l, list := s.links(r), []v3Group{}
	for i := range known.Groups {
		if known.Groups[i].Type != groups.Share.String() {
			list = append(list, l.group(&groupDetails{groupSummary: known.Groups[i]}).newGroup())
		}
	}
	answer(w, http.StatusOK, typeJSON, newV3Page(r, "KafkaConsumerGroupList", l.to("consumer-groups"), known.Next, list))
	return nil
}

// v3Group serves GET …/consumer-groups/{group}.
func (s confluentV3) v3Group(w http.ResponseWriter, _ *http.Request, g *v3GroupOf) error {
	answer(w, http.StatusOK, typeJSON, g.newGroup())
	return nil
}

// v3Consumer is a member as v3 shows it.
type v3Consumer struct {
	v3InGroup
	Consumer string  `json:"consumer_id"`
	Instance *string `json:"instance_id"`
	Client   string  `json:"client_id"`
}

func (g *v3GroupOf) newConsumer(m *groupMember) v3Consumer {
	return v3Consumer{g.resource("KafkaConsumer", "/consumer="+m.ID, "consumers", m.ID), m.ID, instanceOf(m), m.ClientID}
}

// instanceOf is the group.instance.id of a static member.
func instanceOf(m *groupMember) *string {
	if m.InstanceID == "" {
		return nil
	}
	return &m.InstanceID
}

// listV3Consumers serves GET …/consumer-groups/{group}/consumers.
func (s confluentV3) listV3Consumers(w http.ResponseWriter, _ *http.Request, g *v3GroupOf) error {
	list := []v3Consumer{}
	for i := range g.Members {
		list = append(list, g.newConsumer(&g.Members[i]))
	}
	answerV3List(w, g, "KafkaConsumerList", "consumers", list)
	return nil
}

// v3ConsumerOf serves GET …/consumer-groups/{group}/consumers/{consumer}.
func (s confluentV3) v3ConsumerOf(w http.ResponseWriter, r *http.Request, g *v3GroupOf) error {
	id := r.PathValue("consumer")
	for i := range g.Members {
		if g.Members[i].ID == id {
			answer(w, http.StatusOK, typeJSON, g.newConsumer(&g.Members[i]))
			return nil
		}
	}
	return refuse(http.StatusNotFound, "consumer", "group %q has no member %q", g.Group, clip([]byte(id)))
}

// v3Lag is how far a group is behind in a partition, as v3 shows it. Without a member that reads
// the partition the names of the member are empty.
type v3Lag struct {
	v3InGroup
	Topic     string  `json:"topic_name"`
	Partition int32   `json:"partition_id"`
	Offset    int64   `json:"current_offset"`
	LogEnd    int64   `json:"log_end_offset"`
	Lag       int64   `json:"lag"`
	Consumer  string  `json:"consumer_id"`
	Instance  *string `json:"instance_id"`
	Client    string  `json:"client_id"`
}

// lags are of all partitions that the group has committed for and the client may know of.
func (g *v3GroupOf) lags() []v3Lag {
	readers := map[partitionName]*groupMember{}
	for i := range g.Members {
		for _, at := range g.Members[i].Assigned {
			readers[at] = &g.Members[i]
		}
	}
	list := []v3Lag{}
	for i := range g.Offsets {
		o := &g.Offsets[i]
		number := strconv.Itoa(int(o.Partition))
		lag := v3Lag{
			v3InGroup: g.resource("KafkaConsumerLag", "/lag="+o.Topic+"/partition="+number,
				"lags", o.Topic, "partitions", number),
			Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, LogEnd: o.HighWatermark, Lag: o.Lag,
		}
		if m := readers[partitionName{o.Topic, o.Partition}]; m != nil {
			lag.Consumer, lag.Instance, lag.Client = m.ID, instanceOf(m), m.ClientID
		}
		list = append(list, lag)
	}
	return list
}

// listV3Lags serves GET …/consumer-groups/{group}/lags.
func (s confluentV3) listV3Lags(w http.ResponseWriter, _ *http.Request, g *v3GroupOf) error {
	answerV3List(w, g, "KafkaConsumerLagList", "lags", g.lags())
	return nil
}

// v3LagOf serves GET …/consumer-groups/{group}/lags/{topic}/partitions/{partition}.
func (s confluentV3) v3LagOf(w http.ResponseWriter, r *http.Request, g *v3GroupOf) error {
	topic, partition := r.PathValue("topic"), r.PathValue("partition")
	for _, lag := range g.lags() {
		if lag.Topic == topic && strconv.Itoa(int(lag.Partition)) == partition {
			answer(w, http.StatusOK, typeJSON, lag)
			return nil
		}
	}
	return refuse(http.StatusNotFound, "partition", "group %q has committed nothing for partition %q of topic %q",
		g.Group, clip([]byte(partition)), clip([]byte(topic)))
}

// v3LagSummary is how far a group is behind, and where most, as v3 shows it.
type v3LagSummary struct {
	v3InGroup
	Consumer     string     `json:"max_lag_consumer_id"`
	Instance     *string    `json:"max_lag_instance_id"`
	Client       string     `json:"max_lag_client_id"`
	Topic        string     `json:"max_lag_topic_name"`
	Partition    int32      `json:"max_lag_partition_id"`
	Max          int64      `json:"max_lag"`
	Total        int64      `json:"total_lag"`
	MaxConsumer  *v3Related `json:"max_lag_consumer,omitempty"`  // if a member reads that partition
	MaxPartition *v3Related `json:"max_lag_partition,omitempty"` // if the group has committed anything
}

// v3LagSummary serves GET …/consumer-groups/{group}/lag-summary.
func (s confluentV3) v3LagSummary(w http.ResponseWriter, _ *http.Request, g *v3GroupOf) error {
	sum := v3LagSummary{v3InGroup: g.resource("KafkaConsumerGroupLagSummary", "/lag-summary", "lag-summary")}
	for i, lag := range g.lags() {
		sum.Total += lag.Lag
		if i > 0 && lag.Lag <= sum.Max {
			continue
		}
		sum.Consumer, sum.Instance, sum.Client = lag.Consumer, lag.Instance, lag.Client
		sum.Topic, sum.Partition, sum.Max = lag.Topic, lag.Partition, lag.Lag
		sum.MaxPartition = g.links.related("topics", lag.Topic, "partitions", strconv.Itoa(int(lag.Partition)))
		if sum.MaxConsumer = nil; lag.Consumer != "" {
			sum.MaxConsumer = g.links.related(g.to("consumers", lag.Consumer)...)
		}
	}
	answer(w, http.StatusOK, typeJSON, sum)
	return nil
}
