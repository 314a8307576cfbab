package login

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"firn.dev/access/reread"
)

// Files are where a server's certificate is, and what it asks of its clients.
type Files struct {
	Certificate string // PEM: the server's, then those between it and its authority
	Key         string // PEM
	ClientCA    string // PEM: the authorities of clients' certificates; empty: none
	ClientAuth  string // none, request or require; empty: none
}

// The choices of Files.ClientAuth, as Kafka's ssl.client.auth.
var clientAuths = map[string]tls.ClientAuthType{
	"": tls.NoClientCert, "none": tls.NoClientCert,
	"request": tls.VerifyClientCertIfGiven, "require": tls.RequireAndVerifyClientCert,
}

// Certificates are a server's TLS settings. They are read again when their files change: the next
// handshake uses the new ones, and connections that are open go on.
type Certificates struct {
	files    Files
	settings *reread.Files[*tls.Config]
}

// LoadCertificates reads the files.
func LoadCertificates(files Files, logger *slog.Logger) (*Certificates, error) {
	settings, err := reread.Load(files.load, reread.TellCertificate, logger, "TLS files",
		files.Certificate, files.Key, files.ClientCA)
	return &Certificates{files, settings}, err
}

// Config is for tls.Server and http.Server.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.settings.Current(), nil }}
}

// Peers is for connections to other nodes of the cluster. Their certificates have to come from an
// authority that this machine trusts, or from those that this node's own files name.
func (c *Certificates) Peers() *tls.Config {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if c != nil {
		for _, name := range []string{c.files.Certificate, c.files.ClientCA} {
			if pem, err := os.ReadFile(name); err == nil {
				roots.AppendCertsFromPEM(pem)
			}
		}
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if c != nil { // where nodes ask for certificates, this one shows its own
		config.Certificates = c.settings.Current().Certificates
	}
	return config
}

// load reads the files and checks that they fit together.
func (f Files) load() (*tls.Config, error) {
	if f.Certificate == "" || f.Key == "" {
		return nil, errors.New("TLS needs a certificate and its key: name both files")
	}
	auth, known := clientAuths[f.ClientAuth]
	if !known {
		return nil, fmt.Errorf("client authentication %q is not one of none, request, require", f.ClientAuth)
	}
	// Errors of crypto/tls name neither the files nor what is in them.
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", f.Certificate, f.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"}, ClientAuth: auth}
	if auth == tls.NoClientCert {
		return config, nil
	}
	if f.ClientCA == "" {
		return nil, fmt.Errorf("client authentication %q needs a file with the authorities of clients' certificates",
			f.ClientAuth)
	}
	if config.ClientCAs, err = reread.Authorities(f.ClientCA); err != nil {
		return nil, fmt.Errorf("authorities of clients' certificates: %w", err)
	}
	// A session that is resumed would outlive the authority that its certificate was checked with.
	config.SessionTicketsDisabled = true
	return config, nil
}
