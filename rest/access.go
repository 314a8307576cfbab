package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"firn.dev/access"
)

// rules are what is so of all requests of a route.
type rules struct {
	// needs is asked before the handler runs, of the topic or group that the path names, or of the
	// cluster.
	needs []access.Need
	// asks is what the handler asks for (Server.may): of what the body names, or the answer lists.
	asks []access.Need
	// open says that everybody may ask, and a client that has not proved who it is as well.
	open bool
	// itself says that requests are about whoever asks, who needs no permission for that.
	itself bool
	// parks says that a request waits for records, for minutes perhaps: its time counts against
	// nothing.
	parks bool
	// quota is what requests count against.
	quota access.Quota
}

// needs are the rules of a route that needs something of what its path names, or of the cluster.
func needs(quota access.Quota, needs ...access.Need) rules { return rules{needs: needs, quota: quota} }

// asking adds what the handler asks for.
func (r rules) asking(asks ...access.Need) rules {
	r.asks = asks
	return r
}

// parking says that requests wait for records.
func (r rules) parking() rules {
	r.parks = true
	return r
}

// check says what is missing in a table row.
func (r *route) check() error {
	switch {
	case (r.open || r.itself) == (len(r.needs)+len(r.asks) > 0):
		return fmt.Errorf("rest: %s %s has to say what its requests need, or that everybody may ask, and not both",
			r.method, r.pattern)
	case r.quota == 0:
		return fmt.Errorf("rest: %s %s does not say what its requests count against", r.method, r.pattern)
	}
	for _, need := range r.needs {
		if in, named := wildcards[need.On]; named && !strings.Contains(r.pattern, "{"+in+"}") {
			return fmt.Errorf("rest: %s %s needs a %s, and its path names none", r.method, r.pattern, in)
		}
	}
	return nil
}

// wildcards are what patterns call the names of resources.
var wildcards = map[access.ResourceType]string{access.Topic: "topic", access.Group: "group"}

// askerKey is where a request's context has what asks for it.
type askerKey struct{}

func askerOf(r *http.Request) *access.Asker { return r.Context().Value(askerKey{}).(*access.Asker) }

// asking has a route's requests asked for before its handler runs. Every request passes here.
func (s *Server) asking(route *route) handler {
	declared := slices.Concat(route.needs, route.asks)
	return func(w http.ResponseWriter, r *http.Request) error {
		who := stranger(r)
		if !route.open {
			var err error
			if who, err = s.authenticate(r); err != nil {
				return err
			}
			begins(r)
		}
		asker := &access.Asker{Authorizer: s.opts.Authorizer, Client: who.Client, Needs: declared, Audit: s.audit}
		ctx := context.WithValue(r.Context(), callerKey{}, who)
		r = r.WithContext(context.WithValue(ctx, askerKey{}, asker))
		for _, need := range route.needs {
			name := access.ClusterName
			if in, named := wildcards[need.On]; named {
				name = r.PathValue(in)
			}
			if err := s.may(r, need.Operation, need.On, name); err != nil {
				return err
			}
		}
		return route.handler(w, r)
	}
}

// audited has the audit log told what becomes of requests that change what somebody answers for.
func audited(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		asker := askerOf(r)
		subject := cmp.Or(w.Header().Get("Location"), r.URL.RequestURI()) // of what is created, the body has the name
		asker.Audit.Changed(asker.Client, r.Method, subject, err)
		return err
	}
}

// auditedRefusals has the audit log told of requests that fail. What they change is told by
// security.Admin.
func auditedRefusals(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		if err != nil {
			asker := askerOf(r)
			asker.Audit.Changed(asker.Client, r.Method, r.URL.RequestURI(), err)
		}
		return err
	}
}

// allows reports whether the client of a request may do something with a resource.
func allows(r *http.Request, operation access.Operation, on access.ResourceType, name string) bool {
	return askerOf(r).May(operation, on, name)
}

// may asks whether the client of a request may do something with a resource, and says why not.
func (s *Server) may(r *http.Request, operation access.Operation, on access.ResourceType, name string) error {
	if allows(r, operation, on, name) {
		return nil
	}
	asker := askerOf(r)
	asker.Audit.Refused(asker.Client, operation, access.Resource{Type: on, Name: name})
	p := kafkaProblem(on.Refused(), fmt.Sprintf("%s has no permission: %s on %s",
		asker.Client.Principal, operation, access.Resource{Type: on, Name: name}))
	return &p
}

// mayCreateTopic asks whether the client may create a topic, either because it may create anything
// or this one.
func (s *Server) mayCreateTopic(r *http.Request, name string) error {
	if allows(r, access.Create, access.Cluster, access.ClusterName) {
		return nil
	}
	return s.may(r, access.Create, access.Topic, name)
}

// checkRoutes says what is missing in any table row.
func checkRoutes(routes []route) error {
	var wrong []error
	for i := range routes {
		wrong = append(wrong, routes[i].check())
	}
	return errors.Join(wrong...)
}
