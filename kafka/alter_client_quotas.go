package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
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
	changes []coordinator.Setting
	refused *refusal
}

func alterClientQuotas(ctx context.Context, s *Server, from *peer,
	req *kmsg.AlterClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	plans := s.planQuotas(from, req)
	if !req.ValidateOnly {
		s.setQuotas(ctx, from, plans)
	}
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
func (s *Server) planQuotas(from *peer, req *kmsg.AlterClientQuotasRequest) []quotaChange {
	denied := from.mayWithCluster(access.AlterConfigs)
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
		p.changes, p.refused = s.quotaSettings(p.entity, p.entry.Ops)
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
	return e, invalid(e.Valid())
}

// quotaSettings is the change for one entity.
func (s *Server) quotaSettings(e quota.Entity, ops []kmsg.AlterClientQuotasRequestEntryOp) (
	[]coordinator.Setting, *refusal) {
	var set, remove []quota.Limit
	var seen []string
	for _, op := range ops {
		l := quota.Limit{Entity: e, Of: access.ParseQuota(op.Key), Value: op.Value}
		err := l.Valid()
		switch {
		case slices.Contains(seen, op.Key):
			return nil, refuse(kerr.InvalidRequest, "Duplicate quota key %s not updating quota for this entity %s", op.Key, e)
		case op.Remove:
			if _, is := s.opts.Node.View().Setting(coordinator.QuotaSetting, l.Key()); is {
				remove = append(remove, l) // what is not there is gone, as in Kafka
			}
		case l.Of == 0:
			return nil, refuse(kerr.InvalidRequest, "Invalid configuration key %s", op.Key)
		case err != nil:
			return nil, invalid(err)
		default:
			set = append(set, l)
		}
		seen = append(seen, op.Key)
	}
	changes, err := s.opts.Quotas.Set(set)
	if err != nil {
		return nil, refuse(kerr.PolicyViolation, "%v", err)
	}
	return append(changes, s.opts.Quotas.Remove(remove)...), nil
}

// setQuotas makes the changes that were not refused, all in one.
func (s *Server) setQuotas(ctx context.Context, from *peer, plans []quotaChange) {
	var all []coordinator.Setting
	for _, p := range plans {
		if p.refused == nil {
			all = append(all, p.changes...)
		}
	}
	failed := s.refusalOf(s.set(ctx, all))
	for i := range plans {
		p := &plans[i]
		if p.refused != nil {
			continue
		}
		p.refused = failed
		for _, op := range p.entry.Ops {
			from.changed("AlterClientQuotas", fmt.Sprintf("%s: %s", p.entity, quotaOpText(op)), failed)
		}
	}
}

func quotaOpText(op kmsg.AlterClientQuotasRequestEntryOp) string {
	if op.Remove {
		return op.Key + " removed"
	}
	return fmt.Sprintf("%s=%v", op.Key, op.Value)
}
