package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds how long firn health waits for an answer.
const healthTimeout = 2 * time.Second

// newHealth returns the command that container images check themselves with: they have no curl.
func newHealth(s streams) *cobra.Command {
	var addr, adminAddr string
	var https bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the node on this machine whether it is ready; exit status 0 or 1",
		Long: "Ask the node on this machine whether it is ready for work. Health checks of containers run this command,\n" +
			"so it takes the address as serve does: from --admin-addr or FIRN_ADMIN_ADDR, where it waits for no client,\n" +
			"or else from --http-addr or FIRN_HTTP_ADDR, with --https or FIRN_HTTPS.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flag, asked := "admin-addr", adminAddr
			if asked == noHTTP {
				flag, asked = "http-addr", addr
			}
			if asked == noHTTP {
				return usagef("--http-addr is %s, and so is --admin-addr: a node that serves no HTTP cannot be asked", noHTTP)
			}
			if err := checkAddress(asked, 1); err != nil {
				return usagef("--%s %w", flag, err)
			}
			return askReady(cmd.Context(), s, flag, asked, https && flag == "http-addr")
		},
	}
	cmd.Flags().StringVar(&adminAddr, "admin-addr", noHTTP, "`host:port` on which the node serves probes alone")
	cmd.Flags().StringVar(&addr, "http-addr", "127.0.0.1:8080", "`host:port` on which the node serves HTTP")
	cmd.Flags().BoolVar(&https, "https", false, "the node serves HTTPS there")
	return cmd
}

// askReady fails unless the node at addr says that it is ready.
func askReady(ctx context.Context, s streams, flag, addr string, https bool) error {
	host, port, _ := net.SplitHostPort(addr)
	if everywhere(host) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, webURL(https, addr)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := strangerClient.Do(request)
	if err != nil {
		return fmt.Errorf("no server answers at %s: %w; start one with 'firn serve', or name its address with --%s",
			addr, err, flag)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what it says beside its status helps, and is not needed
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	_, err = fmt.Fprintln(s.Out, "ready")
	return err
}

// strangerClient asks nodes what they tell everybody. It tells no secret, so it needs no proof of
// who answers: the certificate names the host that clients connect to, and not this machine.
var strangerClient = &http.Client{Transport: &http.Transport{TLSClientConfig: anyServer}}

var anyServer = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}

// webURL is the URL of a node's HTTP.
func webURL(https bool, addr string) string {
	if https {
		return "https://" + addr
	}
	return "http://" + addr
}
