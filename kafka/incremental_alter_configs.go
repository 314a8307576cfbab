package kafka

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/coordinator/topicconfig"
)

// IncrementalAlterConfigs, versions 0 and 1, as Kafka 4. Any node serves it.
//
//   - SET and DELETE concern one config; APPEND and SUBTRACT the items of one whose type is a list,
//     beginning with its default if it was not set.
//   - Each resource is changed wholly or not at all. A config may be named once for each resource.
//     Which configs others than topics have: dynamic_configs.go.
//   - Of changes that are made at the same moment through different nodes, the last one to set a
//     config stands.
func init() {
	register(0, 1, incrementalAlterConfigs, rules{
		needs: []access.Need{access.AlterConfigs.On(access.Topic), access.AlterConfigs.On(access.Cluster),
			access.AlterConfigs.On(access.Group)},
		quota: access.Mutations})
}

func incrementalAlterConfigs(ctx context.Context, s *Server, from *peer,
	req *kmsg.IncrementalAlterConfigsRequest) (kmsg.Response, error) {
	times := map[resource]int{}
	for _, r := range req.Resources {
		times[resource{r.ResourceType, r.ResourceName}]++
	}
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	inParallel(len(req.Resources), func(i int) {
		asked := req.Resources[i]
		r := resource{asked.ResourceType, asked.ResourceName}
		refused := s.alterResource(ctx, from, r, times[r], req.ValidateOnly,
			func(set map[string]string) (map[string]string, *refusal) {
				return changedConfigs(r.kind, set, asked.Configs)
			})
		a := kmsg.NewIncrementalAlterConfigsResponseResource()
		a.ResourceType, a.ResourceName = r.kind, r.name
		a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
		resp.Resources[i] = a
	})
	return resp, nil
}

// changedConfigs applies the operations of a request to the configs that are set.
func changedConfigs(kind kmsg.ConfigResourceType, set map[string]string,
	ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) (map[string]string, *refusal) {
	changed := make(map[string]string, len(set))
	maps.Copy(changed, set)
	named := map[string]bool{}
	for _, op := range ops {
		switch {
		case named[op.Name]:
			return nil, refuse(kerr.InvalidRequest, "config %q is named more than once", op.Name)
		case op.Value == nil && op.Op != kmsg.IncrementalAlterConfigOpDelete:
			return nil, refuse(kerr.InvalidRequest, "config %q has no value; use DELETE to get the default", op.Name)
		}
		named[op.Name] = true
		switch op.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			changed[op.Name] = *op.Value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(changed, op.Name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			value, refused := changedList(kind, changed, op)
			if refused != nil {
				return nil, refused
			}
			changed[op.Name] = value
		default:
			return nil, refuse(kerr.InvalidRequest, "config %q: unknown operation %d", op.Name, op.Op)
		}
	}
	return changed, nil
}

// changedList adds items to a list, unless it has them, or takes them away.
func changedList(kind kmsg.ConfigResourceType, set map[string]string,
	op kmsg.IncrementalAlterConfigsRequestResourceConfig) (string, *refusal) {
	of, fallback := topicconfig.Type(0), ""
	if d, known := topicconfig.Lookup(op.Name); known && kind == kmsg.ConfigResourceTypeTopic {
		of, fallback = d.Type, d.Default
	} else if d, known := dynamicconfig.Lookup(dynamicKinds[kind], op.Name); known {
		of, fallback = d.Type, d.Default
	}
	if of != topicconfig.List {
		return "", refuse(kerr.InvalidConfig, "config %q is not a list: only SET and DELETE can change it", op.Name)
	}
	value, wasSet := set[op.Name]
	if !wasSet {
		value = fallback
	}
	items, named := topicconfig.SplitList(value), topicconfig.SplitList(*op.Value)
	if op.Op == kmsg.IncrementalAlterConfigOpSubtract {
		gone := setOf(named)
		return strings.Join(slices.DeleteFunc(items, func(item string) bool { return gone[item] }), ","), nil
	}
	has := setOf(items)
	for _, item := range named {
		if !has[item] {
			has[item] = true
			items = append(items, item)
		}
	}
	return strings.Join(items, ","), nil
}

// setOf returns the items of a list: lists may be as long as a request.
func setOf(items []string) map[string]bool {
	set := make(map[string]bool, len(items))
	for _, item := range items {
		set[item] = true
	}
	return set
}
