package rest

import (
	"errors"
	"net/http"
	"strconv"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/topics"
)

// topicRoutes are those of v3 about topics.
func (s confluentV3) topicRoutes() []route {
	get := http.MethodGet
	const all, one, configs, partitions = v3Path + "/topics", v3Path + "/topics/{topic}",
		v3Path + "/topics/{topic}/configs", v3Path + "/topics/{topic}/partitions"
	describe := needs(access.Requests, access.Describe.On(access.Topic))
	describeConfigs := needs(access.Requests, access.DescribeConfigs.On(access.Topic))
	return []route{
		{method: get, pattern: all, handler: s.counting(s.listV3Topics),
			rules:   needs(access.Requests).asking(access.Describe.On(access.Topic)),
			summary: "topics by name, as Confluent's REST Proxy v3 lists them"},
		{method: http.MethodPost, pattern: all, handler: audited(s.counting(s.createV3Topic)),
			rules:   needs(access.Mutations).asking(access.Create.On(access.Cluster), access.Create.On(access.Topic)),
			summary: "create a topic, as Confluent's REST Proxy v3 does"},
		{method: get, pattern: one, handler: s.v3Topic, rules: describe,
			summary: "a topic, as Confluent's REST Proxy v3 shows it"},
		{method: http.MethodDelete, pattern: one, handler: audited(s.deleteTopic),
			rules:   needs(access.Mutations, access.Delete.On(access.Topic)),
			summary: "delete a topic, as Confluent's REST Proxy v3 does"},
		{method: get, pattern: configs, handler: s.counting(s.listV3Configs), rules: describeConfigs,
			summary: "a topic's configs, as Confluent's REST Proxy v3 lists them"},
		{method: get, pattern: configs + "/{name}", handler: s.counting(s.v3Config), rules: describeConfigs,
			summary: "a config of a topic, as Confluent's REST Proxy v3 shows it"},
		{method: get, pattern: partitions, handler: s.counting(s.listV3Partitions), rules: describe,
			summary: "a topic's partitions, as Confluent's REST Proxy v3 lists them"},
		{method: get, pattern: partitions + "/{partition}", handler: s.v3PartitionOf, rules: describe,
			summary: "a partition, as Confluent's REST Proxy v3 shows it"},
	}
}

// v3Topic is a topic as v3 shows it.
type v3Topic struct {
	v3Resource
	Topic             string     `json:"topic_name"`
	Internal          bool       `json:"is_internal"`
	ReplicationFactor int16      `json:"replication_factor"` // as it was declared
	PartitionsCount   int32      `json:"partitions_count"`
	Partitions        *v3Related `json:"partitions"`
	Configs           *v3Related `json:"configs"`
}

func (l v3Links) newTopic(t *coordinator.Topic) v3Topic {
	return v3Topic{
		v3Resource: l.resource("KafkaTopic", "/topic="+t.Name, "topics", t.Name), Topic: t.Name,
		ReplicationFactor: max(1, t.ReplicationFactor), PartitionsCount: t.Partitions,
		Partitions: l.related("topics", t.Name, "partitions"), Configs: l.related("topics", t.Name, "configs"),
	}
}

// listV3Topics serves GET …/topics.
func (s confluentV3) listV3Topics(w http.ResponseWriter, r *http.Request, memory *share) error {
	known, err := s.topicList(r, memory)
	if err != nil {
		return err
	}
	names := 0
	for i := range known.Topics {
		names += len(known.Topics[i].Name)
	}
	if err := growV3(r, memory, len(known.Topics), names); err != nil {
		return err
	}
	l, list := s.links(r), []v3Topic{}
	for i := range known.Topics {
		if t := s.view().Topic(known.Topics[i].Name); t != nil {
			list = append(list, l.newTopic(t))
		}
	}
	answer(w, http.StatusOK, typeJSON, newV3Page(r, "KafkaTopicList", l.to("topics"), known.Next, list))
	return nil
}

// v3NewTopic is what createV3Topic is asked for.
type v3NewTopic struct {
	Topic             string `json:"topic_name"`
	Partitions        *int32 `json:"partitions_count"`
	ReplicationFactor *int16 `json:"replication_factor"`
	Configs           []struct {
		Name  string  `json:"name"`
		Value *string `json:"value"` // null: the default
	} `json:"configs"`
}

// v3Fields are the names that v3 has for fields of a topic.
var v3Fields = map[string]string{"name": "topic_name", "partitions": "partitions_count"}

