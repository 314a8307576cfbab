package login_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
)

// shown is the name of the certificate that a server with this configuration shows.
func shown(t *testing.T, config *tls.Config, client *tls.Config) (name string, state tls.ConnectionState) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	states := make(chan tls.ConnectionState, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_ = nc.(*tls.Conn).Handshake()
		states <- nc.(*tls.Conn).ConnectionState()
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	state = <-states
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, state
}

func TestCertificatesAreReadAgain(t *testing.T) {
	authority, dir := logintest.NewAuthority(t), t.TempDir()
	files := authority.Write(dir, authority.Issue(pkix.Name{CommonName: "first"}))
	client := authority.Client()
	var log bytes.Buffer
	c, err := login.LoadCertificates(files, slog.New(slog.NewTextHandler(&log, nil)))
	c.LookEachTime()
	if err != nil {
		t.Fatal(err)
	}
	want := func(name, why string) {
		t.Helper()
		if got, _ := shown(t, c.Config(), client); got != name {
			t.Errorf("%s: the server shows %q, want %q", why, got, name)
		}
	}
	want("first", "at first")
	authority.Write(dir, authority.Issue(pkix.Name{CommonName: "second, and longer"}))
	want("second, and longer", "after both files changed")
	key, _ := os.ReadFile(files.Key)
	if err := os.WriteFile(files.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("second, and longer", "with a key that cannot be read")
	if !strings.Contains(log.String(), "old ones stay in use") {
		t.Errorf("the log does not say that the new files are no good: %s", &log)
	}
	if strings.Contains(log.String(), string(key)) || strings.Contains(log.String(), "no key") {
		t.Error("the log has what is in the file of the key")
	}
	authority.Write(dir, authority.Issue(pkix.Name{CommonName: "third"}))
	want("third", "after it was mended")
}

func TestWhatIsWrongWithFiles(t *testing.T) {
	authority := logintest.NewAuthority(t)
	good := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "a"}))
	other := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "b"}))
	for want, spoil := range map[string]func(*login.Files){
		"name both files":       func(f *login.Files) { f.Key = "" },
		"private key does not":  func(f *login.Files) { f.Key = other.Key },
		"no such file":          func(f *login.Files) { f.Certificate += ".gone" },
		"needs a file with the": func(f *login.Files) { f.ClientAuth, f.ClientCA = "require", "" },
		"no certificate in PEM": func(f *login.Files) { f.ClientAuth, f.ClientCA = "require", f.Key },
		"none, request":         func(f *login.Files) { f.ClientAuth = "maybe" },
	} {
		files := good
		spoil(&files)
		_, err := login.LoadCertificates(files, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not contain %q", err, want)
		}
	}
}

// subjects are names as Java's X500Principal.getName() writes them: Kafka's ACLs have those.
var subjects = []struct {
	name pkix.Name
	want string
}{
	{pkix.Name{CommonName: "a", Organization: []string{"o"}, OrganizationalUnit: []string{"u"}, Country: []string{"DE"}},
		"CN=a,OU=u,O=o,C=DE"},
	{pkix.Name{CommonName: "a, b=c+d", Organization: []string{`x "y" <z>;\#`}}, `CN=a\, b\=c\+d,O=x \"y\" \<z\>\;\\\#`},
	{pkix.Name{CommonName: " two  spaces ", Organization: []string{"Zoë 🐦"}}, `CN=\ two  spaces\ ,O=Zoë 🐦`},
	{pkix.Name{CommonName: "m", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "m@example.com"},
		{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "uid"}}},
		"UID=uid,1.2.840.113549.1.9.1=#0c0d6d406578616d706c652e636f6d,CN=m"},
	{pkix.Name{Organization: []string{"one", "two"}, Locality: []string{"l"}, Province: []string{"p"},
		StreetAddress: []string{"s"}}, "O=one+O=two,STREET=s,L=l,ST=p"},
}

func TestPrincipalOfTLS(t *testing.T) {
	authority := logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	files.ClientAuth = "request"
	c, err := login.LoadCertificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		_, state := shown(t, c.Config(), authority.Client(authority.Issue(s.name)))
		if got, err := login.PrincipalRules(nil).Of(state); err != nil || got.String() != "User:"+s.want {
			t.Errorf("the principal is\n%s, %v, want\n%s", got, err, "User:"+s.want)
		}
	}
	_, state := shown(t, c.Config(), authority.Client())
	for _, text := range []string{"", "RULE:CN=(.*)/$1/"} {
		rules, err := login.ParsePrincipalRules(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rules.Of(state); err != nil || got != access.Anonymous {
			t.Errorf("a client without a certificate is %v, %v", got, err)
		}
	}
}

// Rules are Kafka's: the first that matches all of the name counts. These are the examples of
// KIP-371, and of Kafka's own tests.
func TestPrincipalRules(t *testing.T) {
	const kafkas = `RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, ` +
		`RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,` +
		`RULE:^cn=(.*?),ou=(.*?),dc=(.*?),dc=(.*?)$/$1@$2/U,RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U`
	for _, c := range []struct{ rules, name, want string }{
		{kafkas + ",DEFAULT", "CN=Duke,OU=ServiceUsers,O=Org,C=US", "Duke"},
		{kafkas + ",DEFAULT", "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US", "duke@sme"},
		{kafkas + ",DEFAULT", "OU=JavaSoft,CN=Duke,O=Sun Microsystems", "DUKE"},
		{kafkas + ",DEFAULT", "OU=JavaSoft,O=Sun Microsystems", "OU=JavaSoft,O=Sun Microsystems"},
		{kafkas, "OU=JavaSoft,O=Sun Microsystems", ""},
		{"DEFAULT", "CN=a", "CN=a"},
		{`RULE:^CN=(.*?)\/(.*?),.*$/$2\/$1\$1$/`, "CN=a/b,O=o", "b/a$1$"},
		{"RULE:CN=a/b/", "CN=ab", ""},
		{"RULE:^CN=(.*?)$//", "CN=a", ""},
	} {
		rules, err := login.ParsePrincipalRules(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		got, err := rules.OfName(c.name)
		if c.want == "" != errors.Is(err, login.ErrFailed) || err == nil && got.String() != "User:"+c.want {
			t.Errorf("%s of %s is %v, %v, want %q", c.rules, c.name, got, err, c.want)
		}
	}
	for _, wrong := range []string{"RULE", "RULE:a/b", "RULE:a/b/X", "RULE:(/b/", "DEFAULT RULE:a/b/", "RULE:(?=a)/b/",
		",", "default"} {
		if rules, err := login.ParsePrincipalRules(wrong); err == nil {
			t.Errorf("%q is taken for %d rules", wrong, len(rules))
		}
	}
}
