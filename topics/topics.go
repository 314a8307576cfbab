// Package topics changes topics: it creates, grows, configures, deletes and trims them, with the
// limits and defaults that hold for each front door. A front door decides who may do it, and how an
// answer looks.
package topics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// Node is what changing topics asks of this process's membership; coordinator.Node is the one.
type Node interface {
	// Change makes a change, and returns once the View shows it.
	Change(ctx context.Context, change coordinator.Change) (coordinator.Fact, error)
	// CatchUp returns once the View shows all that any node has told anybody before the call.
	CatchUp(ctx context.Context) error
	// View is the log as this node knows it.
	View() *coordinator.View
}

// Options are what holds for all topics of a server. Zero values mean the defaults.
type Options struct {
	AutoCreate        bool  // topics are created that clients name and that do not exist
	DefaultPartitions int32 // of a topic whose creator does not say; 1
	MaxPartitions     int   // of one topic, and of all topics that one request creates; 10,000
}

// WithDefaults returns the options with every zero value replaced by its default.
func (o Options) WithDefaults() Options {
	o.DefaultPartitions = cmp.Or(o.DefaultPartitions, 1)
	o.MaxPartitions = cmp.Or(o.MaxPartitions, 10_000)
	return o
}

// Validate reports what is wrong with options that have their defaults.
func (o Options) Validate() error {
	var problems []error
	if o.DefaultPartitions < 1 {
		problems = append(problems, fmt.Errorf("topics: DefaultPartitions is %d", o.DefaultPartitions))
	}
	if o.MaxPartitions < 1 {
		problems = append(problems, fmt.Errorf("topics: MaxPartitions is %d", o.MaxPartitions))
	}
	if int(o.DefaultPartitions) > o.MaxPartitions {
		problems = append(problems, fmt.Errorf("topics: DefaultPartitions (%d) is more than MaxPartitions (%d)",
			o.DefaultPartitions, o.MaxPartitions))
	}
	return errors.Join(problems...)
}

