package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/quota"
)

// DescribeClientQuotas, versions 0 and 1, as Kafka 4. A filter has a component for each type of
// part that it asks for, and without strict it finds entities that have other parts as well.
func init() {
	register(0, 1, describeClientQuotas, rules{
		needs: []access.Need{access.DescribeConfigs.On(access.Cluster)}, quota: access.Requests})
}

// How a component of a filter matches.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

func describeClientQuotas(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	refused := from.mayWithCluster(access.DescribeConfigs)
	filter := quota.Filter{Parts: map[string]quota.Part{}, Strict: req.Strict}
	if refused == nil {
		refused = readQuotaFilter(req.Components, filter.Parts)
	}
	var selected []quota.Limit
	if refused == nil {
		var err error
		selected, err = s.security.Quotas(filter)
		refused = s.refusalOf(err)
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null is for errors
	var last quota.Entity
	for _, l := range selected {
		if len(resp.Entries) == 0 || l.Entity != last {
			resp.Entries = append(resp.Entries, describedEntity(l.Entity))
			last = l.Entity
		}
		entry := &resp.Entries[len(resp.Entries)-1]
		entry.Values = append(entry.Values,
			kmsg.DescribeClientQuotasResponseEntryValue{Key: l.Of.String(), Value: l.Value})
	}
	return resp, nil
}

// readQuotaFilter reads the components of a filter, which are there once for each type.
func readQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent, filter map[string]quota.Part) *refusal {
	var e quota.Entity
	for _, c := range components {
		_, twice := filter[c.EntityType]
		switch {
		case c.EntityType == "":
			return refuse(kerr.InvalidRequest, "Invalid empty entity type.")
		case twice:
			return refuse(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", c.EntityType)
		case e.Part(c.EntityType) == nil:
			return refuse(kerr.UnsupportedVersion, "Unsupported entity type %s", c.EntityType)
		case c.MatchType < matchExact || c.MatchType > matchAny:
			return refuse(kerr.InvalidRequest, "Unknown match type %d", c.MatchType)
		case (c.MatchType == matchExact) != (c.Match != nil):
			return refuse(kerr.InvalidRequest, "a match type of %d goes with a name if it is 0, and with none otherwise",
				c.MatchType)
		}
		filter[c.EntityType] = quota.Part{Name: quota.NameOf(c.Match), Any: c.MatchType == matchAny}
	}
	return nil
}

func describedEntity(e quota.Entity) (entry kmsg.DescribeClientQuotasResponseEntry) {
	for _, kind := range quota.Types {
		if part := *e.Part(kind); part.Set() {
			entry.Entity = append(entry.Entity,
				kmsg.DescribeClientQuotasResponseEntryEntity{Type: kind, Name: part.Text()})
		}
	}
	return entry
}
