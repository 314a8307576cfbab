package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// link is one of the ways between a node and the rest: a pair of virtual network interfaces of its
// own.
type link int

const (
	toClients link = iota
	toRedis
	toMinIO
	links
)

// namespace is a network namespace in which a node lives. A way that is blocked swallows packets
// and says nothing: connections hang, in one direction or both.
type namespace struct {
	name string
	net  [links]string // the first three bytes and the last number, below which the two ends have the next two
	mac  [links][2]string
}

// network is the namespaces of a cluster's nodes, below one random prefix of a private network, so
// that several tortures share a machine.
type network struct {
	prefix string
	spaces []*namespace
}

// whyNoNetwork says why there can be no namespaces here, or nothing.
func whyNoNetwork() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "network namespaces need the ip command: run 'test/install-package ip iproute2 iproute2mac'"
	}
	return ""
}

func newNetwork() *network {
	sweepNamespaces()
	return &network{prefix: fmt.Sprintf("10.%d.%d", 128+rand.N(120), rand.N(256))}
}

// sweepNamespaces takes away what tortures have left behind that were killed. What it cannot take
// away stays, and does no harm.
func sweepNamespaces() {
	names, err := filepath.Glob("/run/netns/torture-*-*")
	if err != nil {
		return
	}
	for _, path := range names {
		pid := strings.Split(filepath.Base(path), "-")[1]
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			exec.Command("ip", "netns", "delete", filepath.Base(path)).Run()
		}
	}
}

// add makes a namespace for the next node. Somebody has to close the network, also after an error.
func (n *network) add() (*namespace, error) {
	number := len(n.spaces)
	s := &namespace{name: fmt.Sprintf("torture-%d-%d", os.Getpid(), number)}
	if err := ip("netns add " + s.name); err != nil {
		return nil, err
	}
	n.spaces = append(n.spaces, s)
	if err := ip("-n " + s.name + " link set lo up"); err != nil {
		return nil, err
	}
	for l := range links {
		last := 4 * (number*int(links) + int(l))
		s.net[l] = fmt.Sprintf("%s.%d", n.prefix, last)
		for end := range 2 {
			s.mac[l][end] = fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", rand.N(256), rand.N(256), rand.N(256),
				number*int(links)+int(l), end)
		}
		outside, inside := s.device(l), fmt.Sprintf("to%d", l)
		err := errors.Join(
			ip(fmt.Sprintf("link add %s address %s type veth peer name %s address %s netns %s", outside, s.mac[l][0], inside,
				s.mac[l][1], s.name)),
			ip(fmt.Sprintf("addr add %s/30 dev %s", s.host(l), outside)),
			ip(fmt.Sprintf("link set %s up", outside)),
			ip(fmt.Sprintf("-n %s addr add %s/30 dev %s", s.name, s.node(l), inside)),
			ip(fmt.Sprintf("-n %s link set %s up", s.name, inside)),
			s.block(l, false, false))
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// close takes all namespaces away, and their interfaces with them. Nodes in them must have ended.
func (n *network) close() error {
	var errs []error
	for _, s := range n.spaces {
		errs = append(errs, ip("netns delete "+s.name))
	}
	return errors.Join(errs...)
}

// device is the interface outside; names have at most 15 bytes.
func (s *namespace) device(l link) string {
	return fmt.Sprintf("t%s%d", strings.TrimPrefix(s.name, "torture-"), l)
}

// host is the address of the way's end outside, node of the one in the namespace.
func (s *namespace) host(l link) string { return s.address(l, 1) }
func (s *namespace) node(l link) string { return s.address(l, 2) }

func (s *namespace) address(l link, end byte) string {
	a := net.ParseIP(s.net[l]).To4()
	a[3] += end
	return a.String()
}

// nowhere is a hardware address that nobody has.
const nowhere = "02:00:00:00:00:00"

// block has packets to the node, or from it, go to nobody, or to where they should. Either end
// sends them to a hardware address that nobody has: routes and interfaces stay as they are, so
// nobody is told.
func (s *namespace) block(l link, to, from bool) error {
	target := func(end int, blocked bool) string {
		if blocked {
			return nowhere
		}
		return s.mac[l][end]
	}
	return errors.Join(
		ip(fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", s.node(l), target(1, to), s.device(l))),
		ip(fmt.Sprintf("-n %s neigh replace %s lladdr %s dev to%d nud permanent", s.name, s.host(l), target(0, from), l)))
}

// command is how a program is started in the namespace.
func (s *namespace) command(args []string) []string {
	return append([]string{"ip", "netns", "exec", s.name}, args...)
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}