// Error is why a topic is not changed: something in the request is wrong, and another try would
// fail as well. Other errors are those of the node.
type Error struct {
	Kind    *kerr.Error
	Field   string // of a request: name, partitions, configs, offset; empty: the topic as it is
	Limit   string // the limit that stands in the way, if one does
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the coordinator's error for the same.
func (e *Error) Unwrap() error { return e.cause }

func refuse(kind *kerr.Error, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Topics changes the topics of one cluster.
type Topics struct {
	node Node
	opts Options
}

// New returns what changes topics through a node. The options have their defaults.
func New(node Node, opts Options) *Topics { return &Topics{node, opts} }

// MaxReplicas bounds the replication factor that may be declared.
const MaxReplicas = 16

// Spec is a topic as it is asked for.
type Spec struct {
	Name       string
	Partitions *int32 // nil: the server's default
	Configs    map[string]string

	// what is declared, and remembered
	ReplicationFactor int16 // 0: none
	Assignment        coordinator.Assignment
}

// Planned is a topic that a Plan has checked.
type Planned struct {
	Name       string
	Partitions int32
	Configs    map[string]string
	replicas   int16
	assignment coordinator.Assignment
}

// Plan is topics that are to be created by one request. They are checked one by one and against
// each other.
type Plan struct {
	t          *Topics
	names      coordinator.TopicNames
	partitions int
}

// Plan begins a plan.
func (t *Topics) Plan() *Plan {
	return &Plan{t: t, names: coordinator.NamesOf(t.node.View().Topics())}
}

// Add checks all that can be known of a topic without creating it.
func (p *Plan) Add(s Spec) (Planned, error) {
	n := Planned{Name: s.Name, Configs: s.Configs, Partitions: p.t.opts.DefaultPartitions, replicas: s.ReplicationFactor,
		assignment: s.Assignment}
	if err := p.CheckName(s.Name); err != nil {
		return n, err
	}
	if s.Partitions != nil {
		n.Partitions = *s.Partitions
	}
	if n.Partitions < 1 {
		return n, refuse(kerr.InvalidPartitions, "partitions", "partition count is %d; a topic has at least 1", n.Partitions)
	}
	if err := p.t.fits(n.Partitions); err != nil {
		return n, err
	}
	if err := validate(s.Configs); err != nil {
		return n, err
	}
	if p.partitions += int(n.Partitions); p.partitions > p.t.opts.MaxPartitions {
		return n, tooMany(kerr.PolicyViolation,
			"the request creates more than %d partitions (MaxPartitions); use several requests", p.t.opts.MaxPartitions)
	}
	p.names.Add(s.Name)
	return n, nil
}

// CheckName says why no topic of the name can be created.
func (p *Plan) CheckName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if p.t.node.View().Topic(name) != nil {
		return refuse(kerr.TopicAlreadyExists, "", "topic %q already exists", name)
	}
	if err := p.names.Check(name); err != nil {
		return badName(err)
	}
	return nil
}

// CheckName applies Kafka's rules for the names of topics.
func CheckName(name string) error {
	if err := coordinator.CheckTopicName(name); err != nil {
		return badName(err)
	}
	return nil
}

func badName(err error) error { return refuse(kerr.InvalidTopicException, "name", "%v", err) }

func tooMany(kind *kerr.Error, format string, args ...any) error {
	e := refuse(kind, "partitions", format, args...)
	e.Limit = "MaxPartitions"
	return e
}

// fits refuses more partitions than a topic may have.
func (t *Topics) fits(partitions int32) error {
	if limit := t.opts.MaxPartitions; int(partitions) > limit {
		return tooMany(kerr.InvalidPartitions, "partition count is %d; a topic may have at most %d (MaxPartitions)",
			partitions, limit)
	}
	return nil
}

// validate refuses configs that a topic cannot have, naming all that is wrong.
func validate(set map[string]string) error {
	if err := topicconfig.Validate(set); err != nil {
		return refuse(kerr.InvalidConfig, "configs", "%v", err)
	}
	return nil
}

// Create creates a topic, and returns it once this node shows it.
func (t *Topics) Create(ctx context.Context, n Planned) (*coordinator.Topic, error) {
	c := &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: n.Name, Partitions: n.Partitions, Configs: n.Configs}
	if n.replicas > 1 || len(n.assignment) > 0 {
		c.Configs = maps.Clone(n.Configs)
		if c.Configs == nil {
			c.Configs = map[string]string{}
		}
		for name, value := range coordinator.DeclareReplicas(n.replicas, n.assignment) {
			if value != nil {
				c.Configs[name] = *value
			}
		}
	}
	if _, err := t.node.Change(ctx, coordinator.Change{CreateTopic: c}); err != nil {
		return nil, err
	}
	return &coordinator.Topic{ID: c.ID, Name: n.Name, Partitions: n.Partitions, Configs: n.Configs,
		ReplicationFactor: n.replicas, Assignment: n.assignment}, nil
}

// Draft is a topic that does not exist yet, as Ensure would create it.
func (t *Topics) Draft(name string) *coordinator.Topic {
	return &coordinator.Topic{Name: name, Partitions: t.opts.DefaultPartitions}
}

// Ensure creates a topic with the server's defaults because a client named it, unless another node
// was faster. It returns the topic as this node shows it.
func (t *Topics) Ensure(ctx context.Context, name string) (*coordinator.Topic, error) {
	_, err := t.Create(ctx, Planned{Name: name, Partitions: t.opts.DefaultPartitions})
	if errors.Is(err, coordinator.ErrTopicExists) {
		err = t.node.CatchUp(ctx)
	}
	if err != nil {
		return nil, err
	}
	if known := t.node.View().Topic(name); known != nil {
		return known, nil
	}
	return nil, unknownTopic(name) // deleted already
}

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) error {
	return refuse(kerr.UnknownTopicOrPartition, "", "there is no topic %q", name)
}

// CheckGrowth says why a topic cannot have so many partitions from now on.
func (t *Topics) CheckGrowth(topic *coordinator.Topic, partitions int32) error {
	if partitions <= topic.Partitions {
		e := refuse(kerr.InvalidPartitions, "partitions", "topic %q has %d partitions; it can only get more, and %d is not",
			topic.Name, topic.Partitions, partitions)
		e.cause = coordinator.ErrPartitionCount
		return e
	}
	return t.fits(partitions)
}

