package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// unserved lists every Kafka API that is not registered, and why. A test sees to it that each API
// stands either here or in the register. The connection of a client that sends one of these is
// closed, as by Kafka.
var unserved = []struct {
	why  string
	keys []kmsg.Key
}{
	{"not planned: delegation tokens", []kmsg.Key{
		kmsg.CreateDelegationToken, kmsg.RenewDelegationToken, kmsg.ExpireDelegationToken, kmsg.DescribeDelegationToken,
	}},
	{"not planned: Kafka Streams' own groups; Streams runs on consumer groups as well", []kmsg.Key{
		kmsg.StreamsGroupHeartbeat, kmsg.StreamsGroupDescribe, kmsg.StreamsGroupTopologyDescriptionUpdate,
	}},
	{"as Kafka without a plugin that takes the metrics that clients push", []kmsg.Key{
		kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry,
	}},
	{"no meaning: there is no quorum of controllers", []kmsg.Key{
		kmsg.Vote, kmsg.BeginQuorumEpoch, kmsg.EndQuorumEpoch, kmsg.FetchSnapshot,
		kmsg.AddRaftVoter, kmsg.RemoveRaftVoter, kmsg.UpdateRaftVoter, kmsg.ControllerRegistration, kmsg.UnregisterController,
	}},
	{"no meaning: what Kafka's brokers say to each other", []kmsg.Key{
		kmsg.LeaderAndISR, kmsg.StopReplica, kmsg.UpdateMetadata, kmsg.ControlledShutdown, kmsg.AlterPartition, kmsg.Envelope,
		kmsg.BrokerRegistration, kmsg.BrokerHeartbeat, kmsg.AllocateProducerIDs, kmsg.AssignReplicasToDirs,
		kmsg.InitializeShareGroupState, kmsg.ReadShareGroupState, kmsg.WriteShareGroupState, kmsg.DeleteShareGroupState,
		kmsg.ReadShareGroupStateSummary,
	}},
}
