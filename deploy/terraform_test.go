package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// module is a Terraform module, parsed. Providers are not asked: what is checked is what can be
// read.
type module struct {
	files  map[string][]byte
	blocks []*hclsyntax.Block
}

func parseModule(t *testing.T, dir string) module {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files in %s (%v)", len(names), dir, err)
	}
	m := module{files: map[string][]byte{}}
	parser := hclparse.NewParser()
	for _, name := range names {
		file, problems := parser.ParseHCLFile(name)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		m.files[name] = file.Bytes
		m.blocks = append(m.blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return m
}

// all returns the blocks of a kind with these labels; an empty label is any.
func (m module) all(kind string, wanted ...string) (found []*hclsyntax.Block) {
	for _, b := range m.blocks {
		if b.Type != kind {
			continue
		}
		fits := true
		for i, label := range wanted {
			fits = fits && (label == "" || i < len(b.Labels) && b.Labels[i] == label)
		}
		if fits {
			found = append(found, b)
		}
	}
	return found
}

func (m module) only(t *testing.T, kind string, labels ...string) *hclsyntax.Block {
	t.Helper()
	found := m.all(kind, labels...)
	if len(found) != 1 {
		t.Fatalf("%d blocks %s %s", len(found), kind, strings.Join(labels, " "))
	}
	return found[0]
}

// literal is the value of an attribute that depends on nothing.
func literal(t *testing.T, b *hclsyntax.Block, name string) cty.Value {
	t.Helper()
	attribute := b.Body.Attributes[name]
	if attribute == nil {
		t.Fatalf("%s has no %s", strings.Join(b.Labels, "."), name)
	}
	value, problems := attribute.Expr.Value(nil)
	if problems.HasErrors() {
		t.Fatalf("%s of %s: %v", name, strings.Join(b.Labels, "."), problems)
	}
	return value
}

func inner(b *hclsyntax.Block, kind string) (found []*hclsyntax.Block) {
	for _, nested := range b.Body.Blocks {
		switch {
		case nested.Type == kind:
			found = append(found, nested)
		case nested.Type == "dynamic" && nested.Labels[0] == kind:
			found = append(found, inner(nested, "content")...)
		}
	}
	return found
}

// local evaluates a local value by those that it is made of.
func (m module) local(t *testing.T, name string, of map[string]cty.Value) cty.Value {
	t.Helper()
	for _, locals := range m.all("locals") {
		if found := locals.Body.Attributes[name]; found != nil {
			value, problems := found.Expr.Value(&hcl.EvalContext{Variables: of, Functions: map[string]function.Function{
				"merge": stdlib.MergeFunc, "join": stdlib.JoinFunc, "concat": stdlib.ConcatFunc, "length": stdlib.LengthFunc}})
			if problems.HasErrors() {
				t.Fatal(problems)
			}
			return value
		}
	}
	t.Fatalf("there is no local %s", name)
	return cty.NilVal
}

// TestTerraformSecretsBecomeFiles runs what a node's first container runs, and wants the files that
// firn serve is told of to have what the secrets have.
func TestTerraformSecretsBecomeFiles(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	variables := map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{"https": cty.True,
		"tls_secret_arn": cty.StringVal("arn:tls"), "tls_client_auth": cty.StringVal("require"),
		"users_secret_arn": cty.StringVal("arn:users"), "authorizer": cty.StringVal("acl"),
		"super_users": cty.TupleVal([]cty.Value{cty.StringVal("User:admin")})})}
	files := m.local(t, "files", variables)
	variables["local"] = cty.ObjectVal(map[string]cty.Value{"files": files})
	script, dir := m.local(t, "files_script", variables).AsString(), t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script, "/firn-files", dir))
	want := map[string]string{} // by the names of files
	for name, file := range files.AsValueMap() {
		variable, from := file.GetAttr("variable").AsString(), file.GetAttr("from").AsString()
		secret := `"` + from + `" $HOME\n\` + "`id`"
		cmd.Env = append(cmd.Env, variable+"="+secret)
		want[name] = secret + "\n"
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	told, flags := m.local(t, "security", variables).AsValueMap(), serveVariables(t)
	for variable, value := range told {
		if !flags[variable] {
			t.Errorf("%s is no flag of firn serve", variable)
		}
		name, isFile := strings.CutPrefix(value.AsString(), "/firn-files/")
		if !isFile {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want[name] {
			t.Errorf("%s is %q, %v, want %q", name, text, err, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 || len(told) != 8 || told["FIRN_SUPER_USERS"].AsString() != "User:admin" {
		t.Errorf("firn serve is told %v, and not of the files %v", told, want)
	}
}

func TestTerraformIsFormatted(t *testing.T) {
	for name, text := range parseModule(t, "terraform/aws").files {
		if !bytes.Equal(hclwrite.Format(text), text) {
			t.Errorf("terraform fmt would change %s", name)
		}
	}
}

// TestTerraformReferencesExist wants every variable described, typed and used, and every resource,
// data source and local that is referred to, to be there.
func TestTerraformReferencesExist(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	known, used := map[string]bool{}, map[string]bool{}
	for _, b := range m.blocks {
		switch b.Type {
		case "variable":
			known["var."+b.Labels[0]] = true
			if literal(t, b, "description").AsString() == "" || b.Body.Attributes["type"] == nil {
				t.Errorf("variable %s is not described", b.Labels[0])
			}
		case "output":
			if literal(t, b, "description").AsString() == "" {
				t.Errorf("output %s is not described", b.Labels[0])
			}
		case "resource":
			known[strings.Join(b.Labels, ".")] = true
		case "data":
			known["data."+strings.Join(b.Labels, ".")] = true
		case "locals":
			for name := range b.Body.Attributes {
				known["local."+name] = true
			}
		}
	}
	for _, b := range m.blocks {
		hclsyntax.VisitAll(b.Body, func(n hclsyntax.Node) hcl.Diagnostics {
			e, refers := n.(*hclsyntax.ScopeTraversalExpr)
			if !refers {
				return nil
			}
			name := reference(e.Traversal)
			if b.Type != "variable" { // its own validation is no use
				used[name] = true
			}
			if name != "" && !known[name] {
				t.Errorf("%s: there is no %s", e.Range(), name)
			}
			return nil
		})
	}
	for name := range known {
		if strings.HasPrefix(name, "var.") && !used[name] {
			t.Errorf("%s is not used", name)
		}
	}
}

// reference names what a traversal refers to; empty for what a block defines for itself (each,
// statement, variables of for, types).
func reference(at hcl.Traversal) string {
	var parts []string
	for _, step := range at {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			parts = append(parts, s.Name)
		case hcl.TraverseAttr:
			parts = append(parts, s.Name)
		}
	}
	switch root := parts[0]; {
	case root == "data" && len(parts) > 2:
		return strings.Join(parts[:3], ".")
	case len(parts) > 1 && (root == "var" || root == "local" || strings.Contains(root, "_")):
		return strings.Join(parts[:2], ".")
	}
	return ""
}

// TestTerraformGrantsNoMoreThanNeeded holds every IAM policy: no wildcard in an allowed action, no
// action on everything.
func TestTerraformGrantsNoMoreThanNeeded(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	statements := 0
	for _, policy := range m.all("data", "aws_iam_policy_document") {
		for _, s := range inner(policy, "statement") {
			statements++
			name := strings.Join(policy.Labels, ".")
			for _, action := range literal(t, s, "actions").AsValueSlice() {
				if strings.Contains(action.AsString(), "*") {
					t.Errorf("%s: action %s", name, action.AsString())
				}
			}
			resources := s.Body.Attributes["resources"]
			if resources == nil && len(inner(s, "principals")) == 0 {
				t.Errorf("%s names neither resources nor who may", name)
			}
			if resources != nil {
				if v, problems := resources.Expr.Value(nil); !problems.HasErrors() &&
					slices.ContainsFunc(v.AsValueSlice(), func(v cty.Value) bool {
						return v.AsString() == "*"
					}) {
					t.Errorf("%s is about every resource", name)
				}
			}
			denies := s.Body.Attributes["effect"] != nil && literal(t, s, "effect").AsString() == "Deny"
			for _, principal := range inner(s, "principals") {
				if anybody := literal(t, principal, "identifiers").AsValueSlice()[0].AsString() == "*"; anybody && !denies {
					t.Errorf("%s allows something to everybody", name)
				}
			}
		}
	}
	if statements < 8 {
		t.Errorf("%d statements: the test looks at the wrong place", statements)
	}
	if deletes := read(t, "terraform/aws/iam.tf"); strings.Contains(section(deletes, `"append"`)+section(deletes,
		`"bucket_use"`), "s3:DeleteObject") {
		t.Error("the function may delete from the log")
	}
}

// section is a block's text: from its label to the next line that closes a block.
func section(text, label string) string {
	_, rest, _ := strings.Cut(text, label)
	body, _, _ := strings.Cut(rest, "\n}\n")
	return body
}

func TestTerraformBucketIsPrivateAndKeepsWhatIsNeeded(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	block := m.only(t, "resource", "aws_s3_bucket_public_access_block")
	for _, name := range []string{"block_public_acls", "block_public_policy", "ignore_public_acls",
		"restrict_public_buckets"} {
		if literal(t, block, name).False() {
			t.Errorf("%s is off", name)
		}
	}
	versioning := inner(m.only(t, "resource", "aws_s3_bucket_versioning"), "versioning_configuration")[0]
	if status := literal(t, versioning, "status").AsString(); status != "Disabled" {
		t.Errorf("versioning is %s: deleted segments would be kept and paid for", status)
	}
	for _, rule := range inner(m.only(t, "resource", "aws_s3_bucket_lifecycle_configuration"), "rule") {
		if len(inner(rule, "abort_incomplete_multipart_upload")) != 1 || len(inner(rule, "expiration")) > 0 ||
			len(inner(rule, "transition")) > 0 {
			t.Error("lifecycle rules may abort multipart uploads, and nothing else: objects are never deleted by age")
		}
	}
	m.only(t, "resource", "aws_s3_bucket_server_side_encryption_configuration")
	if len(m.all("resource", "aws_s3_bucket_acl")) > 0 {
		t.Error("there is an ACL")
	}
}

func TestTerraformRedisAndFunction(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	redis := m.only(t, "resource", "aws_elasticache_replication_group")
	for _, name := range []string{"transit_encryption_enabled", "at_rest_encryption_enabled",
		"automatic_failover_enabled"} {
		if literal(t, redis, name).False() {
			t.Errorf("%s is off", name)
		}
	}
	evicts := true
	for _, p := range inner(m.only(t, "resource", "aws_elasticache_parameter_group"), "parameter") {
		if literal(t, p, "name").AsString() == "maxmemory-policy" {
			evicts = literal(t, p, "value").AsString() != "noeviction"
		}
	}
	if evicts {
		t.Error("Redis may evict keys: nodes would refuse it")
	}
	if auth := literal(t, m.only(t, "resource", "aws_lambda_function_url"),
		"authorization_type").AsString(); auth != "AWS_IAM" {
		t.Errorf("the function's URL asks for %s", auth)
	}
	flags := serveVariables(t)
	nodes, err := os.ReadFile("terraform/aws/nodes.tf")
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsFuncSeq(string(nodes), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		if strings.HasPrefix(word, "FIRN_") && !flags[word] {
			t.Errorf("%s is no flag of firn serve", word)
		}
	}
}
