package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// AlterConfigs, versions 0 to 2, as Kafka 4. Any node serves it.
//
//   - The configs in the request replace all that were set on the resource. Clients should use
//     IncrementalAlterConfigs, which does not take back what somebody else has set.
//   - Each resource is changed wholly or not at all. Which configs others than topics have:
//     dynamic_configs.go. Levels of loggers are for IncrementalAlterConfigs alone (KIP-412).
//   - Of changes that are made at the same moment through different nodes, the last one to set a
//     config stands.
func init() {
	register(0, 2, alterConfigs, rules{
		needs: []access.Need{access.AlterConfigs.On(access.Topic), access.AlterConfigs.On(access.Cluster),
			access.AlterConfigs.On(access.Group)},
		quota: access.Mutations})
}

func alterConfigs(ctx context.Context, s *Server, from *peer, req *kmsg.AlterConfigsRequest) (kmsg.Response, error) {
	times := map[resource]int{}
	for _, r := range req.Resources {
		times[resource{r.ResourceType, r.ResourceName}]++
	}
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	inParallel(len(req.Resources), func(i int) {
		asked := req.Resources[i]
		r := resource{asked.ResourceType, asked.ResourceName}
		refused := s.alterResource(ctx, from, r, times[r], req.ValidateOnly,
			func(map[string]string) (map[string]string, *refusal) {
				if r.kind == kmsg.ConfigResourceTypeBrokerLogger { // KIP-412
					return nil, refuse(kerr.InvalidRequest,
						"AlterConfigs sets no levels of loggers; use IncrementalAlterConfigs")
				}
				return replacedConfigs(asked.Configs)
			})
		a := kmsg.NewAlterConfigsResponseResource()
		a.ResourceType, a.ResourceName = r.kind, r.name
		a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
		resp.Resources[i] = a
	})
	return resp, nil
}

func replacedConfigs(asked []kmsg.AlterConfigsRequestResourceConfig) (map[string]string, *refusal) {
	set := make(map[string]string, len(asked))
	for _, c := range asked {
		if c.Value == nil {
			return nil, refuse(kerr.InvalidRequest, "config %q has no value; leave it out to get the default", c.Name)
		}
		set[c.Name] = *c.Value
	}
	return set, nil
}

// alterResource changes the configs of a resource, which the request names so many times, to what
// next makes of those that were set before.
func (s *Server) alterResource(ctx context.Context, from *peer, r resource, times int, validateOnly bool,
	next func(set map[string]string) (map[string]string, *refusal)) *refusal {
	if times > 1 {
		return refuse(kerr.InvalidRequest, "the request names %s %q %d times", r.kind, r.name, times)
	}
	if refused := from.mayWithConfigs(access.AlterConfigs, r); refused != nil {
		return refused
	}
	ctx, cancel := withTimeout(ctx, 0)
	defer cancel()
	if r.kind == kmsg.ConfigResourceTypeTopic {
		return s.alterTopic(ctx, from, r.name, validateOnly, next)
	}
	if r.kind == kmsg.ConfigResourceTypeBrokerLogger {
		if refused := s.checkBrokerName(r.name); refused != nil {
			return refused
		}
		return s.alterLogger(from, r.name, validateOnly, next)
	}
	d, refused := s.dynamic(r)
	if refused != nil {
		return refused
	}
	return s.alterDynamic(ctx, from, d, validateOnly, next)
}

func (s *Server) alterTopic(ctx context.Context, from *peer, name string, validateOnly bool,
	next func(set map[string]string) (map[string]string, *refusal)) *refusal {
	t, refused := s.configuredTopic(name)
	if refused != nil {
		return refused
	}
	set, refused := next(t.Configs)
	if refused != nil {
		return refused
	}
	changes, err := s.topics.CheckConfigs(t, set)
	if validateOnly || err != nil {
		return s.refusalOf(err)
	}
	refused = s.refusalOf(s.topics.Configure(ctx, changes))
	from.changed("AlterConfigs", name, refused)
	return refused
}
