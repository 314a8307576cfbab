package rest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// quotaEntity is whom quotas are for: names by their type, user, client_id or ip. A name that is
// null stands for each that has no quota of its own.
type quotaEntity map[string]*string

// entityQuotas are the quotas of an entity, by Kafka's names.
type entityQuotas struct {
	Entity quotaEntity        `json:"entity"`
	Quotas map[string]float64 `json:"quotas"`
}

// quotaList is quotas ordered by entity, and after which entity the next list begins.
type quotaList struct {
	Quotas []entityQuotas `json:"quotas"`
	Total  int            `json:"total"`
	Next   string         `json:"next,omitempty"`
}

// entityChange is what alterQuotas is asked for; a quota that is not named stays.
type entityChange struct {
	Entity quotaEntity         `json:"entity"`
	Quotas map[string]*float64 `json:"quotas"` // null: there is none any more
}

// quotaRoutes are about quotas, and need what Kafka's APIs for quotas need.
func (s *Server) quotaRoutes() []route {
	const quotas = "/v1/quotas"
	change := needs(access.Requests, access.AlterConfigs.On(access.Cluster))
	return []route{
		{method: http.MethodGet, pattern: quotas, handler: s.counting(s.listQuotas), summary: "quotas, by whom they are for",
			rules: needs(access.Requests, access.DescribeConfigs.On(access.Cluster))},
		{method: http.MethodPatch, pattern: quotas, handler: auditedRefusals(s.counting(s.alterQuotas)), rules: change,
			summary: "set and remove quotas of an entity"},
		{method: http.MethodDelete, pattern: quotas, handler: auditedRefusals(s.deleteQuotas), rules: change,
			summary: "remove all quotas of an entity"},
	}
}

// fieldOf is what a type of an entity's part is called here.
func fieldOf(kind string) string { return strings.ReplaceAll(kind, "-", "_") }

func describedEntity(e quota.Entity) quotaEntity {
	described := quotaEntity{}
	for _, kind := range quota.Types {
		if part := *e.Part(kind); part.Set() {
			described[fieldOf(kind)] = part.Text()
		}
	}
	return described
}

// read is the entity, or what is wrong with it.
func (asked quotaEntity) read() (e quota.Entity, err error) {
	known := quotaEntity{}
	for _, kind := range quota.Types {
		if name, is := asked[fieldOf(kind)]; is {
			known[fieldOf(kind)] = name
			*e.Part(kind) = quota.NameOf(name)
		}
	}
	for field := range asked {
		if _, is := known[field]; !is {
			return e, invalid("entity."+field, "is no part of an entity; there are user, client_id and ip")
		}
	}
	return e.Canonical(), nil
}

// namedEntity is the entity that a request's parameters name, if they do.
func namedEntity(q *query) (e quota.Entity, named bool) {
	for _, kind := range quota.Types {
		name, byDefault := fieldOf(kind), fieldOf(kind)+"_default"
		switch {
		case q.values.Has(name) && q.values.Has(byDefault):
			q.fail(invalid(byDefault, "is given beside %s", name))
		case q.values.Has(name):
			*e.Part(kind) = quota.Named(q.values.Get(name))
		case q.values.Has(byDefault) && q.values.Get(byDefault) != "true":
			q.fail(invalid(byDefault, "is %q; it has to be true, or left out", q.values.Get(byDefault)))
		case q.values.Has(byDefault):
			*e.Part(kind) = quota.Default
		}
	}
	return e.Canonical(), e != quota.Entity{}
}

// entityParameters name an entity.
var entityParameters = []string{"user", "client_id", "ip", "user_default", "client_id_default", "ip_default"}

// quotasOf are the quotas of just one entity, or of all for one without parts.
func (s *Server) quotasOf(e quota.Entity) ([]quota.Limit, error) {
	filter := quota.Filter{Parts: map[string]quota.Part{}, Strict: e != quota.Entity{}}
	for _, kind := range quota.Types {
		if part := *e.Part(kind); part.Set() {
			filter.Parts[kind] = quota.Part{Name: part}
		}
	}
	return s.security.Quotas(filter)
}

