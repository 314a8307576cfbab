package main

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"firn.dev/coordinator"
)

// banner says what is served, where the data is and how to try it.
func (n *node) banner() string {
	kafka := addressOf(n.kafkaAt[0])
	flag := ""
	if kafka != "127.0.0.1:9092" {
		flag = " --bootstrap " + kafka
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("firn serves, after %s:", time.Since(n.started).Round(time.Millisecond))
	for i, d := range n.doors {
		how := ""
		if d.protocol != "plaintext" {
			how = "  (" + d.protocol + ")"
		}
		line("  Kafka  %s%s", addressOf(n.kafkaAt[i]), how)
	}
	if n.http != nil {
		line("  HTTP   %s  (/healthz /readyz /metrics)", webURL(n.options.https, n.http.Addr().String()))
	}
	line("  data   %s", n.bucket.Location)
	line("Try it:")
	line("  firn topic create hello --partitions 3%s", flag)
	line("  echo world | kcat -b %s -t hello -P", kafka)
	b.WriteString("  firn consume hello" + flag)
	return b.String()
}

// logBanner says the same where logs are for programs.
func (n *node) logBanner(logger *slog.Logger) {
	var kafka []string
	for _, at := range n.kafkaAt {
		kafka = append(kafka, addressOf(at))
	}
	http := noHTTP
	if n.http != nil {
		http = webURL(n.options.https, n.http.Addr().String())
	}
	logger.Info("firn serves", "kafka", kafka, "http", http, "data", fmt.Sprint(n.bucket.Location),
		"took", time.Since(n.started).Round(time.Millisecond), "version", thisBuild().String())
}

func addressOf(l coordinator.Listener) string {
	return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
}
