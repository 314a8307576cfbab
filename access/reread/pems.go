package reread

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Authorities are the certificates of a file in PEM.
func Authorities(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", name)
	}
	return pool, nil
}

// TellCertificate says which certificate TLS settings show, for Load.
func TellCertificate(config *tls.Config) []any {
	if len(config.Certificates) == 0 {
		return nil
	}
	leaf := config.Certificates[0].Leaf
	return []any{"subject", leaf.Subject.String(), "until", leaf.NotAfter}
}
