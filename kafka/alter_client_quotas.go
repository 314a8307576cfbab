package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator/security"
)

// AlterClientQuotas, versions 0 and 1, as Kafka 4. The changes that a request asks for one entity
// are made or refused as a whole; an entity stands once in a request. Up to coordinator.MaxSettings
// changes are made at once. An answer comes when they hold on this node, for the next request of
// every client; the other nodes follow at once.
func init() {
	register(0, 1, alterClientQuotas, rules{
		needs: []access.Need{access.AlterConfigs.On(access.Cluster)}, quota: access.Requests})
}

// quotaChange is what a request asks for one entity.
type quotaChange struct {
	entry   *kmsg.AlterClientQuotasRequestEntry
	entity  quota.Entity
	change  security.QuotaChange
	refused *refusal
}

func alterClientQuotas(ctx context.Context, s *Server, from *peer,
	req *kmsg.AlterClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	plans := s.planQuotas(ctx, from, req)
	s.setQuotas(ctx, from, plans, req.ValidateOnly)
	for _, p := range plans {
		entry := kmsg.AlterClientQuotasResponseEntry{ErrorCode: p.refused.code(), ErrorMessage: p.refused.text()}
		for _, part := range p.entry.Entity {
			entry.Entity = append(entry.Entity, kmsg.AlterClientQuotasResponseEntryEntity(part))
		}
		resp.Entries = append(resp.Entries, entry)
	}
	return resp, nil
}

// planQuotas checks all that is asked.
func (s *Server) planQuotas(ctx context.Context, from *peer, req *kmsg.AlterClientQuotasRequest) []quotaChange {
	denied := from.mayWithCluster(access.AlterConfigs)
	if denied == nil {
		denied = s.refusalOf(s.catchUp(ctx)) // or a quota that another node has answered for would not be removed
	}
	plans := make([]quotaChange, len(req.Entries))
	first := map[quota.Entity]int{}
	for i := range req.Entries {
		p := &plans[i]
		*p = quotaChange{entry: &req.Entries[i], refused: denied}
		if denied != nil {
			continue
		}
		if p.entity, p.refused = askedEntity(p.entry.Entity); p.refused != nil {
			continue
		}
		if before, twice := first[p.entity]; twice {
			p.refused = refuse(kerr.InvalidRequest, "the request has %s twice", p.entity)
			plans[before].refused = p.refused
			continue
		}
		first[p.entity] = i
		var ops []security.QuotaOp
		for _, op := range p.entry.Ops {
			ops = append(ops, security.QuotaOp{Name: op.Key, Value: op.Value, Remove: op.Remove})
		}
		var err error
		p.change, err = s.security.CheckQuotas(p.entity, ops)
		p.refused = s.refusalOf(err)
	}
	return plans
}

func askedEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) (e quota.Entity, refused *refusal) {
	for _, part := range parts {
		switch at := e.Part(part.Type); {
		case at == nil:
			return e, refuse(kerr.InvalidRequest, "Unhandled client quota entity type: %s", part.Type)
		case at.Set():
			return e, refuse(kerr.InvalidRequest, "the entity has two parts of type %s", part.Type)
		default:
			*at = quota.NameOf(part.Name)
		}
	}
	if err := e.Valid(); err != nil {
		return e, refuse(kerr.InvalidRequest, "%v", err)
	}
	return e.Canonical(), nil
}

// setQuotas makes the changes that were not refused, unless it is to validate only.
func (s *Server) setQuotas(ctx context.Context, from *peer, plans []quotaChange, validateOnly bool) {
	var all []security.QuotaChange
	var at []int // where they are in plans
	for i, p := range plans {
		if p.refused == nil {
			all, at = append(all, p.change), append(at, i)
		}
	}
	for i, failed := range s.refusalsOf(s.security.AlterQuotas(ctx, from.asks, all, validateOnly)) {
		plans[at[i]].refused = failed
	}
}
