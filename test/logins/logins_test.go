// Package logins has clients that other people made log in to Firn over TLS, by every mechanism
// that they have, and the test that runs them.
package logins

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/localstack"
	"firn.dev/test/process"
	"firn.dev/test/process/processtest"
)

var kafkaJars = flag.String("logins.kafka", "", "folder with the jars of Apache Kafka, whose tools log in as well")

// The ways to log in, and the topic that only who logs in that way may write to and read.
const (
	plainWay    = "PLAIN"
	scram256    = "SCRAM-SHA-256"
	scram512    = "SCRAM-SHA-512"
	oauthWay    = "OAUTHBEARER"
	certificate = "certificate"
)

var all = []string{plainWay, scram256, scram512, oauthWay, certificate}

var topicOf = map[string]string{plainWay: "passwords", scram256: "passwords", scram512: "passwords", oauthWay: "tokens",
	certificate: "certificates"}

const password = `p"en,c=il é`

// builds is a folder for the length of the tests, in which there is one firn for all of them.
var builds string

var firn = sync.OnceValues(func() (string, error) {
	return process.Build(context.Background(), builds, "firn.dev/cmd/firn")
})

func TestMain(m *testing.M) {
	var err error
	if builds, err = os.MkdirTemp("", "firn-logins-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(builds)
	os.Exit(status)
}

// stage is a server with a listener for each kind of login, and what clients need.
type stage struct {
	dir      string
	server   *process.Process
	bin      string      // firn
	admin    *kgo.Client // through the listener that asks for nothing
	sasl     string
	open     string // without TLS: a guess costs the one who guesses little there
	tls      string // that asks for certificates
	token    string
	client   *tls.Config // without a certificate
	own      tls.Certificate
	issuer   *logintest.Issuer
	settings string // a file that says all of this to the programs
}

// file is the path of a file that the stage has made.
func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func startStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir()}
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(s.dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	var users strings.Builder
	for _, m := range access.ScramMechanisms {
		keys, err := access.NewScramKeys(m, password, access.DefaultScramIterations)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&users, login.FormatUser("alice", m, keys))
	}
	authority, issuer := logintest.NewAuthority(t), logintest.NewIssuer(t)
	client := filepath.Join(s.dir, "client")
	if err := os.Mkdir(client, 0o700); err != nil {
		t.Fatal(err)
	}
	s.own = authority.Issue(pkix.Name{CommonName: "carol"})
	files, own := authority.Write(s.dir, authority.Issue(pkix.Name{CommonName: "server"})), authority.Write(client, s.own)
	s.client, s.token, s.issuer = authority.Client(), issuer.Token("tess"), issuer
	var err error
	for _, at := range []*string{&s.sasl, &s.tls, &s.open} {
		if *at, err = localstack.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	if s.bin, err = firn(); err != nil {
		t.Fatal(err)
	}
	spec, err := process.NewSpec([]string{s.bin, "serve", "--http-addr", "{http}",
		"--store", "file://{dir}/data", "--listener", "plain=plaintext://{kafka}",
		"--listener", "sasl=sasl-ssl://" + s.sasl, "--listener", "tls=ssl://" + s.tls,
		"--listener", "open=sasl-plaintext://" + s.open, "--tls-cert", files.Certificate, "--tls-key", files.Key,
		"--tls-client-ca", files.ClientCA, "--tls-client-auth", "request", "--users-file", write("users", users.String()),
		"--oauth-jwks", write("keys.json", string(issuer.KeySet())), "--oauth-issuer", issuer.Options().Issuer,
		"--oauth-audience", issuer.Options().Audience, "--authorizer", "acl", "--super-users", "User:ANONYMOUS"}, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.server = processtest.Start(t, spec)
	write("password", password+"\n")
	keystore := ""
	for _, name := range []string{own.Key, own.Certificate} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		keystore += string(text)
	}
	var settings strings.Builder
	for name, value := range map[string]string{"sasl": s.sasl, "tls": s.tls, "ca": files.ClientCA, "cert": own.Certificate,
		"key": own.Key, "keystore": write("client/keystore.pem", keystore), "user": "alice", "password": password,
		"token": write("token", s.token), "modes": strings.Join(all, " ")} {
		fmt.Fprintf(&settings, "%s=%s\n", name, value)
	}
	for mode, topic := range topicOf {
		fmt.Fprintf(&settings, "%s=%s\n", mode, topic)
	}
	s.settings = write("settings", settings.String())
	s.allow(t, spec.Kafka)
	return s
}

