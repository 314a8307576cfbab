package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"firn.dev/access/reread"
)

// TLSFiles are what this end of encrypted connections trusts and shows: files in PEM. They are read
// again when they change: connections that are made afterwards use the new ones.
type TLSFiles struct {
	CA          string // the authorities of servers' certificates; empty: those of this machine
	Certificate string // for servers with tls-auth-clients; empty: none
	Key         string // of Certificate
}

// onto is a configuration with what the files say.
func (f TLSFiles) onto(config *tls.Config) (*tls.Config, error) {
	config = config.Clone()
	var err error
	if f.CA != "" {
		if config.RootCAs, err = reread.Authorities(f.CA); err != nil {
			return nil, fmt.Errorf("redis: ca: %w", err)
		}
	}
	if (f.Certificate == "") != (f.Key == "") {
		return nil, errors.New("redis: cert and key go together")
	}
	if f.Certificate == "" {
		return config, nil
	}
	// Errors of crypto/tls name neither the files nor what is in them.
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("redis: cert %s with key %s: %w", f.Certificate, f.Key, err)
	}
	// Shown whatever authorities a server names: it says better than this end why it wants another.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}

// dialer connects to an address.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (o Options) dialer() (dialer, error) {
	plain := &net.Dialer{Timeout: o.DialTimeout}
	if o.TLS == nil {
		return plain.DialContext, nil
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	f := o.TLSFiles
	tell := func(*tls.Config) []any { return []any{"ca", f.CA, "cert", f.Certificate} }
	config, err := reread.Load(func() (*tls.Config, error) { return f.onto(o.TLS) }, tell, logger, "TLS files for Redis",
		f.CA, f.Certificate, f.Key)
	if err != nil {
		return nil, err
	}
	config.LookAfter = 0 // connections are few
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		encrypted := &tls.Dialer{NetDialer: plain, Config: config.Current()}
		conn, err := encrypted.DialContext(ctx, network, addr)
		if timeout := (net.Error)(nil); errors.As(err, &timeout) && timeout.Timeout() {
			err = fmt.Errorf("no TLS within %s: if this port speaks none, give redis://: %w", o.DialTimeout, err)
		}
		return conn, err
	}, nil
}

// adviceOnTLS says what to do about errors of TLS; empty for others.
func adviceOnTLS(err error) string {
	var plain tls.RecordHeaderError
	var theirs *tls.CertificateVerificationError
	var alert *net.OpError
	switch {
	case errors.As(err, &plain):
		return " (this port speaks no TLS: give redis://, or the port of TLS)"
	case errors.As(err, &theirs):
		return " (its certificate is not trusted: see ca and server-name)"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return " (it refuses this end of TLS: give cert and key, of an authority that it trusts)"
	}
	return ""
}
