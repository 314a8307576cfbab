// Consumer is an example of a function for AWS Lambda that reads as a group does, without being a
// member of one: a schedule wakes it, it claims partitions for as long as the invocation may last,
// works through their records, commits, and ends when nothing is left or its time is nearly over.
// As many as you like may run at once, each on partitions of its own.
//
// What it does with records is in work.go, which is yours to replace: here they are sent on to an
// HTTP endpoint.
//
// It is configured by its environment:
//
//	FIRN_HTTP    where nodes serve HTTP: http://HOST:PORT, several separated by commas; one is
//	             asked after the other
//	FIRN_GROUP   the group
//	FIRN_TOPICS  the topics, separated by commas
//	FIRN_TARGET  the URL to which records are sent; or
//	FIRN_OUTPUTS topics, separated by commas, to which what is made of them is written: here copies
//
// A function that ends in the middle (a timeout, a crash) has its partitions until its time would
// have been over anyway; then the next one begins where the group is. So with a target records that
// were worked on and not committed are worked on again: each at least once. With outputs both are
// one transaction, and each record is worked on exactly once. Whoever was frozen for longer is
// refused when it commits.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	c, err := open(logger)
	if err != nil {
		logger.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	// What wakes the function is of no interest, so the event is not looked at.
	lambda.Start(func(ctx context.Context) (report, error) { return c.handle(ctx) })
}

// open makes the consumer that the environment describes.
func open(logger *slog.Logger) (*consumer, error) {
	env := map[string]string{}
	for _, name := range []string{"FIRN_HTTP", "FIRN_GROUP", "FIRN_TOPICS", "FIRN_TARGET"} {
		if name == "FIRN_TARGET" && os.Getenv("FIRN_OUTPUTS") != "" {
			continue
		}
		if env[name] = os.Getenv(name); env[name] == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
	}
	outputs := os.Getenv("FIRN_OUTPUTS")
	if outputs != "" && os.Getenv("FIRN_TARGET") != "" {
		return nil, errors.New("FIRN_TARGET and FIRN_OUTPUTS are set; only one of them can be")
	}
	addrs := strings.Split(env["FIRN_HTTP"], ",")
	urls := addrs[:len(addrs):len(addrs)]
	if outputs == "" {
		urls = append(urls, env["FIRN_TARGET"])
	}
	for _, addr := range urls {
		if u, err := url.Parse(addr); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("%q is no http:// or https:// URL: look at FIRN_HTTP and FIRN_TARGET", addr)
		}
	}
	c := &consumer{
		cluster: newCluster(addrs),
		group:   env["FIRN_GROUP"],
		topics:  strings.Split(env["FIRN_TOPICS"], ","),
		logger:  logger,
	}
	if outputs != "" {
		c.change = copyTo(strings.Split(outputs, ","))
	} else {
		c.work = sendTo(env["FIRN_TARGET"])
	}
	return c, nil
}
