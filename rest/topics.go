package rest

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
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
	q := queryOf(r, "after", "limit")
	limit, after := int(q.number("limit", maxListed, 1, maxListed)), q.text("after", "")
	if q.err != nil {
		return q.err
	}
	n := s.opts.View.TopicCount()
	if err := memory.grow(r.Context(), int64(n)*pointerBytes+int64(min(n, limit))*listedTopicBytes); err != nil {
		return err
	}
	topics := s.opts.View.Topics()
	list := topicList{Topics: []topic{}}
	for _, t := range topics {
		if !allows(r, access.Describe, access.Topic, t.Name) {
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
	answer(w, http.StatusOK, typeJSON, list)
	return nil
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
	if !allows(r, access.DescribeConfigs, access.Topic, t.Name) {
		return d
	}
	for _, known := range topicconfig.All() {
		c := topicConfig{Name: known.Name, Value: known.Default, Default: known.Default}
		if value, set := t.Configs[known.Name]; set {
			c.Value, c.Set = value, true
		}
		d.Configs = append(d.Configs, c)
	}
	return d
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
	if err := s.mayCreateTopic(r, asked.Name); err != nil {
		return err
	}
	partitions := s.opts.DefaultPartitions
	if asked.Partitions != nil {
		partitions = *asked.Partitions
	}
	if err := coordinator.CheckTopicName(asked.Name); err != nil {
		return badTopicName(err)
	}
	if err := coordinator.NamesOf(s.view().Topics()).Check(asked.Name); err != nil {
		return badTopicName(err)
	}
	if partitions < 1 {
		return invalid("partitions", "is %d; a topic has at least 1", partitions)
	}
	if err := s.checkPartitions(partitions); err != nil {
		return err
	}
	if err := topicconfig.Validate(asked.Configs); err != nil {
		return badConfigs(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := s.create(ctx, &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: asked.Name, Partitions: partitions, Configs: asked.Configs}); err != nil {
		return err
	}
	t, err := s.topicNamed(asked.Name)
	if err != nil {
		return err // deleted already
	}
	w.Header().Set("Location", "/v1/topics/"+url.PathEscape(t.Name))
	return s.answerDetails(w, r, http.StatusCreated, t, memory)
}

func (s *Server) create(ctx context.Context, c *coordinator.CreateTopic) error {
	_, err := s.opts.Node.Change(ctx, coordinator.Change{CreateTopic: c})
	return err
}

func badTopicName(err error) error {
	return &problem{Status: http.StatusBadRequest, Code: kerr.InvalidTopicException.Message, Field: "name", Detail: err.Error()}
}

func badConfigs(err error) error {
	return &problem{Status: http.StatusBadRequest, Code: kerr.InvalidConfig.Message, Field: "configs", Detail: err.Error()}
}

func (s *Server) checkPartitions(n int32) error {
	if limit := s.opts.Limits.MaxTopicPartitions; int(n) > limit {
		return &problem{Status: http.StatusBadRequest, Code: kerr.InvalidPartitions.Message, Field: "partitions", Limit: "MaxTopicPartitions",
			Detail: invalid("partitions", "is %d; a topic may have at most %d", n, limit).Detail}
	}
	return nil
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
	grow, err := s.growth(t, asked.Partitions)
	if err != nil {
		return err
	}
	configs, err := changedConfigs(t, asked.Configs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if configs != nil {
		if _, err := s.opts.Node.Change(ctx, coordinator.Change{Configure: configs}); err != nil {
			return err
		}
	}
	if grow != nil {
		if _, err := s.opts.Node.Change(ctx, coordinator.Change{Grow: grow}); err != nil {
			return err
		}
	}
	return s.describeTopic(w, r, memory)
}

// growth is the change that gives a topic more partitions, nil if it has as many.
func (s *Server) growth(t *coordinator.Topic, partitions *int32) (*coordinator.Grow, error) {
	switch {
	case partitions == nil || *partitions == t.Partitions:
		return nil, nil
	case *partitions < t.Partitions:
		return nil, &problem{Status: http.StatusConflict, Code: kerr.InvalidPartitions.Message, Field: "partitions",
			Detail: invalid("partitions", "is %d; the topic has %d, and can only get more", *partitions, t.Partitions).Detail}
	}
	return &coordinator.Grow{Topic: t.ID, Partitions: *partitions}, s.checkPartitions(*partitions)
}

// changedConfigs is the change of a topic's configs, nil if nothing changes.
func changedConfigs(t *coordinator.Topic, asked map[string]*string) (*coordinator.Configure, error) {
	set := map[string]string{}
	maps.Copy(set, t.Configs)
	for name, value := range asked {
		if value == nil {
			delete(set, name)
		} else {
			set[name] = *value
		}
	}
	if err := topicconfig.Validate(set); err != nil {
		return nil, badConfigs(err)
	}
	changes := topicconfig.Changes(t.Configs, set)
	if len(changes) == 0 {
		return nil, nil
	}
	return &coordinator.Configure{Topic: t.ID, Set: changes}, nil
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
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if _, err := s.opts.Node.Change(ctx, coordinator.Change{DeleteTopic: &t.ID}); err != nil {
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
	if c, _ := topicconfig.Parse(t.Configs); c.Compact && !c.Delete {
		return &problem{Status: http.StatusForbidden, Code: kerr.PolicyViolation.Message,
			Detail: "the topic is only compacted: records are deleted by writing their keys without values"}
	}
	_ = s.catchUp(r.Context())
	offset, err := s.in(r.Context(), at, before)
	if err != nil {
		return err
	}
	info, _ := s.view().Partition(at)
	if offset > info.HighWatermark {
		return s.outOfRange(&reading{topic: t, at: at, offset: offset}, coordinator.ErrOffsetRange)
	}
	if offset > info.LogStart {
		ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
		defer cancel()
		change := coordinator.Change{LogStart: &coordinator.LogStart{Offsets: map[segments.Partition]int64{at: offset}}}
		if _, err := s.opts.Node.Change(ctx, change); err != nil {
			return err
		}
		info, _ = s.view().Partition(at)
	}
	answer(w, http.StatusOK, typeJSON, partitionDetails{at.Index, info.LogStart, info.HighWatermark, info.Bytes})
	return nil
}
