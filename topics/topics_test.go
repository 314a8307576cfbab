package topics_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/topics"
)

// join starts a node of a cluster of its own.
func join(t *testing.T) *coordinator.Node {
	t.Helper()
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: memory.New(),
		Coordinator: embedded.New(embedded.Options{}), Info: coordinator.NodeInfo{ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return node
}

// kindOf is what a client is told.
func kindOf(err error) *kerr.Error {
	if e, ok := errors.AsType[*topics.Error](err); ok {
		return e.Kind
	}
	return nil
}

// create creates a topic.
func create(t *testing.T, all *topics.Topics, s topics.Spec) *coordinator.Topic {
	t.Helper()
	planned, err := all.Plan().Add(s)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := all.Create(t.Context(), planned)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestPlanChecksTopicsAgainstEachOther(t *testing.T) {
	all := topics.New(join(t), topics.Options{DefaultPartitions: 4, MaxPartitions: 10}.WithDefaults())
	create(t, all, topics.Spec{Name: "there"})
	plan := all.Plan()
	for _, c := range []struct {
		spec topics.Spec
		want *kerr.Error
	}{
		{topics.Spec{Name: "a.b"}, nil},
		{topics.Spec{Name: "a_b"}, kerr.InvalidTopicException}, // collides with the one before
		{topics.Spec{Name: "a b"}, kerr.InvalidTopicException},
		{topics.Spec{Name: "there"}, kerr.TopicAlreadyExists},
		{topics.Spec{Name: "none", Partitions: new(int32(0))}, kerr.InvalidPartitions},
		{topics.Spec{Name: "many", Partitions: new(int32(11))}, kerr.InvalidPartitions},
		{topics.Spec{Name: "odd", Configs: map[string]string{"retention.ms": "soon"}}, kerr.InvalidConfig},
		{topics.Spec{Name: "b"}, nil},                  // 8 partitions now
		{topics.Spec{Name: "c"}, kerr.PolicyViolation}, // 12 in all
	} {
		if _, err := plan.Add(c.spec); kindOf(err) != c.want || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.spec.Name, err, c.want)
		}
	}
}

func TestChanges(t *testing.T) {
	node := join(t)
	all := topics.New(node, topics.Options{MaxPartitions: 10}.WithDefaults())
	topic := create(t, all, topics.Spec{Name: "t", ReplicationFactor: 3,
		Configs: map[string]string{"cleanup.policy": "compact"}})
	if diff := cmp.Diff(node.View().Topic("t"), topic); diff != "" {
		t.Errorf("a topic is not what Create returned (-view +returned):\n%s", diff)
	}
	err := all.CheckGrowth(topic, 1)
	if kindOf(err) != kerr.InvalidPartitions || !errors.Is(err, coordinator.ErrPartitionCount) {
		t.Errorf("no growth: %v", err)
	}
	err = all.CheckGrowth(topic, 11)
	if kindOf(err) != kerr.InvalidPartitions || errors.Is(err, coordinator.ErrPartitionCount) {
		t.Errorf("too much growth: %v", err)
	}
	if err := all.CheckTrim(topic); kindOf(err) != kerr.PolicyViolation {
		t.Errorf("records of a compacted topic are deleted: %v", err)
	}
	if c, err := all.CheckConfigs(topic, topic.Configs); c != nil || err != nil {
		t.Errorf("the same configs are a change: %+v, %v", c, err)
	}
	c, err := all.CheckConfigs(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{all.Configure(t.Context(), c), all.Configure(t.Context(), nil),
		all.Grow(t.Context(), topic, 5, []int32{4}, []int32{5}, []int32{6}, []int32{7}),
		all.Reassign(t.Context(), topic, map[int32][]int32{1: {3, 1}}), all.Reassign(t.Context(), topic,
			map[int32][]int32{0: {1, 2}})} {
		if err != nil {
			t.Error(err)
		}
	}
	want := &coordinator.Topic{ID: topic.ID, Name: "t", Partitions: 5, ReplicationFactor: 2, Configs: map[string]string{},
		Assignment: coordinator.Assignment{{1, 2}, {3, 1}, {5}, {6}, {7}}}
	if diff := cmp.Diff(want, node.View().Topic("t")); diff != "" {
		t.Errorf("after all changes (-want +got):\n%s", diff)
	}
	if err := all.Delete(t.Context(), topic); err != nil || node.View().Topic("t") != nil {
		t.Errorf("the topic is not deleted: %v", err)
	}
	if err := all.Delete(t.Context(), topic); !errors.Is(err, coordinator.ErrUnknownTopic) {
		t.Errorf("a topic is deleted twice: %v", err)
	}
}

// otherNode is a node beside which another creates a topic, which it hears of when it catches up.
type otherNode struct {
	*coordinator.Node
	behind bool
}

func (n *otherNode) CatchUp(ctx context.Context) error {
	n.behind = false
	return n.Node.CatchUp(ctx)
}

// A topic that another node creates at the same moment is there when Ensure returns.
func TestEnsureFindsWhatAnotherNodeCreated(t *testing.T) {
	node := &otherNode{Node: join(t), behind: true}
	all := topics.New(node, topics.Options{DefaultPartitions: 2}.WithDefaults())
	first, err := all.Ensure(t.Context(), "t")
	if err != nil || first.Partitions != 2 {
		t.Fatalf("topic %+v, %v", first, err)
	}
	again, err := all.Ensure(t.Context(), "t")
	if err != nil || again.ID != first.ID || node.behind {
		t.Errorf("topic %+v instead of %+v, %v; it caught up: %v", again, first, err, !node.behind)
	}
}

func TestTrimmingOfOffsets(t *testing.T) {
	p := segments.Partition{Index: 1}
	info := coordinator.PartitionInfo{LogStart: 5, HighWatermark: 10}
	starts := topics.Trimming{}
	for _, c := range []struct {
		offset, want int64
		wrong        bool
	}{{3, 0, false}, {7, 7, false}, {6, 7, false}, {11, 7, true}, {-2, 7, true}, {topics.HighWatermark, 10, false}} {
		err := starts.Add(p, info, c.offset)
		if errors.Is(err, coordinator.ErrOffsetRange) != c.wrong || starts[p] != c.want {
			t.Errorf("offset %d: log start %d, want %d; %v", c.offset, starts[p], c.want, err)
		}
	}
}

func TestOptions(t *testing.T) {
	if err := (topics.Options{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	for _, o := range []topics.Options{{DefaultPartitions: -1}, {MaxPartitions: -1},
		{DefaultPartitions: 11, MaxPartitions: 10}} {
		if o.WithDefaults().Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}
