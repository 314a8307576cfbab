package logins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"firn.dev/access/login/logintest"
)

var long = flag.Bool("logins.long", false, "attack for longer, and print what an honest client notices")

// attack is one that goes on until ctx ends.
type attack struct {
	name string
	run  func(ctx context.Context)
}

// strangerLimitMiB is how much the server may take under attack.
const strangerLimitMiB = 1024

// TestStrangersKeepNobodyOut: while strangers leave handshakes half open, guess passwords and send
// messages that are too long, every record of an honest client is written, and another honest
// client logs in. With -logins.long it prints how long a record takes.
func TestStrangersKeepNobodyOut(t *testing.T) {
	s := startStage(t)
	halfOpen, rate, records := 1200, 100, 50
	if *long {
		halfOpen, rate, records = 5000, 1000, 2000
	}
	guesses := &guesser{s: s, rate: rate}
	var alone time.Duration
	for _, a := range []attack{
		{"nobody", func(ctx context.Context) { <-ctx.Done() }},
		{fmt.Sprintf("%d half-open handshakes", halfOpen), func(ctx context.Context) { s.halfOpen(ctx, t, halfOpen) }},
		{fmt.Sprintf("%d wrong logins a second", rate), guesses.run},
		{"messages that are too long", s.tooLong},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { a.run(ctx) })
		took := s.honest(t, records)
		cancel()
		running.Wait()
		usage, err := s.server.Usage()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(took)
		median := took[len(took)/2]
		if alone == 0 {
			alone = median
		}
		t.Logf("%-32s %d records, one after the other: median %v, %.1f times that of nobody, 99th of 100 %v; %d MiB at most",
			a.name, len(took), median, median.Seconds()/alone.Seconds(), took[len(took)*99/100], usage.PeakBytes>>20)
		if usage.PeakBytes>>20 > strangerLimitMiB {
			t.Errorf("%s: the server takes %d MiB", a.name, usage.PeakBytes>>20)
		}
	}
	if in := guesses.in.Load(); in > 0 || guesses.refused.Load() == 0 {
		t.Errorf("%d guesses were refused, %d logged in", guesses.refused.Load(), in)
	}
	of := func(n *atomic.Int64) float64 { return float64(n.Load()) / guesses.took.Seconds() }
	t.Logf("of %.0f wrong logins a second for %v, %.0f a second were told so, and %.0f cut off", of(&guesses.offered),
		guesses.took.Round(time.Second), of(&guesses.refused), of(&guesses.cut))
}

// honest writes records one after the other, and says how long each took. Ten clients log in for
// that.
func (s *stage) honest(t *testing.T, records int) (took []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for range 10 {
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.sasl), kgo.DialTLSConfig(s.client), kgo.DefaultProduceTopic("passwords"),
			kgo.ProducerLinger(0), kgo.SASL(scram.Auth{User: "alice", Pass: password}.AsSha512Mechanism()))
		if err != nil {
			t.Fatal(err)
		}
		for range records / 10 {
			began := time.Now()
			if err := cl.ProduceSync(ctx, kgo.StringRecord("honest")).FirstErr(); err != nil {
				t.Errorf("an honest client: %v", err)
			}
			took = append(took, time.Since(began))
		}
		cl.Close()
	}
	return took
}

// dial connects as one of many addresses, where this machine has them.
func dial(ctx context.Context, to string, as int) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+as%200))}
	c, err := (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp", to)
	if err != nil {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", to)
	}
	return c, err
}

// halfOpen begins TLS handshakes and does not go on.
func (s *stage) halfOpen(ctx context.Context, t *testing.T, n int) {
	var open []net.Conn
	for i := 0; i < n && ctx.Err() == nil; i++ {
		c, err := dial(ctx, s.sasl, i)
		if err != nil {
			continue // the server has as many as it takes
		}
		_, _ = c.Write([]byte{22, 3, 1, 1}) // a ClientHello begins so
		open = append(open, c)
	}
	if len(open) == 0 {
		t.Error("no handshake was begun")
	}
	<-ctx.Done()
	for _, c := range open {
		c.Close()
	}
}

// guesser tries passwords, so many a second, from many addresses.
type guesser struct {
	s    *stage
	rate int

	offered, refused, cut, in atomic.Int64
	took                      time.Duration
}

func (g *guesser) run(ctx context.Context) {
	began := time.Now()
	var running sync.WaitGroup
	defer func() {
		g.took = time.Since(began)
		running.Wait()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	n := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C: // late ones are made up for
			due := int(time.Since(began).Seconds() * float64(g.rate))
			for i := n; i < due; i++ {
				running.Go(func() { g.guess(ctx, i) })
			}
			g.offered.Add(int64(due - n))
			n = due
		}
	}
}

