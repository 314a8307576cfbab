package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
)

// v3 of the API of Confluent's REST Proxy: records here and in confluent_records.go,
// confluent_stream.go and confluent_batch.go; topics in confluent_topics.go, groups in
// confluent_groups.go. All of it is another form of what Firn's own routes do, with the needs that
// those have. An answer has links, and each leads to a route that is served: links of Confluent's
// to what is not served are left out.

// confluentV3 is v3 of the API of Confluent's REST Proxy.
type confluentV3 struct{ *Server }

// v3Path is where all that a cluster has is.
const v3Path = "/v3/clusters/{cluster}"

// routes are those of producers.
func (s confluentV3) routes() []route {
	const records = v3Path + "/topics/{topic}/records"
	return []route{
		{method: http.MethodPost, pattern: records, handler: s.ofCluster(s.produceV3), rules: writes().parking(),
			summary: "write records, one or a stream of them, as Confluent's REST Proxy v3 does"},
		{method: http.MethodPost, pattern: records + ":batch", handler: s.ofCluster(s.produceBatch), rules: writes(),
			summary: "write records and answer each, as Confluent's REST Proxy v3 does"},
	}
}

// administering is for those who manage topics and groups.
func (s confluentV3) administering() []route {
	describe := needs(access.Requests, access.Describe.On(access.Cluster))
	list := []route{
		{method: http.MethodGet, pattern: v3Path, handler: s.cluster, rules: describe,
			summary: "the cluster, as Confluent's REST Proxy v3 shows it"},
		{method: http.MethodGet, pattern: v3Path + "/brokers", handler: s.brokers, rules: describe,
			summary: "the nodes, as Confluent's REST Proxy v3 lists them"},
		{method: http.MethodGet, pattern: v3Path + "/brokers/{broker}", handler: s.broker, rules: describe,
			summary: "a node, as Confluent's REST Proxy v3 shows it"},
	}
	list = append(append(list, s.topicRoutes()...), s.groupRoutes()...)
	for i := range list {
		list[i].handler = s.ofCluster(list[i].handler)
	}
	list = append(list, route{method: http.MethodGet, pattern: "/v3/clusters", handler: s.clusters, rules: describe,
		summary: "the one cluster there is, as Confluent's REST Proxy v3 lists it"})
	return within(func(h handler) handler { return s.compressed(s.told(h)) }, list)
}

// told has a handler's problems told as v3 tells them.
func (s confluentV3) told(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h(w, r); err != nil {
			s.fail(w, s.refused(err))
		}
		return nil
	}
}

// ofCluster refuses requests for another cluster.
func (s confluentV3) ofCluster(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if id := r.PathValue("cluster"); id != s.view().ClusterID() {
			return refuse(http.StatusNotFound, "cluster", "this is cluster %s", s.view().ClusterID())
		}
		return h(w, r)
	}
}

// fail answers with a problem as v3 does.
func (confluentV3) fail(w http.ResponseWriter, p problem) {
	p.advise(w.Header())
	status, e := newV3Error(&p)
	answerWhole(w, status, typeJSON, e)
}

// newV3Error says a problem in the words of v3: with the codes, and the statuses, that its clients
// know for errors of Kafka's. All others have their status for a code.
func newV3Error(p *problem) (status int, e confluentError) {
	e = confluentError{p.Status, confluentMessage(p)}
	switch {
	case p.Status == http.StatusUnauthorized:
		e.ErrorCode = 40101
	case strings.HasSuffix(p.Code, "_AUTHORIZATION_FAILED"):
		e.ErrorCode = 40301
	case p.Status == http.StatusNotFound && p.Code == kerr.UnknownTopicOrPartition.Message:
		e.ErrorCode = 40403
	case p.Status == http.StatusServiceUnavailable && p.Code != "":
		e.ErrorCode = 50003
	case p.Code == kerr.TopicAlreadyExists.Message, p.Code == kerr.PolicyViolation.Message,
		p.Status == http.StatusBadRequest && p.Code != "":
		return http.StatusBadRequest, confluentError{40002, e.Message}
	}
	return p.Status, e
}

// v3ResourceBytes is what a resource takes in an answer, about, beside the names in it.
const v3ResourceBytes = 1 << 10

// v3Names is how often the names that a resource has are in its links, about; a character of a name
// may take three there.
const v3Names = 12

// growV3 takes memory for resources that have so many bytes of names, all in all.
func growV3(r *http.Request, memory *share, resources, names int) error {
	return memory.grow(r.Context(), int64(resources)*v3ResourceBytes+int64(names)*v3Names)
}

