package rest

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
	"firn.dev/topics"
)

// changeTimeout bounds how long a change may take.
const changeTimeout = 30 * time.Second

// maxListed is how many topics or groups one answer lists.
const maxListed = 1000

// topic is a topic in a list.
type topic struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Partitions int32  `json:"partitions"`
	Records    int64  `json:"records"` // offsets between log start and high watermark
	Bytes      int64  `json:"bytes"`
}

// topicList is topics by name, and after which name the next list begins.
type topicList struct {
	Topics []topic `json:"topics"`
	Total  int     `json:"total"`
	Next   string  `json:"next,omitempty"`
}

// topicDetails is all there is to say of a topic.
type topicDetails struct {
	topic
	PartitionList []partitionDetails `json:"partition_list"`
	Configs       []topicConfig      `json:"configs"`
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
	Set     bool   `json:"set"` // on this topic
}

// listTopics lists topics by name.
func (s *Server) listTopics(w http.ResponseWriter, r *http.Request, memory *share) error {
	list, err := s.topicList(r, memory)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// topicList is the topics that a request asks for, of those that its client may know of.
func (s *Server) topicList(r *http.Request, memory *share) (topicList, error) {
	list := topicList{Topics: []topic{}}
	q := queryOf(r, "after", "limit", "contains")
	limit, after, contains := int(q.number("limit", maxListed, 1, maxListed)), q.text("after", ""), q.text("contains", "")
	if q.err != nil {
		return list, q.err
	}
	n := s.opts.View.TopicCount()
	if err := memory.grow(r.Context(), int64(n)*pointerBytes+int64(min(n, limit))*listedTopicBytes); err != nil {
		return list, err
	}
	for _, t := range s.opts.View.Topics() {
		if !strings.Contains(t.Name, contains) || !allows(r, access.Describe, access.Topic, t.Name) {
			continue
		}
		list.Total++
		switch {
		case t.Name <= after:
		case len(list.Topics) < limit:
			list.Topics = append(list.Topics, s.summary(t))
		default:
			list.Next = list.Topics[limit-1].Name
		}
	}
	return list, nil
}

// summary adds a topic's partitions up.
func (s *Server) summary(t *coordinator.Topic) topic {
	d := topic{Name: t.Name, ID: t.ID.String(), Partitions: t.Partitions}
	for i := range t.Partitions {
		if info, ok := s.opts.View.Partition(segments.Partition{Topic: t.ID, Index: i}); ok {
			d.Records += info.HighWatermark - info.LogStart
			d.Bytes += info.Bytes
		}
	}
	return d
}

// describeTopic says all there is to say of a topic.
func (s *Server) describeTopic(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	return s.answerDetails(w, r, http.StatusOK, t, memory)
}

// answerDetails answers with all there is to say of a topic.
func (s *Server) answerDetails(w http.ResponseWriter, r *http.Request, status int, t *coordinator.Topic,
	memory *share) error {
	if err := memory.grow(r.Context(), describedBytes+int64(t.Partitions)*partitionBytes); err != nil {
		return err
	}
	answer(w, status, typeJSON, s.details(r, t))
	return nil
}

func (s *Server) details(r *http.Request, t *coordinator.Topic) topicDetails {
	d := topicDetails{topic: s.summary(t), PartitionList: []partitionDetails{}, Configs: []topicConfig{}}
	for i := range t.Partitions {
		info, _ := s.view().Partition(segments.Partition{Topic: t.ID, Index: i})
		d.PartitionList = append(d.PartitionList, partitionDetails{i, info.LogStart, info.HighWatermark, info.Bytes})
	}
	if allows(r, access.DescribeConfigs, access.Topic, t.Name) {
		d.Configs = configsOf(t)
	}
	return d
}

// configsOf are all configs of a topic, by name.
func configsOf(t *coordinator.Topic) (configs []topicConfig) {
	for _, known := range topicconfig.All() {
		c := topicConfig{Name: known.Name, Value: known.Default, Default: known.Default}
		if value, set := t.Configs[known.Name]; set {
			c.Value, c.Set = value, true
		}
		configs = append(configs, c)
	}
	return configs
}

// newTopic is what createTopic is asked for.
type newTopic struct {
	Name       string            `json:"name"`
	Partitions *int32            `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

// createTopic creates a topic.
func (s *Server) createTopic(w http.ResponseWriter, r *http.Request, memory *share) error {
	asked := newTopic{}
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	t, err := s.create(r, topics.Spec{Name: asked.Name, Partitions: asked.Partitions, Configs: asked.Configs})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/topics/"+url.PathEscape(t.Name))
	return s.answerDetails(w, r, http.StatusCreated, t, memory)
}

// create creates a topic that a request asks for, and returns it as this node shows it.
func (s *Server) create(r *http.Request, asked topics.Spec) (*coordinator.Topic, error) {
	if err := s.mayCreateTopic(r, asked.Name); err != nil {
		return nil, err
	}
	planned, err := s.topics.Plan().Add(asked)
	if err != nil {
		return nil, err
	}
	if err := s.mutates(r, planned.Partitions); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if _, err := s.topics.Create(ctx, planned); err != nil {
		return nil, err
	}
	return s.topicNamed(asked.Name) // which may be deleted already
}

// topicChange is what alterTopic is asked for; what is not named stays.
type topicChange struct {
	Partitions *int32             `json:"partitions"` // more than there are
	Configs    map[string]*string `json:"configs"`    // null: the default again
}

// alterTopic changes a topic's configs, and then adds partitions.
func (s *Server) alterTopic(w http.ResponseWriter, r *http.Request, memory *share) error {
	var asked topicChange
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	if asked.Partitions != nil {
		if err := s.may(r, access.Alter, access.Topic, t.Name); err != nil {
			return err
		}
	}
	if asked.Configs != nil {
		if err := s.may(r, access.AlterConfigs, access.Topic, t.Name); err != nil {
			return err
		}
	}
	grows := asked.Partitions != nil && *asked.Partitions != t.Partitions
	if grows {
		if err := s.topics.CheckGrowth(t, *asked.Partitions); err != nil {
			return err
		}
	}
	configs, err := s.topics.CheckConfigs(t, changedConfigs(t, asked.Configs))
	if err != nil {
		return err
	}
	if grows {
		if err := s.mutates(r, *asked.Partitions-t.Partitions); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := s.topics.Configure(ctx, configs); err != nil {
		return err
	}
	if grows {
		if err := s.topics.Grow(ctx, t, *asked.Partitions); err != nil {
			return err
		}
	}
	return s.describeTopic(w, r, memory)
}

// changedConfigs is what will be set on a topic.
func changedConfigs(t *coordinator.Topic, asked map[string]*string) map[string]string {
	set := map[string]string{}
	maps.Copy(set, t.Configs)
	for name, value := range asked {
		if value == nil {
			delete(set, name)
		} else {
			set[name] = *value
		}
	}
	return set
}

// deleteTopic deletes a topic.
func (s *Server) deleteTopic(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := s.namedTopic(r)
	if err != nil {
		return err
	}
	if err := s.mutates(r, t.Partitions); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := s.topics.Delete(ctx, t); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteRecords moves a partition's log start up.
func (s *Server) deleteRecords(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, "before")
	text := q.text("before", "")
	if q.err != nil {
		return q.err
	}
	before, err := parsePlace("before", text)
	if err != nil {
		return err
	}
	t, at, err := s.namedPartition(r)
	if err != nil {
		return err
	}
	if err := s.topics.CheckTrim(t); err != nil {
		return err
	}
	_ = s.catchUp(r.Context())
	offset, err := s.offsetOf(r.Context(), at, before)
	if err != nil {
		return err
	}
	info, _ := s.view().Partition(at)
	starts := topics.Trimming{}
	if err := starts.Add(at, info, offset); err != nil {
		return s.outOfRange(&reading{topic: t, at: at, offset: offset}, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := s.topics.Trim(ctx, starts)[at]; err != nil {
		return err
	}
	info, _ = s.view().Partition(at)
	answer(w, http.StatusOK, typeJSON, partitionDetails{at.Index, info.LogStart, info.HighWatermark, info.Bytes})
	return nil
}
