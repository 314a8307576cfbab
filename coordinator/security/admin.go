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

// bounds are how many settings of a kind there may be. An ACL takes about 1 kB of memory on every
// node. A user counts once for each mechanism, a quota once for each entity.
var bounds = map[coordinator.SettingKind]struct {
	most         int
	what, advice string
}{
	coordinator.UserSetting:  {100_000, "users' keys", "delete some"},
	coordinator.ACLSetting:   {50_000, "ACLs", "delete some, or use patterns"},
	coordinator.QuotaSetting: {20_000, "quotas", "remove some, or use defaults"},
}

// checkRoom says why there is no room for what changes add. They are of one kind. What replaces
// something needs no room.
func (a *Admin) checkRoom(changes [][]coordinator.Setting) error {
	view, added := a.node.View(), 0
	var kind coordinator.SettingKind
	for _, change := range changes {
		for _, s := range change {
			kind = s.Kind
			if _, replaces := view.Setting(s.Kind, s.Key); !s.Deleted && !replaces {
				added++
			}
		}
	}
	if added == 0 {
		return nil
	}
	if n, bound := view.SettingsCount(kind), bounds[kind]; n+added > bound.most {
		return refuse(kerr.PolicyViolation, "there are %d %s, and with %d more there would be more than %d; %s",
			n, bound.what, added, bound.most, bound.advice)
	}
	return nil
}

// set makes changes, each wholly or not at all, in as few steps as may be. It says of each why it
// was not made. A change has at most coordinator.MaxSettings.
func (a *Admin) set(ctx context.Context, changes [][]coordinator.Setting) []error {
	failed := make([]error, len(changes))
	err := a.checkRoom(changes)
	for from := 0; from < len(changes); {
		to, step := from, []coordinator.Setting(nil)
		for to < len(changes) && (to == from || len(step)+len(changes[to]) <= coordinator.MaxSettings) {
			step = append(step, changes[to]...)
			to++
		}
		if err == nil && len(step) > 0 {
			_, err = a.node.Change(ctx, coordinator.Change{Settings: step})
		}
		for ; from < to; from++ {
			failed[from] = err
		}
	}
	return failed
}