// createV3Topic serves POST …/topics.
func (s confluentV3) createV3Topic(w http.ResponseWriter, r *http.Request, memory *share) error {
	var asked v3NewTopic
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	spec := topics.Spec{Name: asked.Topic, Partitions: asked.Partitions, Configs: map[string]string{}}
	if n := asked.ReplicationFactor; n != nil {
		if *n < 1 || *n > topics.MaxReplicas {
			return invalid("replication_factor", "is %d; it has to be 1 to %d", *n, topics.MaxReplicas)
		}
		spec.ReplicationFactor = *n
	}
	for _, c := range asked.Configs {
		if c.Value != nil {
			spec.Configs[c.Name] = *c.Value
		}
	}
	t, err := s.create(r, spec)
	if e, is := errors.AsType[*topics.Error](err); is {
		p := topicProblem(e)
		if field, known := v3Fields[e.Field]; known {
			p.Field = field
		}
		return &p
	}
	if err != nil {
		return err
	}
	created := s.links(r).newTopic(t)
	w.Header().Set("Location", created.Metadata.Self)
	answer(w, http.StatusCreated, typeJSON, created)
	return nil
}

// v3Topic serves GET …/topics/{topic}.
func (s confluentV3) v3Topic(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, s.links(r).newTopic(t))
	return nil
}

// v3Config is a config of a topic as v3 shows it.
type v3Config struct {
	v3Resource
	Topic     string      `json:"topic_name"`
	Name      string      `json:"name"`
	Value     string      `json:"value"`
	Default   bool        `json:"is_default"`
	ReadOnly  bool        `json:"is_read_only"`
	Sensitive bool        `json:"is_sensitive"`
	Source    string      `json:"source"`
	Synonyms  []v3Synonym `json:"synonyms"`
}

// v3Synonym is where a config's value may come from, the first that there is first.
type v3Synonym struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// v3Configs are the configs of the topic that a path names.
func (s confluentV3) v3Configs(r *http.Request, memory *share) ([]v3Config, error) {
	if q := queryOf(r); q.err != nil {
		return nil, q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return nil, err
	}
	if err := memory.grow(r.Context(), describedBytes); err != nil {
		return nil, err
	}
	l, list := s.links(r), []v3Config{}
	for _, known := range configsOf(t) {
		c := v3Config{
			v3Resource: l.resource("KafkaTopicConfig", "/topic="+t.Name+"/config="+known.Name,
				"topics", t.Name, "configs", known.Name),
			Topic: t.Name, Name: known.Name, Value: known.Value, Default: !known.Set, Source: "DEFAULT_CONFIG",
			Synonyms: []v3Synonym{},
		}
		if known.Set {
			c.Source = "DYNAMIC_TOPIC_CONFIG"
			c.Synonyms = append(c.Synonyms, v3Synonym{known.Name, known.Value, c.Source})
		}
		if d, _ := topicconfig.Lookup(known.Name); d.Synonym != "" {
			c.Synonyms = append(c.Synonyms, v3Synonym{d.Synonym, known.Default, "DEFAULT_CONFIG"})
		}
		list = append(list, c)
	}
	return list, nil
}

// listV3Configs serves GET …/topics/{topic}/configs.
func (s confluentV3) listV3Configs(w http.ResponseWriter, r *http.Request, memory *share) error {
	list, err := s.v3Configs(r, memory)
	if err != nil {
		return err
	}
	self := s.links(r).to("topics", r.PathValue("topic"), "configs")
	answer(w, http.StatusOK, typeJSON, newV3List("KafkaTopicConfigList", self, list))
	return nil
}

// v3Config serves GET …/topics/{topic}/configs/{name}.
func (s confluentV3) v3Config(w http.ResponseWriter, r *http.Request, memory *share) error {
	list, err := s.v3Configs(r, memory)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].Name == r.PathValue("name") {
			answer(w, http.StatusOK, typeJSON, list[i])
			return nil
		}
	}
	return refuse(http.StatusNotFound, "name", "there is no config %q of topics", clip([]byte(r.PathValue("name"))))
}

// v3Partition is a partition as v3 shows it. Its replicas are the bucket's business.
type v3Partition struct {
	v3Resource
	Topic     string `json:"topic_name"`
	Partition int32  `json:"partition_id"`
}

func (l v3Links) newPartition(t *coordinator.Topic, n int32) v3Partition {
	number := strconv.Itoa(int(n))
	return v3Partition{l.resource("KafkaPartition", "/topic="+t.Name+"/partition="+number,
		"topics", t.Name, "partitions", number), t.Name, n}
}

// listV3Partitions serves GET …/topics/{topic}/partitions.
func (s confluentV3) listV3Partitions(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	if err := growV3(r, memory, int(t.Partitions), int(t.Partitions)*len(t.Name)); err != nil {
		return err
	}
	l, list := s.links(r), []v3Partition{}
	for n := range t.Partitions {
		list = append(list, l.newPartition(t, n))
	}
	answer(w, http.StatusOK, typeJSON, newV3List("KafkaPartitionList", l.to("topics", t.Name, "partitions"), list))
	return nil
}

// v3PartitionOf serves GET …/topics/{topic}/partitions/{partition}.
func (s confluentV3) v3PartitionOf(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, at, err := s.namedPartition(r)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, s.links(r).newPartition(t, at.Index))
	return nil
}
