package deploy

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestComposeWithSecurity holds the settings of nodes with TLS, logins and ACLs: each is a flag,
// and each secret that one names is there.
func TestComposeWithSecurity(t *testing.T) {
	type file struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]any
	}
	parse := func(name string) (parsed file) {
		t.Helper()
		if err := yaml.Unmarshal([]byte(read(t, "../localstack/"+name)), &parsed); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	plain, secure, flags := parse("compose.yaml"), parse("compose.security.yaml"), serveVariables(t)
	nodes := 0
	for name := range plain.Services {
		if strings.HasPrefix(name, "node") {
			nodes++
			if got := secure.Services[name].Environment; got["FIRN_HTTPS"] != "true" || got["FIRN_AUTHORIZER"] != "acl" ||
				!strings.HasPrefix(got["FIRN_LISTENER"], "kafka=sasl-ssl://") {
				t.Errorf("%s is told %v", name, got)
			}
		}
	}
	if nodes != 2 || len(secure.Services) != nodes {
		t.Errorf("%d nodes, and %d services with security", nodes, len(secure.Services))
	}
	for _, services := range []file{plain, secure} {
		for name, service := range services.Services {
			if got := service.Environment["FIRN_ADVERTISE_HTTP"]; strings.HasPrefix(name, "node") && got != name+":8080" {
				t.Errorf("the others reach %s at %q: 127.0.0.1 is their own container", name, got)
			}
		}
	}
	for name, service := range secure.Services {
		for variable, value := range service.Environment {
			if !flags[variable] {
				t.Errorf("%s: %s is no flag of firn serve", name, variable)
			}
			if secret, is := strings.CutPrefix(value, "/run/secrets/"); is &&
				(!slices.Contains(service.Secrets, secret) || secure.Secrets[secret] == nil) {
				t.Errorf("%s: %s names %s, which is not there", name, variable, value)
			}
		}
	}
}
