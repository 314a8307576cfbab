package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"
)

// Bounds of top.
const (
	shortestInterval = 100 * time.Millisecond
	longestInterval  = time.Hour
	mostRows         = 10_000
)

// nodesOfTop are the nodes that are looked at.
type nodesOfTop struct {
	urls   []string
	login  clientLogin
	client *http.Client
}

// addURLFlag adds the flag that says where the nodes' HTTP is.
func addURLFlag(f *pflag.FlagSet, urls *[]string) {
	f.StringSliceVar(urls, "http-url", []string{"http://127.0.0.1:8080"}, "`URL` of the HTTP of one or more nodes, "+
		"comma-separated; they name the others")
}

type topOptions struct {
	nodesOfTop
	interval time.Duration
	rows     int
	once     bool
	form     outputForm
}

func newTop(s streams) *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch throughput, latency, lag, requests and dollars of a cluster",
		Long: "Watch throughput, latency, lag, requests and dollars of a cluster, on a screen that is drawn anew every\n" +
			"--interval, until an interrupt. It asks all nodes for /metrics, by HTTP. With --once it prints one screen, and\n" +
			"with --output json or yaml one document every --interval.\n\n" +
			"Dollars are for the bucket's requests, at the list prices of S3 Standard in us-east-1.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.interval < shortestInterval || o.interval > longestInterval:
				return usagef("--interval %s is not between %s and %s", o.interval, shortestInterval, longestInterval)
			case o.rows < 1 || o.rows > mostRows:
				return usagef("--rows %d is not between 1 and %d", o.rows, mostRows)
			case !o.once && o.form == asTable && !outputIsTerminal(s):
				return usagef("standard output is no terminal: give --once, or --output json")
			}
			if err := o.nodesOfTop.prepare(); err != nil {
				return err
			}
			return o.run(cmd.Context(), s)
		},
	}
	cmd.Flags().String(profileFlag, "", "`name` of the profile that says what the flags of the connection do not; none "+
		"for none (default: the one in use)")
	completeFlag(cmd, profileFlag, completeProfiles)
	addURLFlag(cmd.Flags(), &o.urls)
	o.login.addFlags(cmd.Flags())
	cmd.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "how often it looks; rates are over this time")
	cmd.Flags().IntVar(&o.rows, "rows", 10, "how many topics and groups are shown: those with most to do")
	cmd.Flags().BoolVar(&o.once, "once", false, "look twice, print what changed, and end")
	o.form.addFlag(cmd)
	return cmd
}

// prepare checks where the nodes are, and makes a client.
func (n *nodesOfTop) prepare() error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.login.ca != "" || n.login.certificate != "" {
		var err error
		if config, err = n.login.tlsConfig(); err != nil {
			return err
		}
	}
	for i, text := range n.urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usagef("--http-url %q is no URL like http://127.0.0.1:8080", text)
		}
		n.urls[i] = u.Scheme + "://" + u.Host
	}
	if n.login.user != "" {
		if _, err := n.login.password(); err != nil {
			return err
		}
	}
	n.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// authorize adds to a request who asks, if that is known.
func (n *nodesOfTop) authorize(r *http.Request) error {
	switch {
	case n.login.user != "":
		password, err := n.login.password()
		if err != nil {
			return err
		}
		r.SetBasicAuth(n.login.user, password)
	case n.login.tokenFile != "":
		token, err := os.ReadFile(n.login.tokenFile)
		if err != nil {
			return fmt.Errorf("--login-token-file: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return nil
}

// trusts says whether another node that a node names gets the login as well. The scheme and the
// authorities are the same for both, but what goes to this machine without TLS does not leave it.
func trusts(node, other string) bool {
	isLoopback := func(text string) bool {
		u, err := url.Parse(text)
		return err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
	}
	return strings.HasPrefix(node, "https:") || !isLoopback(node) || isLoopback(other)
}

// look asks all nodes. That none answers is an error.
func (n *nodesOfTop) look(ctx context.Context) (*moment, error) {
	m := &moment{scrapes: map[string]*scrape{}, errors: map[string]error{}}
	var wrong error
	var first string
	for _, first = range n.urls {
		if m.ids, wrong = n.peers(ctx, first); wrong == nil {
			break
		}
	}
	if wrong != nil {
		return nil, fmt.Errorf("no node answers at %s (%w): name one with --http-url", strings.Join(n.urls, ","),
			reason(wrong))
	}
	var all errgroup.Group
	all.SetLimit(scrapesAtOnce)
	var left atomic.Int64
	left.Store(maxLookBytes)
	var mu sync.Mutex
	for url := range m.ids {
		all.Go(func() error {
			s, err := n.scrape(ctx, url, trusts(first, url), &left)
			mu.Lock()
			defer mu.Unlock()
			m.scrapes[url], m.errors[url] = s, err
			if err != nil {
				delete(m.scrapes, url)
			}
			return nil
		})
	}
	_ = all.Wait() // each node has its error
	m.at = time.Now()
	return m, ctx.Err()
}

// run looks again and again, and shows what changed.
func (o *topOptions) run(ctx context.Context, s streams) error {
	before, err := o.look(ctx)
	if err != nil {
		return err
	}
	screen := !o.once && o.form == asTable
	if screen { // of its own, without a cursor
		fmt.Fprint(s.Out, "\x1b[?1049h\x1b[?25l")
		defer fmt.Fprint(s.Out, "\x1b[?25h\x1b[?1049l")
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if o.once {
				return errInterrupted
			}
			return nil
		}
		now, err := o.look(ctx)
		switch {
		case ctx.Err() != nil && !o.once:
			return nil
		case err != nil && !screen:
			return err
		case err != nil:
			err = draw(s, err.Error())
		case screen:
			err = o.draw(s, now.view(before, o.rows))
		default:
			err = o.form.print(s.Out, now.view(before, o.rows))
		}
		if err != nil || o.once {
			return err
		}
		if now != nil {
			before = now
		}
	}
}

// draw fills the screen with a view.
func (o *topOptions) draw(s streams, v topView) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "firn top  %s\n\n", v.Time.Local().Format(time.DateTime))
	if err := asTable.print(&text, v); err != nil {
		return err
	}
	return draw(s, text.String())
}

// draw fills the screen with what fits of a text.
func draw(s streams, text string) error {
	width, height := 80, 24
	if out, ok := s.Out.(output); ok {
		if f, ok := out.Writer.(*os.File); ok {
			if w, h, err := term.GetSize(int(f.Fd())); err == nil {
				width, height = w, h
			}
		}
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines[:min(len(lines), max(height-1, 1))] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err := fmt.Fprint(s.Out, b.String())
	return err
}
