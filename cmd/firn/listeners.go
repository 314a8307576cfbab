package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/kafka"
)

// listenerFlag is one --listener: NAME=PROTOCOL://host:port?advertise=host:port.
type listenerFlag struct {
	flag      string // that it came from
	name      string
	protocol  string
	bind      string // host:port
	advertise string // host:port, or empty: bind
}

// protocols are Kafka's security protocols.
var protocols = map[string]struct{ tls, sasl bool }{
	"plaintext": {}, "ssl": {tls: true}, "sasl-plaintext": {sasl: true}, "sasl-ssl": {tls: true, sasl: true},
}

func (l listenerFlag) secure() bool { return protocols[l.protocol].tls }

// asksForLogin says whether clients have to log in.
func (l listenerFlag) asksForLogin() bool { return protocols[l.protocol].sasl }

var listenerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// parseListener reads one --listener.
func parseListener(text string) (l listenerFlag, err error) {
	name, address, _ := strings.Cut(text, "=")
	if !listenerName.MatchString(name) || address == "" {
		return l, fmt.Errorf("%q is not NAME=PROTOCOL://host:port", text)
	}
	u, err := url.Parse(address)
	if err != nil || u.Path != "" || u.User != nil || u.Fragment != "" {
		return l, fmt.Errorf("%q is not NAME=PROTOCOL://host:port", text)
	}
	if _, known := protocols[u.Scheme]; !known {
		return l, fmt.Errorf("%s: protocol %q is not one of %s", name, u.Scheme, strings.Join(protocolNames(), ", "))
	}
	l = listenerFlag{flag: "listener", name: name, protocol: u.Scheme, bind: u.Host,
		advertise: u.Query().Get("advertise")}
	for key := range u.Query() {
		if key != "advertise" {
			return l, fmt.Errorf("%s: unknown setting %q; there is advertise", name, key)
		}
	}
	return l, l.check()
}

func protocolNames() []string {
	var names []string
	for name := range protocols {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// check says what is wrong with the addresses.
func (l listenerFlag) check() error {
	if err := checkAddress(l.bind, 0); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	if l.advertise != "" {
		if err := checkAdvertised(l.advertise); err != nil {
			return fmt.Errorf("%s: advertise %w", l.name, err)
		}
	} else if host, _, _ := net.SplitHostPort(l.bind); everywhere(host) {
		return fmt.Errorf("%s: %s listens on every interface; name the host:port that clients connect to: "+
			"?advertise=host:port", l.name, l.bind)
	}
	return nil
}

// kafkaListeners is what --listener says, or else --kafka-addr and --advertise. Each was checked.
func (o *serveOptions) kafkaListeners() []listenerFlag {
	if len(o.listeners) == 0 {
		return []listenerFlag{{flag: "kafka-addr", name: kafka.DefaultListener, protocol: "plaintext",
			bind: o.kafkaAddr, advertise: o.advertise}}
	}
	var all []listenerFlag
	for _, text := range o.listeners {
		if l, err := parseListener(text); err == nil {
			all = append(all, l)
		}
	}
	return all
}

// checkListeners checks all flags that are about where Kafka clients come in.
func (o *serveOptions) checkListeners(check func(flag string, err error)) {
	names, needed := map[string]bool{}, o.https
	for _, text := range o.listeners {
		l, err := parseListener(text)
		check("listener", err)
		if err == nil && names[l.name] {
			check("listener", fmt.Errorf("%s is there twice", l.name))
		}
		names[l.name] = true
		needed = needed || err == nil && l.secure()
	}
	if len(o.listeners) > 0 {
		for _, short := range []string{"kafka-addr", "advertise"} {
			// Variables may be there already, in an image, say: they count for nothing.
			if f := o.flags.Lookup(short); f.Changed && f.Annotations[fromVariable] == nil {
				check(short, errors.New("is the short form of one listener: leave it away beside --listener"))
			}
		}
	} else {
		check("kafka-addr", checkAddress(o.kafkaAddr, 0))
		if o.advertise != "" {
			check("advertise", checkAdvertised(o.advertise))
		} else if host, _, err := net.SplitHostPort(o.kafkaAddr); err == nil && everywhere(host) {
			check("advertise", fmt.Errorf("is missing: --kafka-addr %s listens on every interface; name the host:port "+
				"that clients connect to", o.kafkaAddr))
		}
	}
	if needed && (o.tls.Certificate == "" || o.tls.Key == "") {
		check("tls-cert", errors.New("and --tls-key are missing: TLS needs them"))
	}
	check("max-reauth", within(o.maxReauth, 0, 365*24*time.Hour))
	_, err := login.ParsePrincipalRules(o.principalRules)
	check("tls-principal-rules", err)
	check("tls-client-auth", oneOf(o.tls.ClientAuth, "none", "request", "require"))
}

// door is a listener that is bound.
type door struct {
	listenerFlag
	net.Listener
}

// openDoors binds all listeners.
func (o *serveOptions) openDoors(ctx context.Context) (doors []door, err error) {
	for _, l := range o.kafkaListeners() {
		bound, err := listen(ctx, l.flag, l.bind)
		if err != nil {
			closeDoors(doors)
			return nil, err
		}
		doors = append(doors, door{l, bound})
	}
	return doors, nil
}

func closeDoors(doors []door) {
	for _, d := range doors {
		d.Close()
	}
}

// advertised is what clients that come through this door are told.
func (d door) advertised() (coordinator.Listener, error) {
	addr := d.advertise
	if addr == "" {
		named, _, _ := net.SplitHostPort(d.bind)
		var err error
		if addr, err = withPortOf(named, d.Addr()); err != nil {
			return coordinator.Listener{}, err
		}
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return coordinator.Listener{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return coordinator.Listener{Name: d.name, Host: host, Port: int32(port)}, err
}

// certificates are those of all listeners with TLS; nil if none needs them.
func (o *serveOptions) certificates(logger *slog.Logger) (*login.Certificates, error) {
	needed := o.https || slices.ContainsFunc(o.kafkaListeners(), listenerFlag.secure)
	if !needed {
		return nil, nil
	}
	c, err := login.LoadCertificates(o.tls, logger)
	if err != nil {
		return nil, usagef("TLS (--tls-cert, --tls-key, --tls-client-ca, --tls-client-auth): %w", err)
	}
	return c, nil
}

// principals are what the certificates of clients come to. The rules were checked.
func (o *serveOptions) principals() login.PrincipalRules {
	rules, _ := login.ParsePrincipalRules(o.principalRules)
	return rules
}

// listenersOf are the doors as the Kafka server serves them.
func listenersOf(doors []door, certificates *login.Certificates) []kafka.Listener {
	var all []kafka.Listener
	for _, d := range doors {
		l := kafka.Listener{Listener: d.Listener, Name: d.name, SASL: d.asksForLogin()}
		if d.secure() {
			l.TLS = certificates.Config()
		}
		all = append(all, l)
	}
	return all
}

// httpTLS is for --https; nil without it.
func (o *serveOptions) httpTLS(certificates *login.Certificates) *tls.Config {
	if !o.https {
		return nil
	}
	return certificates.Config()
}
