package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// Without an authorizer everybody may do everything that there is to do with a topic and the cluster (KIP-430). Bit n stands for
// operation n.
var (
	topicOperations = operations(kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete,
		kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs)
	clusterOperations = operations(kmsg.ACLOperationCreate, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationClusterAction,
		kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationIdempotentWrite)
)

func operations(ops ...kmsg.ACLOperation) (bits int32) {
	for _, op := range ops {
		bits |= 1 << op
	}
	return bits
}
