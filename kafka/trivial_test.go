package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/topics"
)

// What tools ask of every Kafka cluster, and the answer where there is nothing of the kind.
func TestTrivialAnswers(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 2)
	t.Run("ElectLeaders", func(t *testing.T) {
		req := &kmsg.ElectLeadersRequest{Version: 2, Topics: []kmsg.ElectLeadersRequestTopic{
			{Topic: "log", Partitions: []int32{0, 1, 2}}, {Topic: "none", Partitions: []int32{0}}}}
		resp := ask[*kmsg.ElectLeadersResponse](t, f, req)
		for i, want := range []*kerr.Error{kerr.ElectionNotNeeded, kerr.ElectionNotNeeded, kerr.UnknownTopicOrPartition} {
			wantCode(t, "a partition", resp.Topics[0].Partitions[i].ErrorCode, want)
		}
		wantCode(t, "a topic that there is not", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		if all := ask[*kmsg.ElectLeadersResponse](t, f, &kmsg.ElectLeadersRequest{Version: 2}); len(all.Topics) > 0 {
			t.Errorf("elections were needed: %+v", all.Topics)
		}
		req.ElectionType = 2
		wantCode(
			t,
			"a type that there is not",
			ask[*kmsg.ElectLeadersResponse](t, f, req).ErrorCode,
			kerr.InvalidRequest,
		)
	})
	t.Run("DescribeQuorum", func(t *testing.T) {
		req := &kmsg.DescribeQuorumRequest{Version: 2, Topics: []kmsg.DescribeQuorumRequestTopic{
			{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}, {Partition: 1}}}}}
		resp := ask[*kmsg.DescribeQuorumResponse](t, f, req)
		first := resp.Topics[0].Partitions[0]
		if first.LeaderID != 7 || len(first.CurrentVoters) != 1 || first.CurrentVoters[0].ReplicaID != 7 ||
			len(resp.Nodes) != 1 || resp.Nodes[0].Listeners[0].Name != "PLAINTEXT" {
			t.Errorf("quorum %+v, nodes %+v", first, resp.Nodes)
		}
		wantCode(t, "another partition", resp.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
	})
	t.Run("UpdateFeatures", func(t *testing.T) {
		req := &kmsg.UpdateFeaturesRequest{Version: 1, FeatureUpdates: []kmsg.UpdateFeaturesRequestFeatureUpdate{
			{Feature: "group.version", MaxVersionLevel: 1, UpgradeType: upgrade},
			{Feature: "group.version", MaxVersionLevel: 2, UpgradeType: upgrade}}}
		resp := ask[*kmsg.UpdateFeaturesResponse](t, f, req)
		wantCode(t, "twice", resp.ErrorCode, kerr.InvalidRequest)
		req.FeatureUpdates = req.FeatureUpdates[1:]
		resp = ask[*kmsg.UpdateFeaturesResponse](t, f, req)
		wantCode(t, "beyond the highest", resp.ErrorCode, kerr.InvalidUpdateVersion)
		req.FeatureUpdates[0].MaxVersionLevel = 1
		resp = ask[*kmsg.UpdateFeaturesResponse](t, f, req)
		wantCode(t, "as it is", resp.ErrorCode, nil)
		if len(resp.Results) != 1 || resp.Results[0].Feature != "group.version" || resp.Results[0].ErrorCode != 0 {
			t.Errorf("results %+v", resp.Results)
		}
	})
	t.Run("ListConfigResources", func(t *testing.T) {
		req := &kmsg.ListConfigResourcesRequest{Version: 1}
		want := []kmsg.ListConfigResourcesResponseConfigResource{
			{
				Name: "log",
				Type: int8(kmsg.ConfigResourceTypeTopic),
			}, {Name: "7", Type: int8(kmsg.ConfigResourceTypeBroker)},
			{Name: "7", Type: int8(kmsg.ConfigResourceTypeBrokerLogger)}}
		got := ask[*kmsg.ListConfigResourcesResponse](t, f, req).ConfigResources
		if len(got) != 3 || got[2].Type != want[2].Type || got[0].Name != want[0].Name || got[1].Name != want[1].Name ||
			got[1].Type != want[1].Type {
			t.Errorf("all resources are %+v", got)
		}
		req.ResourceTypes = []int8{
			int8(kmsg.ConfigResourceTypeGroupConfig),
			int8(kmsg.ConfigResourceTypeClientMetrics),
		}
		if got := ask[*kmsg.ListConfigResourcesResponse](t, f, req); got.ErrorCode != 0 ||
			len(got.ConfigResources) > 0 {
			t.Errorf("groups and metrics: %+v", got)
		}
		req.ResourceTypes = []int8{3}
		wantCode(
			t,
			"another type",
			ask[*kmsg.ListConfigResourcesResponse](t, f, req).ErrorCode,
			kerr.UnsupportedVersion,
		)
	})
	t.Run("Security", func(t *testing.T) {
		acls := ask[*kmsg.DescribeACLsResponse](t, f, &kmsg.DescribeACLsRequest{Version: 3})
		wantCode(t, "DescribeAcls", acls.ErrorCode, kerr.SecurityDisabled)
		created := ask[*kmsg.CreateACLsResponse](t, f, &kmsg.CreateACLsRequest{Version: 3,
			Creations: []kmsg.CreateACLsRequestCreation{{}}})
		wantCode(t, "CreateAcls", created.Results[0].ErrorCode, kerr.SecurityDisabled)
		deleted := ask[*kmsg.DeleteACLsResponse](t, f, &kmsg.DeleteACLsRequest{Version: 3,
			Filters: []kmsg.DeleteACLsRequestFilter{{}}})
		wantCode(t, "DeleteAcls", deleted.Results[0].ErrorCode, kerr.SecurityDisabled)
		shaken := ask[*kmsg.SASLHandshakeResponse](t, f, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
		wantCode(t, "SaslHandshake", shaken.ErrorCode, kerr.IllegalSaslState)
		scram := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](t, f, &kmsg.DescribeUserSCRAMCredentialsRequest{
			Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "b"}, {Name: "b"}}}).Results
		if len(scram) != 2 {
			t.Fatalf("%d answers, want one for each user", len(scram))
		}
		wantCode(t, "a user", scram[0].ErrorCode, kerr.ResourceNotFound)
		wantCode(t, "a user named twice", scram[1].ErrorCode, kerr.DuplicateResource)
	})
	t.Run("Transactions", func(t *testing.T) {
		listed := ask[*kmsg.ListTransactionsResponse](t, f, &kmsg.ListTransactionsRequest{Version: 2,
			StateFilters: []string{"Ongoing", "Begun"}})
		if listed.ErrorCode != 0 || len(listed.TransactionStates) > 0 ||
			!slices.Equal(listed.UnknownStateFilters, []string{"Begun"}) {
			t.Errorf("transactions %+v", listed)
		}
		described := ask[*kmsg.DescribeTransactionsResponse](t, f,
			&kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"t"}})
		wantCode(t, "a transaction", described.TransactionStates[0].ErrorCode, kerr.TransactionalIDNotFound)
	})
	t.Run("AlterReplicaLogDirs", func(t *testing.T) {
		topics := []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "log", Partitions: []int32{0, 2}}}
		moved := ask[*kmsg.AlterReplicaLogDirsResponse](t, f, &kmsg.AlterReplicaLogDirsRequest{Version: 2,
			Dirs: []kmsg.AlterReplicaLogDirsRequestDir{
				{Dir: "/bucket", Topics: topics},
				{Dir: "/disk", Topics: topics},
			}})
		wantCode(t, "to where it is", moved.Topics[0].Partitions[0].ErrorCode, nil)
		wantCode(t, "one that there is not", moved.Topics[0].Partitions[1].ErrorCode, kerr.ReplicaNotAvailable)
		wantCode(t, "to another directory", moved.Topics[1].Partitions[0].ErrorCode, kerr.LogDirNotFound)
	})
	t.Run("UnregisterBroker", func(t *testing.T) {
		for id, want := range map[int32]*kerr.Error{7: kerr.InvalidRequest, 8: kerr.BrokerIDNotRegistered} {
			resp := ask[*kmsg.UnregisterBrokerResponse](t, f, &kmsg.UnregisterBrokerRequest{BrokerID: id})
			wantCode(t, "a broker", resp.ErrorCode, want)
		}
	})
	if f.node.View().TopicByID(topic.ID) == nil {
		t.Error("the topic is gone")
	}
}