// CheckACLs says why there are no ACLs, if there are none.
func (a *Admin) CheckACLs() error {
	if a.acls == nil {
		return refuse(kerr.SecurityDisabled,
			"there is no authorizer, and so there are no ACLs; every node has to be started with one")
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

// CreateACLs creates ACLs, and says of each why it was not created. Up to coordinator.MaxSettings
// of them are one change.
func (a *Admin) CreateACLs(ctx context.Context, by *access.Asker, bindings []acl.Binding) []error {
	return a.setACLs(ctx, by, "CreateAcls", bindings, false)
}

// DeleteACLs deletes ACLs, and says of each why it was not deleted. Up to coordinator.MaxSettings
// of them are one change.
func (a *Admin) DeleteACLs(ctx context.Context, by *access.Asker, bindings []acl.Binding) []error {
	return a.setACLs(ctx, by, "DeleteAcls", bindings, true)
}

// setACLs sets or deletes ACLs, each once.
func (a *Admin) setACLs(ctx context.Context, by *access.Asker, action string, bindings []acl.Binding,
	deleted bool) []error {
	var changes [][]coordinator.Setting
	first := map[string]int{} // by the keys of ACLs
	for _, b := range bindings {
		key := b.Key()
		if _, again := first[key]; !again {
			first[key] = len(changes)
			changes = append(changes, []coordinator.Setting{{Kind: coordinator.ACLSetting, Key: key, Deleted: deleted}})
		}
	}
	failed, each := a.set(ctx, changes), make([]error, len(bindings))
	for i, b := range bindings {
		each[i] = failed[first[b.Key()]]
		by.Audit.Changed(by.Client, action, b.Key(), each[i])
	}
	return each
}

// Users are those there are.
func (a *Admin) Users() Users { return Users{a.node.View()} }

// UserChange is a change of a user's keys that was checked.
type UserChange struct {
	User     string
	settings []coordinator.Setting
}

// SetKeys gives a user keys of a mechanism.
func (a *Admin) SetKeys(user string, m access.ScramMechanism, keys access.ScramKeys) (UserChange, error) {
	set, err := a.Users().SetUser(user, m, keys)
	if err != nil {
		return UserChange{}, refuse(kerr.UnacceptableCredential, "%v", err)
	}
	return UserChange{user, []coordinator.Setting{set}}, nil
}

// DeleteKeys takes a user's keys of a mechanism away.
func (a *Admin) DeleteKeys(user string, m access.ScramMechanism) (UserChange, error) {
	if _, has := a.Users().ScramKeys(user, m); !has {
		return UserChange{}, refuse(kerr.ResourceNotFound, "user %q has no credentials for %s", user, m)
	}
	return UserChange{user, []coordinator.Setting{a.Users().DeleteUser(user, m)}}, nil
}

// SetUser gives a user these keys and no others: by another mechanism it cannot log in any more.
func (a *Admin) SetUser(user string, keys map[access.ScramMechanism]access.ScramKeys) (UserChange, error) {
	c := UserChange{User: user}
	for _, m := range access.ScramMechanisms {
		if of, has := keys[m]; has {
			set, err := a.SetKeys(user, m, of)
			if err != nil {
				return c, err
			}
			c.settings = append(c.settings, set.settings...)
		} else { // whether this node knows of keys or not
			c.settings = append(c.settings, a.Users().DeleteUser(user, m))
		}
	}
	return c, nil
}

// DeleteUser takes a user's keys of all mechanisms away.
func (a *Admin) DeleteUser(user string) (UserChange, error) {
	for _, m := range access.ScramMechanisms {
		if _, has := a.Users().ScramKeys(user, m); has {
			return a.SetUser(user, nil)
		}
	}
	return UserChange{}, refuse(kerr.ResourceNotFound, "there is no user %q", user)
}

// AlterUsers changes users, and says of each why it was not changed. A user has one change. Up to
// coordinator.MaxSettings keys are changed at once.
func (a *Admin) AlterUsers(ctx context.Context, by *access.Asker, changes []UserChange) []error {
	settings := make([][]coordinator.Setting, len(changes))
	for i, c := range changes {
		settings[i] = c.settings
	}
	failed := a.set(ctx, settings)
	for i, c := range changes {
		by.Audit.Changed(by.Client, "AlterUserScramCredentials", c.User, failed[i])
	}
	return failed
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
	seen := map[string]bool{}
	for _, op := range ops {
		l := quota.Limit{Entity: e, Of: access.ParseQuota(op.Name), Value: op.Value}
		err := l.Valid()
		switch {
		case seen[op.Name]:
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
		seen[op.Name] = true
	}
	changes, err := a.quotas.Set(set)
	if err != nil {
		return c, refuse(kerr.InvalidRequest, "%v", err)
	}
	c.settings = append(changes, a.quotas.Remove(remove)...)
	return c, nil
}

// AlterQuotas changes the quotas of entities, unless it is to validate only, and says of each why
// they are not changed. An entity has one change. Up to coordinator.MaxSettings quotas are changed
// at once.
func (a *Admin) AlterQuotas(ctx context.Context, by *access.Asker, changes []QuotaChange, validateOnly bool) []error {
	settings := make([][]coordinator.Setting, len(changes))
	for i, c := range changes {
		settings[i] = c.settings
	}
	if validateOnly {
		return slices.Repeat([]error{a.checkRoom(settings)}, len(changes))
	}
	failed := a.set(ctx, settings)
	for i, c := range changes {
		for _, op := range c.ops {
			by.Audit.Changed(by.Client, "AlterClientQuotas", fmt.Sprintf("%s: %s", c.entity, op), failed[i])
		}
	}
	return failed
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
