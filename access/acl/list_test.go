package acl_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/acl"
)

// Requests get the answers that Apache Kafka's own authorizer gives, with the same ACLs.
func TestAnswersAreKafkas(t *testing.T) {
	f, err := os.Open("testdata/kafka/answers.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rules acl.Rules
	var bindings []acl.Binding
	var list *acl.List
	requests, wrong := 0, 0
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		switch f := strings.Split(lines.Text(), "\t"); f[0] {
		case "set":
			rules, bindings, list = parseRules(t, f[1:]), nil, nil
		case "acl":
			bindings = append(bindings, parseBinding(t, f[1:]))
		default:
			if list == nil {
				list = acl.NewList(rules, bindings)
			}
			client := access.Client{Principal: principal(t, f[1]), Host: netip.MustParseAddr(f[2]).String()}
			on := access.Resource{Type: access.ResourceType(number(t, f[3])), Name: f[4], Any: f[0] == "any"}
			want := f[6] == "true"
			requests++
			if got := list.Allows(client, access.Operation(number(t, f[5])), on); got != want {
				if wrong++; wrong <= 5 {
					t.Errorf("%s: Firn says %v; rules %+v, ACLs %+v", lines.Text(), got, rules, bindings)
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if requests != 7500 || wrong > 0 {
		t.Errorf("%d of %d answers are not Kafka's", wrong, requests)
	}
}

func parseRules(t *testing.T, f []string) acl.Rules {
	r := acl.Rules{AllowEveryoneIfNoACL: f[0] == "true"}
	if f[1] != "" {
		for text := range strings.SplitSeq(f[1], ";") {
			r.SuperUsers = append(r.SuperUsers, principal(t, text))
		}
	}
	return r
}

func parseBinding(t *testing.T, f []string) acl.Binding {
	return acl.Binding{
		Pattern:   acl.Pattern{Type: access.ResourceType(number(t, f[0])), Name: f[1], Prefixed: f[2] == "4"},
		Principal: principal(t, f[3]), Host: f[4], Operation: access.Operation(number(t, f[5])), Deny: f[6] == "2",
	}
}

func principal(t *testing.T, text string) access.Principal {
	p, err := access.ParsePrincipal(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func number(t *testing.T, text string) int8 {
	n, err := strconv.ParseInt(text, 10, 8)
	if err != nil {
		t.Fatal(err)
	}
	return int8(n)
}

// many are ACLs of n users, for a topic and a prefix of their own each, and for one topic that they
// have in common.
func many(n int) []acl.Binding {
	var bindings []acl.Binding
	for i := range n {
		user := access.Principal{Type: "User", Name: fmt.Sprint("user-", i)}
		for _, p := range []acl.Pattern{{Type: access.Topic, Name: fmt.Sprintf("topic-%d", i)},
			{Type: access.Topic, Name: fmt.Sprintf("team-%d-", i), Prefixed: true}, {Type: access.Topic, Name: "common"}} {
			bindings = append(bindings, acl.Binding{Pattern: p, Principal: user, Host: acl.Wildcard, Operation: access.Read})
		}
	}
	return bindings
}

var someone = access.Client{Principal: access.Principal{Type: "User", Name: "user-7"}, Host: "10.0.0.1"}

// Everybody who asks, does for each resource of each request.
func TestAskingAllocatesNothing(t *testing.T) {
	list := acl.NewList(acl.Rules{}, many(100))
	for _, on := range []access.Resource{{Type: access.Topic, Name: "team-7-log"}, {Type: access.Topic, Any: true}} {
		if n := testing.AllocsPerRun(100, func() { list.Allows(someone, access.Read, on) }); n > 0 {
			t.Errorf("asking about %s allocates %v times", on, n)
		}
		if !list.Allows(someone, access.Read, on) {
			t.Errorf("%s is refused", on)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	for _, users := range []int{10, 1000, 30_000} {
		list := acl.NewList(acl.Rules{}, many(users))
		for _, name := range []string{"topic-7", "team-7-log", "common"} {
			b.Run(fmt.Sprintf("acls=%d/%s", 3*users, name), func(b *testing.B) {
				for b.Loop() {
					list.Allows(someone, access.Read, access.Resource{Type: access.Topic, Name: name})
				}
			})
		}
	}
}

func TestValid(t *testing.T) {
	good := acl.Binding{Pattern: acl.Pattern{Type: access.Topic, Name: "log"}, Principal: someone.Principal,
		Host: acl.Wildcard, Operation: access.Read}
	if err := good.Valid(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*acl.Binding){
		"type":         func(b *acl.Binding) { b.Type = 1 },
		"later type":   func(b *acl.Binding) { b.Type = 8 },
		"operation":    func(b *acl.Binding) { b.Operation = 1 },
		"name":         func(b *acl.Binding) { b.Name = "" },
		"long name":    func(b *acl.Binding) { b.Name = strings.Repeat("x", 1025) },
		"cluster":      func(b *acl.Binding) { b.Type = access.Cluster },
		"principal":    func(b *acl.Binding) { b.Principal = access.Principal{} },
		"no text":      func(b *acl.Binding) { b.Name = "log\xff" },
		"no host":      func(b *acl.Binding) { b.Host = "" },
		"no operation": func(b *acl.Binding) { b.Operation = 16 },
	} {
		bad := good
		spoil(&bad)
		if bad.Valid() == nil {
			t.Errorf("%s: %+v is valid", name, bad)
		}
	}
}