// A client of another cluster that comes here is told so; one that meant another node is served.
func TestApiVersionsTellsTheCluster(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	ours := f.node.View().ClusterID()
	for name, c := range map[string]struct {
		cluster *string
		node    int32
		want    *kerr.Error
	}{
		"bootstrapping":   {nil, -1, nil},
		"this node":       {&ours, 7, nil},
		"another node":    {&ours, 8, nil},
		"another cluster": {new("other"), 7, kerr.RebootstrapRequired},
		"a node alone":    {nil, 7, kerr.InvalidRequest},
		"a cluster alone": {&ours, -1, kerr.InvalidRequest},
	} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 5, "test", "1"
		req.ClusterID, req.NodeID = c.cluster, c.node
		resp := ask[*kmsg.ApiVersionsResponse](t, f, req)
		wantCode(t, name, resp.ErrorCode, c.want)
		if c.want == nil &&
			(len(resp.FinalizedFeatures) != 3 || resp.FinalizedFeatures[0].MaxVersionLevel != 1 ||
				resp.FinalizedFeatures[2].MaxVersionLevel != 2) {
			t.Errorf("%s: features %+v", name, resp.FinalizedFeatures)
		}
	}
}

// Topics in which Kafka keeps its own state are not created, neither on purpose nor by asking: some
// are there.
func TestInternalTopicsAreNotCreated(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	for name, want := range map[string]*kerr.Error{"__consumer_offsets": nil, "__transaction_state": nil,
		"__cluster_metadata": kerr.InvalidTopicException} {
		resp := ask[*kmsg.CreateTopicsResponse](t, f, createTopicsRequest(newTopic(name, 1, 1)))
		wantCode(t, "CreateTopics "+name, resp.Topics[0].ErrorCode, kerr.TopicAlreadyExists)
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = 12, true
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		got := ask[*kmsg.MetadataResponse](t, f, req).Topics[0]
		wantCode(t, "Metadata of "+name, got.ErrorCode, want)
		if !got.IsInternal {
			t.Errorf("%s is not internal", name)
		}
	}
	if n := len(f.node.View().Topics()); n > 0 {
		t.Errorf("%d topics were created", n)
	}
}
