package deploy

import (
	"slices"
	"strings"
	"testing"
)

// environment is what a node is told.
func (m *manifests) environment() map[string]string {
	told := map[string]string{}
	for _, e := range m.set.Spec.Template.Spec.Containers[0].Env {
		told[e.Name] = e.Value
	}
	return told
}

// mounted says which secret is mounted where.
func (m *manifests) mounted() map[string]string {
	pod := m.set.Spec.Template.Spec
	at := map[string]string{}
	for _, v := range pod.Volumes {
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.Name == v.Name && mount.SubPath == "" && mount.ReadOnly { // a file of its own would not change
				at[mount.MountPath] = v.Secret.SecretName
			}
		}
	}
	return at
}

// With TLS and logins a node has a listener, its files, and a certificate for the names by which
// clients and other nodes find it.
func TestChartWithSecurity(t *testing.T) {
	m := render(t, "store=s3://bucket/log", "coordinator.url=rediss://host:6379", "external.enabled=true",
		"external.advertise=kafka-$(NODE).example.com:9092", "security.protocol=sasl-ssl", "security.https=true",
		"security.tls.issuer.name=ours", "security.tls.issuer.kind=ClusterIssuer", "security.users.secret=people",
		"security.authorizer=acl", "security.superUsers={User:admin,User:ops}", "coordinator.tls.secret=redis-client")
	m.checkSelectors(t)
	told, flags := m.environment(), serveVariables(t)
	for name := range told {
		if strings.HasPrefix(name, "FIRN_") && !flags[name] {
			t.Errorf("%s is no flag of firn serve", name)
		}
	}
	for name, want := range map[string]string{
		"FIRN_LISTENER": "kafka=sasl-ssl://0.0.0.0:9092?advertise=kafka-$(NODE).example.com:9092",
		"FIRN_TLS_CERT": "/etc/firn/tls/tls.crt", "FIRN_TLS_KEY": "/etc/firn/tls/tls.key", "FIRN_HTTPS": "true",
		"FIRN_USERS_FILE": "/etc/firn/users/users", "FIRN_AUTHORIZER": "acl", "FIRN_SUPER_USERS": "User:admin;User:ops",
		"FIRN_ADVERTISE": "", "FIRN_KAFKA_ADDR": "", "FIRN_TLS_CLIENT_CA": "",
	} {
		if told[name] != want {
			t.Errorf("%s is %q, want %q", name, told[name], want)
		}
	}
	if at := m.mounted(); at["/etc/firn/tls"] != "log-tls" || at["/etc/firn/users"] != "people" ||
		at["/etc/firn/redis"] != "redis-client" {
		t.Errorf("mounted are %v", at)
	}
	c := m.certificate.Spec
	want := []string{"log.streams.svc", "*.log-nodes.streams.svc", "kafka-0.example.com", "kafka-1.example.com",
		"kafka-2.example.com"}
	if c.SecretName != "log-tls" || c.IssuerRef["name"] != "ours" || c.IssuerRef["kind"] != "ClusterIssuer" ||
		!slices.Equal(c.DNSNames, want) {
		t.Errorf("the certificate is %+v", c)
	}
	if http := told["FIRN_ADVERTISE_HTTP"]; !strings.HasSuffix(http, ".log-nodes.streams.svc:8080") {
		t.Errorf("nodes find each other at %s, which the certificate has to name", http)
	}
}

// Clients may prove who they are with certificates, which a secret of the operator's has the
// authority of.
func TestChartWithClientCertificates(t *testing.T) {
	m := render(t, "store=s3://bucket/log", "replicas=1", "security.protocol=ssl", "security.tls.secret=mine",
		"security.tls.clientAuth=require")
	told := m.environment()
	if told["FIRN_TLS_CLIENT_AUTH"] != "require" || told["FIRN_TLS_CLIENT_CA"] != "/etc/firn/tls/ca.crt" {
		t.Errorf("a node is told %v", told)
	}
	if at := m.mounted(); at["/etc/firn/tls"] != "mine" || slices.Contains(m.kinds, "Certificate") {
		t.Errorf("mounted are %v, of %v", at, m.kinds)
	}
}