// v3Links makes links: addresses at the host that a request names, and Confluent's resource names.
type v3Links struct{ clusters, cluster string }

func (s confluentV3) links(r *http.Request) v3Links {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return v3Links{scheme + r.Host + "/v3/clusters", s.view().ClusterID()}
}

// to is the address of something that the cluster has.
func (l v3Links) to(path ...string) string {
	b := l.clusters + "/" + url.PathEscape(l.cluster)
	for _, element := range path {
		b += "/" + url.PathEscape(element)
	}
	return b
}

// related is a link to something that the cluster has.
func (l v3Links) related(path ...string) *v3Related { return &v3Related{l.to(path...)} }

// resource begins the answer for something that the cluster has: its kind, its resource name, and
// the path to it.
func (l v3Links) resource(kind, name string, path ...string) v3Resource {
	return v3Resource{kind, v3Metadata{l.to(path...), "crn:///kafka=" + l.cluster + name}, l.cluster}
}

// v3Resource is what all resources have.
type v3Resource struct {
	Kind     string     `json:"kind"`
	Metadata v3Metadata `json:"metadata"`
	Cluster  string     `json:"cluster_id"`
}

type v3Metadata struct {
	Self         string `json:"self"`
	ResourceName string `json:"resource_name"`
}

type v3Related struct {
	Related string `json:"related"`
}

// v3List is resources, and where there are more.
type v3List[T any] struct {
	Kind     string         `json:"kind"`
	Metadata v3ListMetadata `json:"metadata"`
	Data     []T            `json:"data"`
}

type v3ListMetadata struct {
	Self string  `json:"self"`
	Next *string `json:"next"`
}

// newV3List is a list that is complete.
func newV3List[T any](kind, self string, data []T) v3List[T] {
	return v3List[T]{kind, v3ListMetadata{Self: self}, data}
}

// newV3Page is the list that a request asks for, which goes on after a name; empty: it does not.
func newV3Page[T any](r *http.Request, kind, self, after string, data []T) v3List[T] {
	list := newV3List(kind, self, data)
	if after != "" {
		query := r.URL.Query()
		query.Set("after", after)
		next := self + "?" + query.Encode()
		list.Metadata.Next = &next
	}
	return list
}

// v3Cluster is a cluster as v3 shows it.
type v3Cluster struct {
	v3Resource
	Brokers *v3Related `json:"brokers"`
	Groups  *v3Related `json:"consumer_groups"`
	Topics  *v3Related `json:"topics"`
}

func (l v3Links) newCluster() v3Cluster {
	return v3Cluster{l.resource("KafkaCluster", ""), l.related("brokers"), l.related("consumer-groups"),
		l.related("topics")}
}

// clusters serves GET /v3/clusters.
func (s confluentV3) clusters(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	l := s.links(r)
	answer(w, http.StatusOK, typeJSON, newV3List("KafkaClusterList", l.clusters, []v3Cluster{l.newCluster()}))
	return nil
}

// cluster serves GET /v3/clusters/{cluster}.
func (s confluentV3) cluster(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	answer(w, http.StatusOK, typeJSON, s.links(r).newCluster())
	return nil
}

// v3Broker is a node as v3 shows it.
type v3Broker struct {
	v3Resource
	Broker int32   `json:"broker_id"`
	Host   string  `json:"host"`
	Port   int32   `json:"port"`
	Rack   *string `json:"rack"`
}

// v3Brokers are the nodes that are alive.
func (s confluentV3) v3Brokers(r *http.Request) []v3Broker {
	l, brokers := s.links(r), []v3Broker{}
	for _, n := range s.opts.Node.Nodes() {
		id := strconv.Itoa(int(n.ID))
		b := v3Broker{l.resource("KafkaBroker", "/broker="+id, "brokers", id), n.ID, n.KafkaHost, n.KafkaPort, nil}
		if n.Zone != "" {
			b.Rack = &n.Zone
		}
		brokers = append(brokers, b)
	}
	return brokers
}

// brokers serves GET …/brokers.
func (s confluentV3) brokers(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	answer(w, http.StatusOK, typeJSON, newV3List("KafkaBrokerList", s.links(r).to("brokers"), s.v3Brokers(r)))
	return nil
}

// broker serves GET …/brokers/{broker}.
func (s confluentV3) broker(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	id := r.PathValue("broker")
	for _, b := range s.v3Brokers(r) {
		if strconv.Itoa(int(b.Broker)) == id {
			answer(w, http.StatusOK, typeJSON, b)
			return nil
		}
	}
	return refuse(http.StatusNotFound, "broker", "there is no broker %q", clip([]byte(id)))
}
