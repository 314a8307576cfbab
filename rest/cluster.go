package rest

import (
	"net/http"

	"firn.dev/coordinator"
)

// clusterInfo is the cluster in numbers.
type clusterInfo struct {
	ClusterID  string `json:"cluster_id"`
	Node       int32  `json:"node"` // that answers
	Nodes      int    `json:"nodes"`
	Topics     int    `json:"topics"`
	Partitions int64  `json:"partitions"`
	Records    int64  `json:"records"`
	Bytes      int64  `json:"bytes"`
	Groups     int    `json:"groups"` // that have committed something
}

// nodeInfo is a node that is alive.
type nodeInfo struct {
	ID    int32  `json:"id"`
	Kafka string `json:"kafka"`
	HTTP  string `json:"http,omitempty"`
	Zone  string `json:"zone,omitempty"`
	Self  bool   `json:"self"` // it answers
}

type nodeList struct {
	Nodes []nodeInfo `json:"nodes"`
}

func (s *Server) cluster(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	topics := s.opts.View.Topics()
	c := clusterInfo{ClusterID: s.opts.View.ClusterID(), Node: s.opts.Node.Info().ID, Nodes: len(s.opts.Node.Nodes()),
		Topics: len(topics),
		Groups: s.view().GroupCount()}
	for _, t := range topics {
		sum := s.summary(t)
		c.Partitions += int64(sum.Partitions)
		c.Records += sum.Records
		c.Bytes += sum.Bytes
	}
	answer(w, http.StatusOK, typeJSON, c)
	return nil
}

func (s *Server) nodes(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	list := nodeList{Nodes: []nodeInfo{}}
	for _, n := range s.opts.Node.Nodes() {
		list.Nodes = append(list.Nodes, s.nodeInfo(n))
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

func (s *Server) nodeInfo(n coordinator.NodeInfo) nodeInfo {
	return nodeInfo{n.ID, hostPort(n.KafkaHost, n.KafkaPort), peerURL(n).Host, n.Zone, n.ID == s.opts.Node.Info().ID}
}
