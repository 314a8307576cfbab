package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// DescribeAcls, CreateAcls and DeleteAcls, versions 1 to 3, as Kafka 4. Without an authorizer they
// are SECURITY_DISABLED, by which MirrorMaker 2 and other tools know that there are no ACLs to
// copy.
// ACLs that a request creates or deletes are one change, up to coordinator.MaxSettings of them; an
// answer comes when they hold on this node. The other nodes follow at once.
func init() {
	register(1, 3, describeACLs, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
	register(1, 3, createACLs, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
	register(1, 3, deleteACLs, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

// acls returns the ACLs that are in force, if the client may do so much with them.
func (s *Server) acls(from *peer, operation access.Operation) (*security.ACLs, *refusal) {
	if refused := from.mayWithCluster(operation); refused != nil {
		return nil, refused
	}
	if acls, has := s.opts.Authorizer.(*security.ACLs); has {
		return acls, nil
	}
	return nil, refuse(kerr.SecurityDisabled,
		"there is no authorizer, and so there are no ACLs; start every node with --authorizer acl")
}

func describeACLs(_ context.Context, s *Server, from *peer, req *kmsg.DescribeACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	acls, refused := s.acls(from, access.Describe)
	filter := acl.Filter{Type: access.ResourceType(req.ResourceType), Name: req.ResourceName,
		PatternType: acl.PatternType(req.ResourcePatternType), Principal: req.Principal, Host: req.Host,
		Operation: access.Operation(req.Operation), Permission: acl.Permission(req.PermissionType)}
	if refused == nil {
		refused = invalid(filter.Valid())
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	at := map[acl.Pattern]int{} // where the ACLs of a pattern are in the answer
	for _, b := range acls.Bindings() {
		if !filter.Matches(b) {
			continue
		}
		i, known := at[b.Pattern]
		if !known {
			i = len(resp.Resources)
			at[b.Pattern] = i
			resp.Resources = append(resp.Resources, kmsg.DescribeACLsResponseResource{
				ResourceType: kmsg.ACLResourceType(b.Type), ResourceName: b.Name,
				ResourcePatternType: kmsg.ACLResourcePatternType(b.PatternType())})
		}
		resp.Resources[i].ACLs = append(resp.Resources[i].ACLs, kmsg.DescribeACLsResponseResourceACL{
			Principal: b.Principal.String(), Host: b.Host,
			Operation: kmsg.ACLOperation(b.Operation), PermissionType: kmsg.ACLPermissionType(b.Permission())})
	}
	return resp, nil
}

// invalid is the refusal of what a request got wrong; nil for nil.
func invalid(err error) *refusal {
	if err == nil {
		return nil
	}
	return refuse(kerr.InvalidRequest, "%v", err)
}

func createACLs(ctx context.Context, s *Server, from *peer, req *kmsg.CreateACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	acls, refused := s.acls(from, access.Alter)
	refusals := make([]*refusal, len(req.Creations))
	var created []acl.Binding
	for i := range req.Creations {
		if refusals[i] = refused; refused == nil {
			b, err := creation(&req.Creations[i])
			if refusals[i] = invalid(err); err == nil {
				created = append(created, b)
			}
		}
	}
	if len(created) > 0 {
		failed := s.create(ctx, acls, created)
		for i := range refusals {
			if refusals[i] == nil {
				refusals[i] = failed
			}
		}
		for _, b := range created {
			from.changed("CreateAcls", b.Key(), failed)
		}
	}
	for _, refused := range refusals {
		resp.Results = append(resp.Results, kmsg.CreateACLsResponseResult{
			ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}

func (s *Server) create(ctx context.Context, acls *security.ACLs, bindings []acl.Binding) *refusal {
	changes, err := acls.Create(bindings)
	if err != nil {
		return refuse(kerr.PolicyViolation, "%v", err)
	}
	return s.refusalOf(s.set(ctx, changes))
}

// creation is the ACL that a request asks for.
func creation(c *kmsg.CreateACLsRequestCreation) (acl.Binding, error) {
	principal, err := access.ParsePrincipal(c.Principal)
	if err != nil {
		return acl.Binding{}, err
	}
	pattern, permission := acl.PatternType(c.ResourcePatternType), acl.Permission(c.PermissionType)
	b := acl.Binding{
		Pattern: acl.Pattern{Type: access.ResourceType(c.ResourceType), Name: c.ResourceName,
			Prefixed: pattern == acl.PrefixedPattern},
		Principal: principal, Host: c.Host, Operation: access.Operation(c.Operation), Deny: permission == acl.Deny}
	if b.PatternType() != pattern {
		return b, fmt.Errorf("an ACL is of a literal or a prefixed pattern, not of type %d", pattern)
	}
	if b.Permission() != permission {
		return b, fmt.Errorf("an ACL allows or denies; permission %d does neither", permission)
	}
	return b, b.Valid()
}

// set makes a change of settings, in as few steps as may be.
func (s *Server) set(ctx context.Context, changes []coordinator.Setting) error {
	for some := range slices.Chunk(changes, coordinator.MaxSettings) {
		if _, err := s.opts.Node.Change(ctx, coordinator.Change{Settings: some}); err != nil {
			return err
		}
	}
	return nil
}

func deleteACLs(ctx context.Context, s *Server, from *peer, req *kmsg.DeleteACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	acls, refused := s.acls(from, access.Alter)
	results := make([]deletedACLs, len(req.Filters))
	var all []acl.Binding
	for i := range req.Filters {
		results[i] = deletedACLs{refused: refused}
		if refused == nil {
			results[i] = selected(acls, &req.Filters[i])
			all = append(all, results[i].bindings...)
		}
	}
	if len(all) > 0 {
		failed := s.refusalOf(s.set(ctx, acls.Delete(all)))
		for i := range results {
			if len(results[i].bindings) > 0 {
				results[i].failed = failed
			}
		}
		for _, b := range all {
			from.changed("DeleteAcls", b.Key(), failed)
		}
	}
	for i := range results {
		resp.Results = append(resp.Results, results[i].response())
	}
	return resp, nil
}

// deletedACLs is what one filter of a request has selected.
type deletedACLs struct {
	refused  *refusal // the filter
	bindings []acl.Binding
	failed   *refusal // to delete them
}

func selected(acls *security.ACLs, f *kmsg.DeleteACLsRequestFilter) (d deletedACLs) {
	filter := acl.Filter{Type: access.ResourceType(f.ResourceType), Name: f.ResourceName,
		PatternType: acl.PatternType(f.ResourcePatternType), Principal: f.Principal, Host: f.Host,
		Operation: access.Operation(f.Operation), Permission: acl.Permission(f.PermissionType)}
	if d.refused = invalid(filter.Valid()); d.refused != nil {
		return d
	}
	for _, b := range acls.Bindings() {
		if filter.Matches(b) {
			d.bindings = append(d.bindings, b)
		}
	}
	return d
}

func (d *deletedACLs) response() kmsg.DeleteACLsResponseResult {
	result := kmsg.DeleteACLsResponseResult{ErrorCode: d.refused.code(), ErrorMessage: d.refused.text()}
	for _, b := range d.bindings {
		result.MatchingACLs = append(result.MatchingACLs, kmsg.DeleteACLsResponseResultMatchingACL{
			ErrorCode: d.failed.code(), ErrorMessage: d.failed.text(),
			ResourceType: kmsg.ACLResourceType(b.Type), ResourceName: b.Name,
			ResourcePatternType: kmsg.ACLResourcePatternType(b.PatternType()),
			Principal:           b.Principal.String(), Host: b.Host,
			Operation: kmsg.ACLOperation(b.Operation), PermissionType: kmsg.ACLPermissionType(b.Permission())})
	}
	return result
}