// Grow gives a topic more partitions, so that it has as many as CheckGrowth has checked. The
// brokers that they are assigned to, if they are, come one new partition after the other.
func (t *Topics) Grow(ctx context.Context, topic *coordinator.Topic, partitions int32, brokers ...[]int32) error {
	_, err := t.node.Change(ctx, coordinator.Change{Grow: &coordinator.Grow{Topic: topic.ID, Partitions: partitions,
		Assign: brokers}})
	return err
}

// Configuration is a change of a topic's configs that was checked. Nil changes nothing.
type Configuration struct{ change *coordinator.Configure }

// CheckConfigs says why the configs that are set on a topic cannot become set, or what has to
// change.
func (t *Topics) CheckConfigs(topic *coordinator.Topic, set map[string]string) (*Configuration, error) {
	if err := validate(set); err != nil {
		return nil, err
	}
	changes := topicconfig.Changes(topic.Configs, set)
	if len(changes) == 0 {
		return nil, nil
	}
	return &Configuration{&coordinator.Configure{Topic: topic.ID, Set: changes}}, nil
}

// Configure changes a topic's configs.
func (t *Topics) Configure(ctx context.Context, c *Configuration) error {
	if c == nil {
		return nil
	}
	_, err := t.node.Change(ctx, coordinator.Change{Configure: c.change})
	return err
}

// Reassign remembers the brokers that some of a topic's partitions are assigned to; what others
// assign at the same moment stays. It changes no more than what clients are told.
func (t *Topics) Reassign(ctx context.Context, topic *coordinator.Topic, brokers map[int32][]int32) error {
	_, err := t.node.Change(ctx, coordinator.Change{Configure: &coordinator.Configure{Topic: topic.ID, Assign: brokers}})
	return err
}

// Delete deletes a topic: every node stops to show it soon after, and its objects leave the bucket
// later.
func (t *Topics) Delete(ctx context.Context, topic *coordinator.Topic) error {
	_, err := t.node.Change(ctx, coordinator.Change{DeleteTopic: &topic.ID})
	return err
}

// CheckTrim says why no records of a topic can be deleted by their offset.
func (t *Topics) CheckTrim(topic *coordinator.Topic) error {
	if c, _ := topicconfig.Parse(topic.Configs); c.Compact && !c.Delete {
		return refuse(kerr.PolicyViolation, "",
			"topic %q is only compacted: records are deleted by writing their keys without values",
			topic.Name)
	}
	return nil
}

// HighWatermark as an offset of Trim stands for the partition's high watermark.
const HighWatermark = -1

// Trimming is log starts that are to move up together.
type Trimming map[segments.Partition]int64

// Add notes where the log of a partition has to start, unless it starts there or further up.
func (s Trimming) Add(p segments.Partition, info coordinator.PartitionInfo, offset int64) error {
	if offset == HighWatermark {
		offset = info.HighWatermark
	}
	if offset < 0 || offset > info.HighWatermark {
		e := refuse(kerr.OffsetOutOfRange, "offset",
			"offset %d lies beyond the high watermark %d", offset, info.HighWatermark)
		e.cause = coordinator.ErrOffsetRange
		return e
	}
	if offset > info.LogStart {
		s[p] = max(s[p], offset)
	}
	return nil
}

// Trim moves log starts up, as many at once as a change may have, and says of which partitions that
// failed, and why.
func (t *Topics) Trim(ctx context.Context, starts Trimming) map[segments.Partition]error {
	failed := map[segments.Partition]error{}
	for some := range slices.Chunk(slices.Collect(maps.Keys(starts)), coordinator.MaxLogStarts) {
		l := &coordinator.LogStart{Offsets: make(map[segments.Partition]int64, len(some))}
		for _, p := range some {
			l.Offsets[p] = starts[p]
		}
		if _, err := t.node.Change(ctx, coordinator.Change{LogStart: l}); err != nil {
			for _, p := range some {
				failed[p] = err
			}
		}
	}
	return failed
}
