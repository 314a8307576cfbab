package security

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
)

// Error is why users, ACLs or quotas are not changed or shown: something in the request is wrong,
// and another try would fail as well. Other errors are those of the node.
type Error struct {
	Kind    *kerr.Error
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(kind *kerr.Error, format string, args ...any) *Error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}

// Admin changes users, ACLs and quotas, with the rules and bounds that hold for each front door. A
// front door decides who may do it, and how an answer looks. A change returns when it holds on this
// node, and is in the audit log of whoever asked for it, done or failed.
type Admin struct {
	node   Node
	acls   *ACLs // nil: there are none
	quotas *Quotas
}

// NewAdmin returns what changes the settings of a node's cluster. There are ACLs if the authorizer
// is one that decides by them.
func NewAdmin(node Node, authorizer access.Authorizer, quotas *Quotas) *Admin {
	acls, _ := authorizer.(*ACLs)
	return &Admin{node, acls, quotas}
}

// set makes a change, in as few steps as may be.
func (a *Admin) set(ctx context.Context, changes []coordinator.Setting) error {
	for some := range slices.Chunk(changes, coordinator.MaxSettings) {
		if _, err := a.node.Change(ctx, coordinator.Change{Settings: some}); err != nil {
			return err
		}
	}
	return nil
}

// CheckACLs says why there are no ACLs, if there are none.
func (a *Admin) CheckACLs() error {
	if a.acls == nil {
		return refuse(kerr.SecurityDisabled,
			"there is no authorizer, and so there are no ACLs; start every node with --authorizer acl")
	}
	return nil
}

// ACL is the ACL that a client asks for.
func (a *Admin) ACL(asked acl.Spec) (acl.Binding, error) {
	b, err := asked.Binding()
	if err != nil {
		return b, refuse(kerr.InvalidRequest, "%v", err)
	}
	return b, nil
}

// ACLs are those that a filter selects, in order.
func (a *Admin) ACLs(filter acl.Filter) (selected []acl.Binding, err error) {
	if err := a.CheckACLs(); err != nil {
		return nil, err
	}
	if err := filter.Valid(); err != nil {
		return nil, refuse(kerr.InvalidRequest, "%v", err)
	}
	for _, b := range a.acls.Bindings() {
		if filter.Matches(b) {
			selected = append(selected, b)
		}
	}
	return selected, nil
}

// CreateACLs creates ACLs. Up to coordinator.MaxSettings of them are one change.
func (a *Admin) CreateACLs(ctx context.Context, by *access.Asker, bindings []acl.Binding) error {
	changes, err := a.acls.Create(bindings)
	if err == nil {
		err = a.set(ctx, changes)
	}
	for _, b := range bindings {
		by.Audit.Changed(by.Client, "CreateAcls", b.Key(), err)
	}
	return err
}

// DeleteACLs deletes ACLs. Up to coordinator.MaxSettings of them are one change.
func (a *Admin) DeleteACLs(ctx context.Context, by *access.Asker, bindings []acl.Binding) error {
	err := a.set(ctx, a.acls.Delete(bindings))
	for _, b := range bindings {
		by.Audit.Changed(by.Client, "DeleteAcls", b.Key(), err)
	}
	return err
}

// Users are those there are.
func (a *Admin) Users() Users { return Users{a.node.View()} }

// UserChange is a change of a user's keys of one mechanism that was checked.
type UserChange struct {
	User    string
	setting coordinator.Setting
}

// SetKeys gives a user keys of a mechanism.
func (a *Admin) SetKeys(user string, m access.ScramMechanism, keys access.ScramKeys) (UserChange, error) {
	set, err := a.Users().SetUser(user, m, keys)
	if err != nil {
		return UserChange{}, refuse(kerr.UnacceptableCredential, "%v", err)
	}
	return UserChange{user, set}, nil
}

