package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/acl"
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

// mayWithACLs asks whether the client may do so much with ACLs, and whether there are any.
func (s *Server) mayWithACLs(from *peer, operation access.Operation) *refusal {
	if refused := from.mayWithCluster(operation); refused != nil {
		return refused
	}
	return s.refusalOf(s.security.CheckACLs())
}

func describeACLs(_ context.Context, s *Server, from *peer, req *kmsg.DescribeACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	refused := s.mayWithACLs(from, access.Describe)
	var selected []acl.Binding
	if refused == nil {
		var err error
		selected, err = s.security.ACLs(acl.Filter{Type: access.ResourceType(req.ResourceType), Name: req.ResourceName,
			PatternType: acl.PatternType(req.ResourcePatternType), Principal: req.Principal, Host: req.Host,
			Operation: access.Operation(req.Operation), Permission: acl.Permission(req.PermissionType)})
		refused = s.refusalOf(err)
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	at := map[acl.Pattern]int{} // where the ACLs of a pattern are in the answer
	for _, b := range selected {
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

func createACLs(ctx context.Context, s *Server, from *peer, req *kmsg.CreateACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	refused := s.mayWithACLs(from, access.Alter)
	refusals := make([]*refusal, len(req.Creations))
	var created []acl.Binding
	var at []int // where they are in the request
	for i := range req.Creations {
		if refusals[i] = refused; refused == nil {
			b, err := s.security.ACL(creation(&req.Creations[i]))
			if refusals[i] = s.refusalOf(err); err == nil {
				created, at = append(created, b), append(at, i)
			}
		}
	}
	for i, failed := range s.refusalsOf(s.security.CreateACLs(ctx, from.asks, created)) {
		refusals[at[i]] = failed
	}
	for _, refused := range refusals {
		resp.Results = append(resp.Results, kmsg.CreateACLsResponseResult{
			ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}

// creation is the ACL that a request asks for.
func creation(c *kmsg.CreateACLsRequestCreation) acl.Spec {
	return acl.Spec{Type: access.ResourceType(c.ResourceType), Name: c.ResourceName,
		PatternType: acl.PatternType(c.ResourcePatternType), Principal: c.Principal, Host: c.Host,
		Operation: access.Operation(c.Operation), Permission: acl.Permission(c.PermissionType)}
}

func deleteACLs(ctx context.Context, s *Server, from *peer, req *kmsg.DeleteACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	refused := s.mayWithACLs(from, access.Alter)
	if refused == nil {
		refused = s.refusalOf(s.catchUp(ctx)) // or ACLs that another node has answered for would stay
	}
	results := make([]deletedACLs, len(req.Filters))
	var all []acl.Binding
	for i := range req.Filters {
		results[i] = deletedACLs{refused: refused}
		if refused == nil {
			results[i] = s.selected(&req.Filters[i])
			all = append(all, results[i].bindings...)
		}
	}
	failed := s.refusalsOf(s.security.DeleteACLs(ctx, from.asks, all))
	for i := range results {
		n := len(results[i].bindings)
		results[i].failed, failed = failed[:n], failed[n:]
		resp.Results = append(resp.Results, results[i].response())
	}
	return resp, nil
}

// deletedACLs is what one filter of a request has selected.
type deletedACLs struct {
	refused  *refusal // the filter
	bindings []acl.Binding
	failed   []*refusal // to delete each
}

func (s *Server) selected(f *kmsg.DeleteACLsRequestFilter) (d deletedACLs) {
	bindings, err := s.security.ACLs(acl.Filter{Type: access.ResourceType(f.ResourceType), Name: f.ResourceName,
		PatternType: acl.PatternType(f.ResourcePatternType), Principal: f.Principal, Host: f.Host,
		Operation: access.Operation(f.Operation), Permission: acl.Permission(f.PermissionType)})
	return deletedACLs{refused: s.refusalOf(err), bindings: bindings}
}

func (d *deletedACLs) response() kmsg.DeleteACLsResponseResult {
	result := kmsg.DeleteACLsResponseResult{ErrorCode: d.refused.code(), ErrorMessage: d.refused.text()}
	for i, b := range d.bindings {
		result.MatchingACLs = append(result.MatchingACLs, kmsg.DeleteACLsResponseResultMatchingACL{
			ErrorCode: d.failed[i].code(), ErrorMessage: d.failed[i].text(),
			ResourceType: kmsg.ACLResourceType(b.Type), ResourceName: b.Name,
			ResourcePatternType: kmsg.ACLResourcePatternType(b.PatternType()),
			Principal:           b.Principal.String(), Host: b.Host,
			Operation: kmsg.ACLOperation(b.Operation), PermissionType: kmsg.ACLPermissionType(b.Permission())})
	}
	return result
}
