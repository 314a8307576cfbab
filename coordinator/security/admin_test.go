package security_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// changing is a node whose view stays, and whose changes fail from one on.
type changing struct {
	view   *coordinator.View
	fails  int // how many changes are made before; 0: none fails
	change [][]coordinator.Setting
}

var errAway = errors.New("the coordinator is away")

func (c *changing) Change(_ context.Context, change coordinator.Change) (coordinator.Fact, error) {
	if c.fails > 0 && len(c.change) == c.fails {
		return coordinator.Fact{}, errAway
	}
	c.change = append(c.change, change.Settings)
	return coordinator.Fact{}, nil
}

func (c *changing) CatchUp(context.Context) error { return nil }

func (c *changing) View() *coordinator.View { return c.view }

func (c *changing) admin() *security.Admin {
	discard := slog.New(slog.DiscardHandler)
	return security.NewAdmin(c, security.NewACLs(c.view, acl.Rules{}, discard), security.NewQuotas(c.view, discard))
}

// logged is a client whose audit log is kept.
func logged() (*access.Asker, *strings.Builder) {
	var log strings.Builder
	return &access.Asker{Client: access.Client{Principal: access.Anonymous},
		Audit: access.NewAudit(slog.New(slog.NewTextHandler(&log, nil)))}, &log
}

func aclOf(n int) acl.Binding {
	return acl.Binding{Pattern: acl.Pattern{Type: access.Topic, Name: fmt.Sprint(n)},
		Principal: access.Principal{Type: "User", Name: "alice"}, Host: "*", Operation: access.Read}
}

// There is a bound for settings of each kind, for all of a request at once. What replaces something
// and what deletes has room at the bound as well.
func TestSettingsAreBounded(t *testing.T) {
	salted := make([]byte, access.ScramSHA512.KeyBytes())
	keys := access.ScramKeysOf(access.ScramSHA512, salted, salted[:16], access.DefaultScramIterations)
	for _, c := range []struct {
		kind coordinator.SettingKind
		most int
		key  func(n int) string
		// create sets the n-th settings of the kind; errors are the same for all
		create func(*security.Admin, *access.Asker, ...int) []error
	}{
		{coordinator.ACLSetting, 50_000, func(n int) string { return aclOf(n).Key() },
			func(a *security.Admin, by *access.Asker, ns ...int) []error {
				var bindings []acl.Binding
				for _, n := range ns {
					bindings = append(bindings, aclOf(n), aclOf(n)) // twice is once
				}
				return a.CreateACLs(t.Context(), by, bindings)
			}},
		{coordinator.UserSetting, 100_000, func(n int) string { return fmt.Sprintf(`["SCRAM-SHA-512","%d"]`, n) },
			func(a *security.Admin, by *access.Asker, ns ...int) []error {
				var changes []security.UserChange
				for _, n := range ns {
					change, err := a.SetUser(fmt.Sprint(n), map[access.ScramMechanism]access.ScramKeys{access.ScramSHA512: keys})
					if err != nil {
						t.Fatal(err)
					}
					changes = append(changes, change)
				}
				return a.AlterUsers(t.Context(), by, changes)
			}},
		{coordinator.QuotaSetting, 20_000,
			func(n int) string { return fmt.Sprintf(`[["user","%d"],"producer_byte_rate"]`, n) },
			func(a *security.Admin, by *access.Asker, ns ...int) []error {
				var changes []security.QuotaChange
				for _, n := range ns {
					change, err := a.CheckQuotas(quota.Entity{User: quota.Named(fmt.Sprint(n))},
						[]security.QuotaOp{{Name: "producer_byte_rate", Value: 1}})
					if err != nil {
						t.Fatal(err)
					}
					changes = append(changes, change)
				}
				validated := a.AlterQuotas(t.Context(), by, changes, true)
				failed := a.AlterQuotas(t.Context(), by, changes, false)
				if fmt.Sprint(validated) != fmt.Sprint(failed) {
					t.Errorf("validated: %v; done: %v", validated, failed)
				}
				return failed
			}},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			settings := make([]coordinator.Setting, c.most-1)
			for n := range settings {
				settings[n] = coordinator.Setting{Kind: c.kind, Key: c.key(n), Value: "1"}
			}
			node := &changing{view: viewOf(t, settings...)}
			by, log := logged()
			for _, err := range c.create(node.admin(), by, c.most, c.most+1) {
				if e, is := errors.AsType[*security.Error](err); !is || e.Kind != kerr.PolicyViolation {
					t.Errorf("two where there is room for one: %v", err)
				}
			}
			if len(node.change) > 0 || !strings.Contains(log.String(), "there would be more than") {
				t.Errorf("changed were %v; logged was\n%s", node.change, log)
			}
			for _, err := range c.create(node.admin(), by, 0, 1, c.most) {
				if err != nil {
					t.Errorf("one, and two that there are already: %v", err)
				}
			}
			if len(node.change) != 1 {
				t.Errorf("%d changes, want one", len(node.change))
			}
		})
	}
}

// A user that is set has no other keys, and one that is deleted has none, whatever this node knows
// of its keys.
func TestOneOfTheMechanismsIsLeft(t *testing.T) {
	salted := make([]byte, access.ScramSHA256.KeyBytes())
	keys := access.ScramKeysOf(access.ScramSHA256, salted, salted[:16], access.DefaultScramIterations)
	node := &changing{view: viewOf(t)}
	by, _ := logged()
	set, err := node.admin().SetUser("bob", map[access.ScramMechanism]access.ScramKeys{access.ScramSHA256: keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.admin().AlterUsers(t.Context(), by, []security.UserChange{set})[0]; err != nil {
		t.Fatal(err)
	}
	got := node.change[0]
	if len(got) != 2 || got[0].Key != `["SCRAM-SHA-512","bob"]` || !got[0].Deleted ||
		got[1].Key != `["SCRAM-SHA-256","bob"]` || got[1].Deleted {
		t.Errorf("set by %+v", got)
	}
}

// Of a request that takes several changes, what was made before one failed is told as made.
func TestChangesThatFailHalfway(t *testing.T) {
	node := &changing{view: viewOf(t), fails: 1}
	by, log := logged()
	var bindings []acl.Binding
	for n := range 2*coordinator.MaxSettings + 1 {
		bindings = append(bindings, aclOf(n))
	}
	for n, err := range node.admin().DeleteACLs(t.Context(), by, bindings) {
		if done := n < coordinator.MaxSettings; done != (err == nil) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if n := strings.Count(log.String(), "result=done"); n != coordinator.MaxSettings {
		t.Errorf("%d were logged as done", n)
	}

	// two quotas of an entity are made together, even where a change has room for one of them
	node = &changing{view: viewOf(t), fails: 1}
	var changes []security.QuotaChange
	for n := range coordinator.MaxSettings {
		ops := []security.QuotaOp{{Name: "producer_byte_rate", Value: 1}}
		if n == coordinator.MaxSettings-1 {
			ops = append(ops, security.QuotaOp{Name: "consumer_byte_rate", Value: 1})
		}
		change, err := node.admin().CheckQuotas(quota.Entity{User: quota.Named(fmt.Sprint(n))}, ops)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, change)
	}
	for n, err := range node.admin().AlterQuotas(t.Context(), by, changes, false) {
		if last := n == coordinator.MaxSettings-1; last != errors.Is(err, errAway) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