// allow makes the topics, each for the one principal that its way to log in comes to.
func (s *stage) allow(t testing.TB, plaintext string) {
	t.Helper()
	var err error
	if s.admin, err = kgo.NewClient(kgo.SeedBrokers(plaintext)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.admin.Close)
	admin := kadm.NewClient(s.admin)
	for topic, principal := range map[string]string{"passwords": "User:alice", "tokens": "User:tess",
		"certificates": "User:CN=carol"} {
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		for _, acls := range []*kadm.ACLBuilder{
			kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead, kadm.OpWrite),
			kadm.NewACLs().Groups("logins-").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpRead),
		} {
			if _, err := admin.CreateACLs(t.Context(), acls.Allow(principal).AllowHosts("*")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// run runs a program, and returns what it prints.
func run(t *testing.T, stdin string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr, cmd.Stdin = process.DiesWithParent(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v (make test-needs installs what it needs)\n%s", command[0], err, out)
	}
	return string(out)
}

// TestClientsLogIn: every client writes a record and reads it back, by each of its ways to log in,
// as the principal that the way comes to.
func TestClientsLogIn(t *testing.T) {
	s := startStage(t)
	const members, node = "../groups/members", "../kafkajs/node_modules"
	python := members + "/venv/bin/python"
	allowed := "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://" + filepath.Join(s.dir, "token")
	clients := map[string]struct {
		ways []string
		run  func(t *testing.T)
	}{
		"franz-go":     {all, s.franz},
		"sarama":       {all, s.sarama},
		"firn":         {all, s.firn},
		"kcat":         {[]string{plainWay, scram256, scram512, certificate}, s.kcat},
		"kafka-python": {all, func(t *testing.T) { run(t, "", python, "login.py", "kafka-python", s.settings) }},
		"aiokafka":     {all, func(t *testing.T) { run(t, "", python, "login.py", "aiokafka", s.settings) }},
		"confluent":    {all, func(t *testing.T) { run(t, "", python, "login.py", "confluent", s.settings) }},
		"kafkajs":      {all, func(t *testing.T) { run(t, "", "node", "login.js", node+"/kafkajs", s.settings) }},
		"java": {all, func(t *testing.T) {
			run(t, "", "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", allowed, "-cp", members+"/java/lib/*",
				"Login.java", s.settings)
		}},
	}
	want := map[string]string{}
	t.Run("clients", func(t *testing.T) {
		for name, c := range clients {
			for _, way := range c.ways {
				want[name+" "+way] = topicOf[way]
			}
			t.Run(name, func(t *testing.T) { t.Parallel(); c.run(t) })
		}
	})
	if got := s.written(t); !maps.Equal(got, want) {
		t.Errorf("the topics have %v, want %v", got, want)
	}
}

// written is which records there are, and in which topic.
func (s *stage) written(t *testing.T) map[string]string {
	t.Helper()
	ends, err := kadm.NewClient(s.admin).ListEndOffsets(t.Context(), "passwords", "tokens", "certificates")
	if err != nil {
		t.Fatal(err)
	}
	want, got := 0, map[string]string{}
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	s.admin.AddConsumeTopics("passwords", "tokens", "certificates")
	for n := 0; n < want; {
		fetches := s.admin.PollFetches(t.Context())
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			n++
			got[string(r.Value)] = r.Topic
		}
	}
	return got
}

// TestKafkasToolsLogIn: Apache Kafka's own command line, by SCRAM, token and certificate.
func TestKafkasToolsLogIn(t *testing.T) {
	if *kafkaJars == "" {
		return // make test-logins gives them
	}
	s := startStage(t)
	settings := map[string]string{}
	text, err := os.ReadFile(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		settings[name] = value
	}
	trust := "ssl.truststore.type=PEM\nssl.truststore.location=" + settings["ca"] + "\n"
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\\"`, "é", `\u00e9`).Replace(password)
	for way, config := range map[string]string{
		scram512: "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=org.apache.kafka.common." +
			`security.scram.ScramLoginModule required username="alice" password="` + quoted + "\";\n",
		oauthWay: "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=file://" +
			settings["token"] + "\n" +
			"sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n" +
			"sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n",
		certificate: "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location=" + settings["keystore"] + "\n",
	} {
		at := s.sasl
		if way == certificate {
			at = s.tls
		}
		file := filepath.Join(s.dir, way+".properties")
		if err := os.WriteFile(file, []byte(config+trust), 0o600); err != nil {
			t.Fatal(err)
		}
		tool := func(stdin, class string, args ...string) string {
			t.Helper()
			command := []string{"java", "-Xmx128m", "-XX:TieredStopAtLevel=1",
				"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://" + settings["token"], "-cp", *kafkaJars + "/*", class,
				"--bootstrap-server", at}
			return run(t, stdin, slices.Concat(command, args)...)
		}
		topic := topicOf[way]
		got := tool("", "org.apache.kafka.tools.TopicCommand", "--command-config", file, "--list")
		if !strings.Contains(got, topic) {
			t.Errorf("%s: kafka-topics.sh --list prints %s", way, got)
		}
		tool("tool "+way+"\n", "org.apache.kafka.tools.ConsoleProducer", "--command-config", file, "--topic", topic)
		got = tool("", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--command-config", file, "--topic", topic,
			"--from-beginning", "--max-messages", "1", "--timeout-ms", "60000", "--group", "logins-"+way)
		if !strings.Contains(got, "tool "+way) {
			t.Errorf("%s: kafka-console-consumer.sh prints %s", way, got)
		}
	}
}