// byEntity groups quotas that are ordered by entity.
func byEntity(limits []quota.Limit) (grouped []entityQuotas) {
	var last quota.Entity
	for _, l := range limits {
		if len(grouped) == 0 || l.Entity != last {
			grouped = append(grouped, entityQuotas{describedEntity(l.Entity), map[string]float64{}})
			last = l.Entity
		}
		grouped[len(grouped)-1].Quotas[l.Of.String()] = l.Value
	}
	return grouped
}

// listQuotas lists all quotas, or those of just the entity that the parameters name.
func (s *Server) listQuotas(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, append([]string{"after", "limit"}, entityParameters...)...)
	limit := int(q.number("limit", maxListed, 1, maxListed))
	entity, _ := namedEntity(q)
	var after quota.Entity
	if text := q.text("after", ""); text != "" {
		var asked quotaEntity
		if err := json.Unmarshal([]byte(text), &asked); err != nil {
			q.fail(invalid("after", "is not the next of a list before"))
		}
		var err error
		if after, err = asked.read(); err != nil {
			q.fail(err)
		}
	}
	if q.err != nil {
		return q.err
	}
	if err := memory.grow(r.Context(),
		int64(s.view().SettingsCount(coordinator.QuotaSetting))*listedQuotaBytes); err != nil {
		return err
	}
	limits, err := s.quotasOf(entity)
	if err != nil {
		return err
	}
	list := quotaList{Quotas: []entityQuotas{}, Total: len(byEntity(limits))}
	limits = slices.DeleteFunc(limits, func(l quota.Limit) bool { return l.Compare(after) <= 0 })
	list.Quotas = append(list.Quotas, byEntity(limits)...)
	if len(list.Quotas) > limit {
		list.Quotas = list.Quotas[:limit]
		list.Next = string(compactJSON(list.Quotas[limit-1].Entity))
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// alterQuotas changes quotas of one entity, all that are named or none.
func (s *Server) alterQuotas(w http.ResponseWriter, r *http.Request, memory *share) error {
	var asked entityChange
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	entity, err := asked.Entity.read()
	if err != nil {
		return err
	}
	var ops []security.QuotaOp
	for _, name := range slices.Sorted(maps.Keys(asked.Quotas)) {
		op := security.QuotaOp{Name: name, Remove: asked.Quotas[name] == nil}
		if !op.Remove {
			op.Value = *asked.Quotas[name]
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return invalid("quotas", "names none")
	}
	if err := s.catchUp(r.Context()); err != nil {
		return err
	}
	if err := s.setQuotas(r, entity, ops); err != nil {
		return err
	}
	limits, err := s.quotasOf(entity)
	if err != nil {
		return err
	}
	now := entityQuotas{describedEntity(entity), map[string]float64{}}
	for _, l := range limits {
		now.Quotas[l.Of.String()] = l.Value
	}
	answer(w, http.StatusOK, typeJSON, now)
	return nil
}

// setQuotas makes changes of an entity's quotas.
func (s *Server) setQuotas(r *http.Request, entity quota.Entity, ops []security.QuotaOp) error {
	change, err := s.security.CheckQuotas(entity, ops)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	return s.security.AlterQuotas(ctx, askerOf(r), []security.QuotaChange{change}, false)[0]
}

// deleteQuotas removes all quotas of an entity.
func (s *Server) deleteQuotas(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, entityParameters...)
	entity, named := namedEntity(q)
	if q.err != nil {
		return q.err
	}
	if !named {
		return &problem{Status: http.StatusBadRequest, Field: "user",
			Detail: "say whose quotas are to go, by parameters such as user=alice or user_default=true"}
	}
	if err := s.catchUp(r.Context()); err != nil {
		return err
	}
	limits, err := s.quotasOf(entity)
	if err != nil {
		return err
	}
	if len(limits) == 0 {
		return notFound(kerr.ResourceNotFound, "%s has no quotas", entity)
	}
	var ops []security.QuotaOp
	for _, l := range limits {
		ops = append(ops, security.QuotaOp{Name: l.Of.String(), Remove: true})
	}
	if err := s.setQuotas(r, entity, ops); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
