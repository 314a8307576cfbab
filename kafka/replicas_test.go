package kafka_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

// declaration is a topic as the common Terraform provider keeps it: partitions, replication factor,
// and the configs that are not defaults.
type declaration struct {
	partitions int
	replicas   int
	configs    map[string]string
}

// read is what the provider finds, from Metadata and DescribeConfigs.
func read(t *testing.T, admin *kadm.Client, topic string) declaration {
	t.Helper()
	topics, err := admin.ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	found := declaration{len(topics[topic].Partitions), topics[topic].Partitions.NumReplicas(), map[string]string{}}
	for _, c := range configs[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			found.configs[c.Key] = *c.Value
		}
	}
	return found
}

func (d declaration) differs(from declaration) bool { return fmt.Sprint(d) != fmt.Sprint(from) }

// apply is what it does about the difference: create, reassign, set configs.
func apply(t *testing.T, f *firn, topic string, want declaration, create bool) {
	t.Helper()
	admin, configs := f.admin(t), map[string]*string{}
	for name, value := range want.configs {
		configs[name] = &value
	}
	if create {
		_, err := admin.CreateTopic(t.Context(), int32(want.partitions), int16(want.replicas), configs, topic)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var assign kadm.AlterPartitionAssignmentsReq
	for p := range int32(want.partitions) {
		replicas := []int32{}
		for id := range int32(want.replicas) {
			replicas = append(replicas, id+1)
		}
		assign.Assign(topic, p, replicas)
	}
	answers, err := admin.AlterPartitionAssignments(t.Context(), assign)
	if err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	under, err := admin.ListPartitionReassignments(t.Context(), kadm.TopicsSet{})
	if err != nil || len(under) != 0 {
		t.Errorf("under way: %v, error %v", under, err)
	}
	var set []kadm.AlterConfig
	for name, value := range configs {
		set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	if _, err := admin.AlterTopicConfigsState(t.Context(), set, topic); err != nil { // replaces what was set
		t.Fatal(err)
	}
}

// What was declared reads back, so that nobody finds a difference the second time: with one node
// and three replicas, with configs set to their defaults, and after each change.
func TestDeclaredReadsBack(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	want := declaration{3, 3, map[string]string{"min.insync.replicas": "2", "retention.ms": "604800000"}}
	apply(t, f, "log", want, true)
	for _, change := range []declaration{want,
		{3, 2, map[string]string{"min.insync.replicas": "2", "cleanup.policy": "compact"}},
		{3, 5, map[string]string{}},
		{3, 1, map[string]string{"cleanup.policy": "delete"}},
	} {
		if read(t, f.admin(t), "log").differs(change) {
			apply(t, f, "log", change, false)
		}
		if got := read(t, f.admin(t), "log"); got.differs(change) {
			t.Errorf("declared %+v, read %+v", change, got)
		}
	}
}

// No partition is under-replicated, or has fewer replicas in sync than its topic asks for.
func TestAllReplicasAreInSync(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	apply(t, f, "log", declaration{4, 3, map[string]string{"min.insync.replicas": "3"}}, true)
	topics, err := f.admin(t).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range topics["log"].Partitions {
		if len(p.ISR) < 3 || !slices.Equal(p.ISR, p.Replicas) || p.Replicas[0] != p.Leader || len(p.OfflineReplicas) > 0 {
			t.Errorf("partition %+v", p)
		}
	}
	page := ask[*kmsg.DescribeTopicPartitionsResponse](t, f,
		&kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 9})
	if p := page.Topics[0].Partitions[0]; len(p.ISR) != 3 || len(p.Replicas) != 3 {
		t.Errorf("described %+v", p)
	}
}

// A topic that stands twice in a request, and topics of requests at the same moment, keep all that
// is assigned; of a partition that is assigned twice, the last stands.
func TestReassignmentsKeepEachOther(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	const partitions = 12
	f.createTopic(t, "log", partitions)
	twice := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	for broker, partition := range []int32{0, 1, 1, 2} {
		twice.Topics = append(twice.Topics, kmsg.AlterPartitionAssignmentsRequestTopic{Topic: "log",
			Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{
				{Partition: partition, Replicas: []int32{int32(broker)}}}})
	}
	for _, a := range ask[*kmsg.AlterPartitionAssignmentsResponse](t, f, twice).Topics {
		wantCode(t, "assign", a.Partitions[0].ErrorCode, nil)
	}
	admin := f.admin(t)
	var under sync.WaitGroup
	for p := int32(3); p < partitions; p++ {
		under.Go(func() {
			var assign kadm.AlterPartitionAssignmentsReq
			assign.Assign("log", p, []int32{p + 1})
			if answers, err := admin.AlterPartitionAssignments(t.Context(), assign); err != nil || answers.Error() != nil {
				t.Error(err, answers.Error())
			}
		})
	}
	under.Wait()
	got := f.node.View().Topic("log").Assignment.String()
	if got != "0,2,3,4,5,6,7,8,9,10,11,12" {
		t.Errorf("assigned are %s", got)
	}
}

func TestReportedReplicationFactor(t *testing.T) {
	f := startFirn(t, kafka.Options{ReportedReplicationFactor: 1})
	apply(t, f, "log", declaration{1, 3, nil}, true)
	if got := read(t, f.admin(t), "log"); got.replicas != 1 {
		t.Errorf("%d replicas are told", got.replicas)
	}
}

func TestReassignmentsAreRefused(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	apply(t, f, "log", declaration{1, 3, nil}, true)
	for name, c := range map[string]struct {
		topic     string
		partition int32
		replicas  []int32
		fixed     bool
		want      *kerr.Error
	}{
		"no topic":         {"none", 0, []int32{1}, false, kerr.UnknownTopicOrPartition},
		"no partition":     {"log", 1, []int32{1}, false, kerr.UnknownTopicOrPartition},
		"cancelled":        {"log", 0, nil, false, kerr.NoReassignmentInProgress},
		"no broker":        {"log", 0, []int32{}, false, kerr.InvalidReplicaAssignment},
		"a broker twice":   {"log", 0, []int32{1, 1}, false, kerr.InvalidReplicaAssignment},
		"a fixed number":   {"log", 0, []int32{1}, true, kerr.InvalidReplicationFactor},
		"the fixed number": {"log", 0, []int32{3, 2, 1}, true, nil},
		"too many":         {"log", 0, make([]int32, kafka.MaxReplicas+1), false, kerr.InvalidReplicaAssignment},
	} {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.Version, req.AllowReplicationFactorChange = 1, !c.fixed
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: c.topic,
			Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: c.partition, Replicas: c.replicas}}}}
		answer := ask[*kmsg.AlterPartitionAssignmentsResponse](t, f, req).Topics[0].Partitions[0]
		wantCode(t, name, answer.ErrorCode, c.want)
	}
	if got := read(t, f.admin(t), "log"); got.replicas != 3 {
		t.Errorf("what was refused was done: %d replicas", got.replicas)
	}
}

