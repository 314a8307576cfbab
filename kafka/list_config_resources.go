package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ListConfigResources, versions 0 and 1, as Kafka 4.
//
//   - Topics and brokers have configs and are listed. There are no subscriptions to clients'
//     metrics, which are all that version 0 asks for, no groups with configs of their own, and no
//     levels of loggers.
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
	if req.Version == 0 {
		return resp, nil
	}
	asked := req.ResourceTypes
	if len(asked) == 0 {
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
		for _, t := range s.opts.Node.View().Topics() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker:
		for _, n := range s.opts.Node.Nodes() {
			names = append(names, strconv.Itoa(int(n.ID)))
		}
	}
	return names, slices.Contains(configResources, kind)
}