// guess tries one password: of a user that exists or one that does not, by PLAIN, which costs the
// server much, or by SCRAM. Every tenth is over TLS: a handshake costs the one who guesses more
// than the server.
func (g *guesser) guess(ctx context.Context, n int) {
	to := g.s.open
	if n%10 == 0 {
		to = g.s.sasl
	}
	c, err := dial(ctx, to, n)
	if err != nil {
		g.cut.Add(1)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if n%10 == 0 {
		c = tls.Client(c, g.s.client)
	}
	user := []string{"alice", "nobody"}[n/2%2]
	var code int16
	if n%2 == 0 {
		code, _, err = authenticate(c, plainWay, fmt.Appendf(nil, "\x00%s\x00guess %d", user, n))
	} else {
		code, err = wrongProof(c, user)
	}
	switch {
	case err != nil:
		g.cut.Add(1)
	case code == 0:
		g.in.Add(1)
	default:
		g.refused.Add(1)
	}
}

// wrongProof goes through SCRAM and proves nothing.
func wrongProof(c net.Conn, user string) (code int16, err error) {
	code, challenge, err := authenticate(c, scram512, []byte("n,,n="+user+",r=guess"))
	if err != nil || code != 0 {
		return code, err
	}
	nonce, _, _ := strings.Cut(string(challenge), ",")
	code, _, err = sendMessage(c, []byte("c=biws,"+nonce+",p="+base64.StdEncoding.EncodeToString(make([]byte, 64))))
	return code, err
}

// authenticate chooses a mechanism and sends its first message.
func authenticate(c net.Conn, mechanism string, message []byte) (code int16, answer []byte, err error) {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, mechanism
	chosen := kmsg.NewPtrSASLHandshakeResponse()
	chosen.Version = 1
	if err := exchange(c, handshake, chosen); err != nil || chosen.ErrorCode != 0 {
		return chosen.ErrorCode, nil, err
	}
	return sendMessage(c, message)
}

// sendMessage sends a message of a mechanism, and returns what the answer says.
func sendMessage(c net.Conn, message []byte) (code int16, answer []byte, err error) {
	login := kmsg.NewPtrSASLAuthenticateRequest()
	login.SASLAuthBytes = message
	result := kmsg.NewPtrSASLAuthenticateResponse()
	err = exchange(c, login, result)
	return result.ErrorCode, result.SASLAuthBytes, err
}

// exchange sends a request of a version without tagged fields, and reads the answer.
func exchange(c net.Conn, req kmsg.Request, resp kmsg.Response) error {
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > 1<<20 {
		return fmt.Errorf("an answer of %d bytes", size)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	return resp.ReadFrom(body)
}

// tooLong announces messages that are too long, and sends some.
func (s *stage) tooLong(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		c, err := dial(ctx, s.open, n)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		switch n % 3 {
		case 0: // before anything else
			_, _ = c.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0, 17, 0, 1})
		case 1: // as a message of SCRAM with Kafka's headers
			_, _, _ = authenticate(c, scram512, make([]byte, 60<<10))
		case 2: // and without them
			handshake := kmsg.NewPtrSASLHandshakeRequest()
			handshake.Mechanism = scram256
			_ = exchange(c, handshake, kmsg.NewPtrSASLHandshakeResponse())
			_, _ = c.Write([]byte{0xff, 0xff, 0xff, 0xff})
		}
		_, _ = io.Copy(io.Discard, c) // until the server closes it
		stop()
		c.Close()
	}
}

// TestForgeriesAreRefused: tokens without a signature, with another algorithm's, of another key,
// and old ones; and users whose passwords would cost years to check.
func TestForgeriesAreRefused(t *testing.T) {
	s := startStage(t)
	for name, token := range s.forged(t) {
		if err := s.logIn(t, token); err == nil {
			t.Errorf("%s: the token is taken", name)
		}
	}
	salted := make([]byte, 64)
	results, err := kadm.NewClient(s.admin).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "mallory",
		Mechanism: kadm.ScramSha512, Iterations: 1<<31 - 1, Salt: salted[:16], SaltedPassword: salted}})
	if err != nil || results.Ok() {
		t.Errorf("two thousand million iterations: %+v, %v", results, err)
	}
	if err := s.logIn(t, s.token); err != nil {
		t.Errorf("an honest client: %v", err)
	}
}

// logIn logs in with a token.
func (s *stage) logIn(t *testing.T, token string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.sasl), kgo.DialTLSConfig(s.client),
		kgo.SASL(oauth.Auth{Token: token}.AsMechanism()))
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.Ping(t.Context())
}

// forged are tokens that prove nothing.
func (s *stage) forged(t *testing.T) map[string]string {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(s.issuer.Key("RS256"))
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(s.token, ".")
	claims, old := s.issuer.Claims("tess"), s.issuer.Claims("tess")
	old["exp"] = time.Now().Add(-time.Hour).Unix()
	return map[string]string{
		"alg none":             part(`{"alg":"none"}`) + "." + good[1] + ".",
		"the key as a secret":  logintest.SignWith(t, "HS256", "RS256", public, claims),
		"another algorithm":    part(`{"alg":"RS256","kid":"ES256"}`) + "." + good[1] + "." + good[2],
		"another issuer's key": logintest.SignWith(t, "EdDSA", "EdDSA", logintest.NewSigner(t), claims),
		"an expired one":       s.issuer.Sign("ES256", "ES256", old),
		"a long one":           s.token + strings.Repeat("A", 60<<10),
	}
}

func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
