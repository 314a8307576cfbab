package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator/dynamicconfig"
)

// ListConfigResources, versions 0 and 1, as Kafka 4.
//
//   - Topics and brokers are listed, and brokers' loggers by the brokers; groups and subscriptions
//     to clients' metrics if they have a config of their own. Version 0 asks for the subscriptions.
//   - No types ask for all. A type that there is not is UNSUPPORTED_VERSION.
func init() {
	register(0, 1, listConfigResources, rules{
		needs: []access.Need{access.DescribeConfigs.On(access.Cluster)}, quota: access.Requests})
}

// configResources are the types that Kafka 4 lists.
var configResources = []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker,
	kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig}

func listConfigResources(_ context.Context, s *Server, from *peer,
	req *kmsg.ListConfigResourcesRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if refused := from.mayWithCluster(access.DescribeConfigs); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	asked := req.ResourceTypes
	if req.Version == 0 {
		asked = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	} else if len(asked) == 0 {
		for _, kind := range configResources {
			asked = append(asked, int8(kind))
		}
	}
	slices.Sort(asked)
	for _, kind := range slices.Compact(asked) {
		names, known := s.configured(kmsg.ConfigResourceType(kind))
		if !known {
			resp.ErrorCode, resp.ConfigResources = kerr.UnsupportedVersion.Code, nil
			return resp, nil
		}
		for _, name := range names {
			resp.ConfigResources = append(resp.ConfigResources,
				kmsg.ListConfigResourcesResponseConfigResource{Name: name, Type: kind})
		}
	}
	return resp, nil
}

// configured names the resources of a type; false if there is no such type.
func (s *Server) configured(kind kmsg.ConfigResourceType) (names []string, known bool) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		for _, t := range s.listed() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
		for _, n := range s.opts.Node.Nodes() {
			names = append(names, strconv.Itoa(int(n.ID)))
		}
	case kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics:
		names = dynamicconfig.Names(s.opts.Node.View(), dynamicKinds[kind])
	}
	return names, slices.Contains(configResources, kind)
}
