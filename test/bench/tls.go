package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/localstack"
)

// door is a way into a server: what clients need for it, beyond the address without TLS.
type door struct {
	name string
	opts []kgo.Opt
	warm bool // the server takes and gives records for a while before it is measured
}

// tls measures the peers that speak TLS, through a listener without it and through one with it.
func (b *bench) tls(ctx context.Context) error {
	at, err := localstack.FreeAddr()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.root, "tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files := tlsFiles{at, filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem"),
		filepath.Join(dir, "both.pem")}
	client, err := files.write()
	if err != nil {
		return err
	}
	var peers []peer
	for _, p := range b.peers {
		if p.secure != nil {
			peers = append(peers, p.secure(files))
		}
	}
	doors := []door{{"plaintext", nil, true}, {"ssl", []kgo.Opt{kgo.SeedBrokers(at), kgo.DialTLSConfig(client)}, true}}
	s := setting{"none, random", kgo.NoCompression(), randomValues()}
	samples := map[string][]sample{}
	for round := range b.rounds {
		for i := range len(peers) * len(doors) { // each after another one in each round
			p, d := peers[(i/len(doors)+round)%len(peers)], doors[(i+round)%len(doors)]
			one, err := b.sample(ctx, p, s, d)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, d.name, err)
			}
			samples[p.name+d.name] = append(samples[p.name+d.name], one)
			fmt.Fprintf(b.log, "TLS, round %d: %s, %s: %.0f records/s in, %.0f out, %.2f and %.2f CPU s/GiB\n", round+1, p.name,
				d.name, one.produced, one.consumed, one.produceCPU, one.consumeCPU)
		}
	}
	for _, p := range peers {
		for _, d := range doors {
			b.report.tls = append(b.report.tls, throughputRow{d.name, p.name, samples[p.name+d.name]})
		}
	}
	return nil
}

// tlsFiles are where a server speaks TLS, and its certificate and key in PEM: apart, and in one
// file.
type tlsFiles struct{ at, certificate, key, both string }

// onlyListeners is the command line of firn serve with two listeners in place of --kafka-addr.
func (f tlsFiles) onlyListeners(command []string) []string {
	short := slices.Index(command, "--kafka-addr")
	return slices.Concat(command[:short], command[short+2:], []string{"--listener", "plain=plaintext://{kafka}",
		"--listener", "tls=ssl://" + f.at, "--tls-cert", f.certificate, "--tls-key", f.key})
}

// properties are Apache Kafka's. Its cipher is the one that Go chooses, and costs less than the one
// that it would choose itself.
func (f tlsFiles) properties() string {
	return `listeners=PLAINTEXT://{kafka},SSL://` + f.at + `,CONTROLLER://{http}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=` + f.both + `
ssl.cipher.suites=TLS_AES_128_GCM_SHA256
`
}

// write makes the files, and returns what a client needs that trusts them.
func (f tlsFiles) write() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, text := range map[string][]byte{f.certificate: certificate, f.key: private,
		f.both: slices.Concat(private, certificate)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return &tls.Config{RootCAs: roots}, nil
}