// DeleteKeys takes a user's keys of a mechanism away.
func (a *Admin) DeleteKeys(user string, m access.ScramMechanism) (UserChange, error) {
	if _, has := a.Users().ScramKeys(user, m); !has {
		return UserChange{}, refuse(kerr.ResourceNotFound, "user %q has no credentials for %s", user, m)
	}
	return UserChange{user, a.Users().DeleteUser(user, m)}, nil
}

// AlterUsers changes users. Up to coordinator.MaxSettings keys are one change.
func (a *Admin) AlterUsers(ctx context.Context, by *access.Asker, changes []UserChange) error {
	var settings []coordinator.Setting
	var users []string
	for _, c := range changes {
		settings, users = append(settings, c.setting), append(users, c.User)
	}
	err := a.set(ctx, settings)
	for _, user := range slices.Compact(users) {
		by.Audit.Changed(by.Client, "AlterUserScramCredentials", user, err)
	}
	return err
}

// QuotaOp sets or removes one quota of an entity.
type QuotaOp struct {
	Name   string // Kafka's, such as producer_byte_rate
	Value  float64
	Remove bool
}

func (o QuotaOp) String() string {
	if o.Remove {
		return o.Name + " removed"
	}
	return fmt.Sprintf("%s=%v", o.Name, o.Value)
}

// QuotaChange is a change of an entity's quotas that was checked.
type QuotaChange struct {
	entity   quota.Entity
	ops      []QuotaOp
	settings []coordinator.Setting
}

// CheckQuotas says why the quotas of an entity cannot be changed, or what has to change.
func (a *Admin) CheckQuotas(e quota.Entity, ops []QuotaOp) (QuotaChange, error) {
	c := QuotaChange{entity: e, ops: ops}
	if err := e.Valid(); err != nil {
		return c, refuse(kerr.InvalidRequest, "%v", err)
	}
	var set, remove []quota.Limit
	var seen []string
	for _, op := range ops {
		l := quota.Limit{Entity: e, Of: access.ParseQuota(op.Name), Value: op.Value}
		err := l.Valid()
		switch {
		case slices.Contains(seen, op.Name):
			return c, refuse(kerr.InvalidRequest, "Duplicate quota key %s not updating quota for this entity %s", op.Name, e)
		case op.Remove:
			if _, is := a.node.View().Setting(coordinator.QuotaSetting, l.Key()); is {
				remove = append(remove, l) // what is not there is gone, as in Kafka
			}
		case l.Of == 0:
			return c, refuse(kerr.InvalidRequest, "Invalid configuration key %s", op.Name)
		case err != nil:
			return c, refuse(kerr.InvalidRequest, "%v", err)
		default:
			set = append(set, l)
		}
		seen = append(seen, op.Name)
	}
	changes, err := a.quotas.Set(set)
	if err != nil {
		return c, refuse(kerr.PolicyViolation, "%v", err)
	}
	c.settings = append(changes, a.quotas.Remove(remove)...)
	return c, nil
}

// AlterQuotas changes quotas. Up to coordinator.MaxSettings of them are one change.
func (a *Admin) AlterQuotas(ctx context.Context, by *access.Asker, changes []QuotaChange) error {
	var settings []coordinator.Setting
	for _, c := range changes {
		settings = append(settings, c.settings...)
	}
	err := a.set(ctx, settings)
	for _, c := range changes {
		for _, op := range c.ops {
			by.Audit.Changed(by.Client, "AlterClientQuotas", fmt.Sprintf("%s: %s", c.entity, op), err)
		}
	}
	return err
}

// Quotas are those of the entities that a filter selects, ordered by entity.
func (a *Admin) Quotas(filter quota.Filter) (selected []quota.Limit, err error) {
	if err := filter.Valid(); err != nil {
		return nil, refuse(kerr.InvalidRequest, "%v", err)
	}
	for _, l := range a.quotas.All() {
		if filter.Matches(l.Entity) {
			selected = append(selected, l)
		}
	}
	return selected, nil
}
