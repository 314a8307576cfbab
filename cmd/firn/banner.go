package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// banner says what is served, where the data is and how to try it.
func (n *node) banner() string {
	kafka := net.JoinHostPort(n.host, strconv.Itoa(int(n.port)))
	flag := ""
	if kafka != "127.0.0.1:9092" {
		flag = " --bootstrap " + kafka
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("firn serves, after %s:", time.Since(n.started).Round(time.Millisecond))
	line("  Kafka  %s", kafka)
	if n.http != nil {
		line("  HTTP   http://%s  (/healthz /readyz /metrics)", n.http.Addr())
	}
	line("  data   %s", n.bucket.Location)
	line("Try it:")
	line("  firn topic create hello --partitions 3%s", flag)
	line("  echo world | kcat -b %s -t hello -P", kafka)
	b.WriteString("  firn consume hello" + flag)
	return b.String()
}
