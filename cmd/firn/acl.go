package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/acl"
)

func newACL(s streams) *cobra.Command {
	return ofServer(s, "acl", "List, create and delete ACLs: who may do what",
		newACLList, newACLCreate, newACLDelete)
}

// aclFlags name ACLs, or select some.
type aclFlags struct {
	topic, group, transactionalID string
	cluster                       bool
	prefix, deny                  bool
	principal, host               string
	operations                    []string
}

func (a *aclFlags) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.topic, "topic", "", "`name` of a topic; * for all")
	f.StringVar(&a.group, "group", "", "`name` of a consumer group; * for all")
	f.StringVar(&a.transactionalID, "transactional-id", "", "`id` of a transactional producer; * for all")
	f.BoolVar(&a.cluster, "cluster", false, "the cluster")
	f.BoolVar(&a.prefix, "prefix", false, "the name is how the names begin")
	f.BoolVar(&a.deny, "deny", false, "deny, and not allow")
	f.StringVar(&a.principal, "principal", "", "`principal`, such as User:alice; User:* for everybody")
	f.StringVar(&a.host, "host", "", "`address` of the client; * for all")
	f.StringSliceVar(&a.operations, "operation", nil, "`operations`, comma-separated: Read, Write, Create, Delete, "+
		"Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite or All")
}

// pattern is the resource that the flags name; its type is 0 if they name none.
func (a *aclFlags) pattern() (p acl.Pattern, err error) {
	for _, named := range []acl.Pattern{{Type: access.Topic, Name: a.topic}, {Type: access.Group, Name: a.group},
		{Type: access.TransactionalID, Name: a.transactionalID}, {Type: access.Cluster, Name: a.clusterName()}} {
		if named.Name == "" {
			continue
		}
		if p.Type != 0 {
			return p, usagef("one ACL is about one resource: give one of --topic, --group, --transactional-id and --cluster")
		}
		p = named
	}
	p.Prefixed = a.prefix
	return p, nil
}

func (a *aclFlags) clusterName() string {
	if a.cluster {
		return access.ClusterName
	}
	return ""
}

// bindings are the ACLs that the flags name in full.
func (a *aclFlags) bindings() (bindings []acl.Binding, err error) {
	pattern, err := a.pattern()
	switch {
	case err != nil:
		return nil, err
	case pattern.Type == 0:
		return nil, usagef("of what? Give one of --topic, --group, --transactional-id and --cluster")
	case len(a.operations) == 0:
		return nil, usagef("--operation is missing: what may be done, or may not")
	}
	principal, err := access.ParsePrincipal(a.principal)
	if err != nil {
		return nil, usagef("--principal: %w", err)
	}
	for _, name := range a.operations {
		b := acl.Binding{Pattern: pattern, Principal: principal, Host: cmp.Or(a.host, acl.Wildcard),
			Operation: access.ParseOperation(name), Deny: a.deny}
		if b.Operation == 0 {
			return nil, usagef("--operation: there is no operation %q", name)
		}
		if err := b.Valid(); err != nil {
			return nil, usagef("%w", err)
		}
		bindings = append(bindings, b)
	}
	return bindings, nil
}

// errNoAuthorizer is returned where there are no ACLs, because everybody may do everything.
var errNoAuthorizer = errors.New("this server has no ACLs; start every node with --authorizer acl")

// aclError is what went wrong, from an answer's code and message.
func aclError(code int16, message *string) error {
	switch err := kerr.ErrorForCode(code); {
	case errors.Is(err, kerr.SecurityDisabled):
		return errNoAuthorizer
	case err != nil && message != nil:
		return errors.New(*message)
	default:
		return err
	}
}

// listedACL is an ACL as it is printed, in Kafka's words.
type listedACL struct {
	ResourceType string `json:"resource_type"`
	ResourceName string `json:"resource_name"`
	PatternType  string `json:"pattern_type"`
	Principal    string `json:"principal"`
	Permission   string `json:"permission"`
	Operation    string `json:"operation"`
	Host         string `json:"host"`
}

