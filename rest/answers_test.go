package rest_test

import (
	"encoding/json"
	"time"
)

// The answers of the HTTP API as a client sees them. Names and types are those of openapi.json.

type problem struct {
	Title         string        `json:"title"`
	Status        int           `json:"status"`
	Detail        string        `json:"detail"`
	Code          string        `json:"code"`
	Field         string        `json:"field"`
	Record        *int          `json:"record"`
	BadRecords    []badRecord   `json:"bad_records"`
	Limit         string        `json:"limit"`
	Reasons       []string      `json:"reasons"`
	Claims        []claimAnswer `json:"claims"`
	LogStart      *int64        `json:"log_start_offset"`
	HighWatermark *int64        `json:"high_watermark"`
}

type badRecord struct {
	Record int    `json:"record"`
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

type claimAnswer struct {
	partitionName
	Error string `json:"error"`
}

type partitionName struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

type topicDetails struct {
	topic
	PartitionList []partitionDetails `json:"partition_list"`
	Configs       []topicConfig      `json:"configs"`
}

type topic struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Partitions int32  `json:"partitions"`
	Records    int64  `json:"records"`
	Bytes      int64  `json:"bytes"`
}

type partitionDetails struct {
	Partition     int32 `json:"partition"`
	LogStart      int64 `json:"log_start_offset"`
	HighWatermark int64 `json:"high_watermark"`
	Bytes         int64 `json:"bytes"`
}

type topicConfig struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Set     bool   `json:"set"`
}

type topicList struct {
	Topics []topic `json:"topics"`
	Total  int     `json:"total"`
	Next   string  `json:"next"`
}

type aclChange struct {
	ACLs []aclEntry `json:"acls"`
}

type aclEntry struct {
	ResourceType string `json:"resource_type"`
	ResourceName string `json:"resource_name"`
	PatternType  string `json:"pattern_type"`
	Principal    string `json:"principal"`
	Host         string `json:"host"`
	Operation    string `json:"operation"`
	Permission   string `json:"permission"`
}

type aclList struct {
	ACLs  []aclEntry `json:"acls"`
	Total int        `json:"total"`
	Next  string     `json:"next"`
}

type clusterInfo struct {
	ClusterID  string `json:"cluster_id"`
	Node       int32  `json:"node"`
	Nodes      int    `json:"nodes"`
	Topics     int    `json:"topics"`
	Partitions int64  `json:"partitions"`
	Records    int64  `json:"records"`
	Bytes      int64  `json:"bytes"`
	Groups     int    `json:"groups"`
}

type groupList struct {
	Groups      []groupSummary `json:"groups"`
	Unreachable []int32        `json:"unreachable"`
	Next        string         `json:"next"`
}

type groupSummary struct {
	Group string `json:"group"`
	State string `json:"state"`
	Type  string `json:"type"`
	Node  int32  `json:"node"`
	Lag   int64  `json:"lag"`
}

type nodeList struct {
	Nodes []nodeInfo `json:"nodes"`
}

type nodeInfo struct {
	ID    int32  `json:"id"`
	Kafka string `json:"kafka"`
	HTTP  string `json:"http"`
	Zone  string `json:"zone"`
	Self  bool   `json:"self"`
}

type resetAnswer struct {
	Topic   string        `json:"topic"`
	Offsets []resetOffset `json:"offsets"`
}

type resetOffset struct {
	Partition int32  `json:"partition"`
	Before    *int64 `json:"before"`
	Offset    int64  `json:"offset"`
}

type claimAnswers struct {
	Claims []claimAnswer `json:"claims"`
}

type groupDetails struct {
	groupSummary
	Protocol string        `json:"protocol"`
	Members  []groupMember `json:"members"`
	Claims   []claimed     `json:"claims"`
	Offsets  []groupOffset `json:"offsets"`
}

type groupMember struct {
	ID         string `json:"id"`
	InstanceID string `json:"instance_id"`
	ClientID   string `json:"client_id"`
	Host       string `json:"host"`
}

type claimed struct {
	partitionName
	Holder  string          `json:"holder"`
	Epoch   string          `json:"epoch"`
	TTL     float64         `json:"ttl"`
	Offset  int64           `json:"offset"`
	Problem any             `json:"problem"`
	Read    json.RawMessage `json:"read"`
}

type groupOffset struct {
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	Offset        int64  `json:"offset"`
	Metadata      string `json:"metadata"`
	CommittedAt   string `json:"committed_at"`
	LogStart      int64  `json:"log_start_offset"`
	HighWatermark int64  `json:"high_watermark"`
	Lag           int64  `json:"lag"`
}

type quotaList struct {
	Quotas []entityQuotas `json:"quotas"`
	Total  int            `json:"total"`
	Next   string         `json:"next"`
}

type entityQuotas struct {
	Entity quotaEntity        `json:"entity"`
	Quotas map[string]float64 `json:"quotas"`
}

type quotaEntity map[string]*string

type claimList struct {
	Claims []claimed `json:"claims"`
}

type heldClaim struct {
	partitionName
	Epoch    string `json:"epoch"`
	Offset   *int64 `json:"offset"`
	From     *int64 `json:"from"`
	Metadata string `json:"metadata"`
	Release  bool   `json:"release"`
}

type heldClaims struct {
	Holder string      `json:"holder"`
	TTL    float64     `json:"ttl"`
	Claims []heldClaim `json:"claims"`
}

type home struct {
	Service   string            `json:"service"`
	ClusterID string            `json:"cluster_id"`
	Paths     map[string]string `json:"paths"`
	Topics    []topic           `json:"topics"`
	Total     int               `json:"topics_total"`
}

type sessionState struct {
	Principal string     `json:"principal"`
	Until     *time.Time `json:"until"`
	Logins    bool       `json:"logins"`
}

type transactionList struct {
	Transactions []ongoingTransaction `json:"transactions"`
	More         bool                 `json:"more"`
}

type ongoingTransaction struct {
	TransactionalID string `json:"transactional_id"`
	State           string `json:"state"`
	ProducerID      int64  `json:"producer_id"`
	ProducerEpoch   int16  `json:"producer_epoch"`
	Began           string `json:"began"`
	TimeoutMillis   int32  `json:"timeout_ms"`
	Partitions      int    `json:"partitions"`
}

type userList struct {
	Users []user `json:"users"`
	Total int    `json:"total"`
	Next  string `json:"next"`
}

type user struct {
	Name       string          `json:"name"`
	Mechanisms []userMechanism `json:"mechanisms"`
}

type userMechanism struct {
	Mechanism  string `json:"mechanism"`
	Iterations int    `json:"iterations"`
}

type consumed struct {
	Topic     string           `json:"topic"`
	Partition *int32           `json:"partition"`
	Offset    int64            `json:"offset"`
	Timestamp int64            `json:"timestamp"`
	Key       any              `json:"key"`
	Value     any              `json:"value"`
	Headers   []consumedHeader `json:"headers"`
}

type consumedHeader struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type unreadable struct {
	Partition *int32 `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Detail    string `json:"detail"`
}