// Brokers that partitions were assigned to read back, whichever way, and lead; those that do not
// live have others in their places.
func TestAssignmentsReadBack(t *testing.T) {
	store, coord := memory.New(), manyNodes{embedded.New(embedded.Options{})}
	f := startNode(t, kafka.Options{}, store, 0, coord, 1)
	for id := range int32(2) {
		startNode(t, kafka.Options{}, store, 0, coord, id+2)
	}
	for deadline := time.Now().Add(time.Minute); len(f.node.Nodes()) < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the first node knows of %v", f.node.Nodes())
		}
	}
	want := func(assigned ...[]int32) {
		t.Helper()
		var got [][]int32
		topics, err := f.admin(t).ListTopics(t.Context(), "log")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range topics["log"].Partitions.Sorted() {
			got = append(got, p.Replicas)
			if p.Leader != p.Replicas[0] || !slices.Equal(p.ISR, p.Replicas) {
				t.Errorf("partition %+v", p)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(assigned) {
			t.Errorf("replicas %v, assigned %v", got, assigned)
		}
	}
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "log", -1, -1
	for i, brokers := range [][]int32{{3, 1}, {2, 3}} {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment,
			kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: brokers})
	}
	created := ask[*kmsg.CreateTopicsResponse](t, f, createTopicsRequest(topic)).Topics[0]
	wantCode(t, "create", created.ErrorCode, nil)
	want([]int32{3, 1}, []int32{2, 3})

	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "log", Count: 3,
		Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{1, 2}}}}}
	wantCode(t, "grow", ask[*kmsg.CreatePartitionsResponse](t, f, grow).Topics[0].ErrorCode, nil)
	want([]int32{3, 1}, []int32{2, 3}, []int32{1, 2})

	var assign kadm.AlterPartitionAssignmentsReq
	assign.Assign("log", 1, []int32{1, 3, 2})
	answers, err := f.admin(t).AlterPartitionAssignments(t.Context(), assign)
	if err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	want([]int32{3, 1}, []int32{1, 3, 2}, []int32{1, 2})

	assign = kadm.AlterPartitionAssignmentsReq{}
	assign.Assign("log", 0, []int32{9, 2, 8})
	if _, err := f.admin(t).AlterPartitionAssignments(t.Context(), assign); err != nil {
		t.Fatal(err)
	}
	want([]int32{2, 3, 1}, []int32{1, 3, 2}, []int32{1, 2})

	sizes := kmsg.NewPtrDescribeLogDirsRequest()
	sizes.Version = 4
	sizes.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "log", Partitions: []int32{-1, 2, 3}}}
	if dir := ask[*kmsg.DescribeLogDirsResponse](t, f, sizes).Dirs[0]; len(dir.Topics[0].Partitions) != 1 {
		t.Errorf("of partitions -1, 2 and 3 the leader of 2 describes %+v", dir.Topics[0].Partitions)
	}
}