func newACLList(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all ACLs, one a line",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cl, done, err := b.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			req := kmsg.NewPtrDescribeACLsRequest()
			req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			resp, err := req.RequestWith(ctx, cl)
			if err == nil {
				err = aclError(resp.ErrorCode, resp.ErrorMessage)
			}
			if err != nil {
				return err
			}
			list := []listedACL{}
			for _, r := range resp.Resources {
				pattern := "literal"
				if acl.PatternType(r.ResourcePatternType) == acl.PrefixedPattern {
					pattern = "prefixed"
				}
				for _, a := range r.ACLs {
					permission := "allow"
					if acl.Permission(a.PermissionType) == acl.Deny {
						permission = "deny"
					}
					list = append(list, listedACL{access.ResourceType(r.ResourceType).String(), r.ResourceName, pattern,
						a.Principal, permission, access.Operation(a.Operation).String(), a.Host})
				}
			}
			return form.print(s.Out, list)
		},
	}
	form.addFlag(cmd)
	return cmd
}

// patternText is a pattern as people read it: a prefix has * behind it.
func patternText(p acl.Pattern) string {
	if p.Prefixed {
		return fmt.Sprintf("%s %s*", p.Type, p.Name)
	}
	return fmt.Sprintf("%s %s", p.Type, p.Name)
}

func permissionText(deny bool) string {
	if deny {
		return "may not"
	}
	return "may"
}

// newACLChange is a command that does something with the ACLs that its flags name.
func newACLChange(b *bootstrap, use, short string,
	do func(ctx context.Context, cl *kgo.Client, bindings []acl.Binding) error) *cobra.Command {
	var flags aclFlags
	cmd := &cobra.Command{Use: use, Short: short, Args: exactly()}
	flags.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		bindings, err := flags.bindings()
		if err != nil {
			return err
		}
		ctx, cl, done, err := b.ask(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		return do(ctx, cl, bindings)
	}
	return cmd
}

func newACLCreate(s streams, b *bootstrap) *cobra.Command {
	do := func(ctx context.Context, cl *kgo.Client, bindings []acl.Binding) error {
		req := kmsg.NewPtrCreateACLsRequest()
		for _, a := range bindings {
			req.Creations = append(req.Creations, kmsg.CreateACLsRequestCreation{
				ResourceType: kmsg.ACLResourceType(a.Type), ResourceName: a.Name,
				ResourcePatternType: kmsg.ACLResourcePatternType(a.PatternType()), Principal: a.Principal.String(), Host: a.Host,
				Operation: kmsg.ACLOperation(a.Operation), PermissionType: kmsg.ACLPermissionType(a.Permission())})
		}
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, r := range resp.Results {
			if err := aclError(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
		}
		for _, a := range bindings {
			s.note("%s: %s %s %s from %s", patternText(a.Pattern), a.Principal, permissionText(a.Deny), a.Operation, a.Host)
		}
		return nil
	}
	return newACLChange(b, "create --principal P --operation O --topic NAME", "Create ACLs, one for each operation", do)
}

func newACLDelete(s streams, b *bootstrap) *cobra.Command {
	do := func(ctx context.Context, cl *kgo.Client, bindings []acl.Binding) error {
		req := kmsg.NewPtrDeleteACLsRequest()
		for _, a := range bindings {
			req.Filters = append(req.Filters, kmsg.DeleteACLsRequestFilter{
				ResourceType: kmsg.ACLResourceType(a.Type), ResourceName: &a.Name,
				ResourcePatternType: kmsg.ACLResourcePatternType(a.PatternType()),
				Principal:           new(a.Principal.String()), Host: &a.Host,
				Operation: kmsg.ACLOperation(a.Operation), PermissionType: kmsg.ACLPermissionType(a.Permission())})
		}
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		deleted := 0
		for _, r := range resp.Results {
			if err := aclError(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
			for _, a := range r.MatchingACLs {
				if err := aclError(a.ErrorCode, a.ErrorMessage); err != nil {
					return err
				}
				deleted++
			}
		}
		if deleted < len(bindings) {
			return fmt.Errorf("deleted %d ACLs; of the %d that were named, the others do not exist: see 'firn acl list'",
				deleted, len(bindings))
		}
		s.note("deleted %d ACLs", deleted)
		return nil
	}
	return newACLChange(b, "delete --principal P --operation O --topic NAME",
		"Delete ACLs, which are named as for create", do)
}
