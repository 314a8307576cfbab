// Command worker is a member of a consumer group on franz-go or sarama. See ../README.md for what
// members print. It leaves the group when its standard input ends.
//
//	worker CLIENT BOOTSTRAP GROUP TOPIC classic|consumer ASSIGNOR
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// member joins a group and works until ctx ends.
type member func(ctx context.Context, m membership) error

// membership is what a member is to join.
type membership struct {
	bootstrap                        []string
	group, topic, protocol, assignor string
}

var members = map[string]member{"franz-go": franz, "sarama": saramaMember}

func main() {
	if len(os.Args) != 7 || members[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: worker franz-go|sarama BOOTSTRAP GROUP TOPIC classic|consumer ASSIGNOR")
		os.Exit(2)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	m := membership{strings.Split(os.Args[2], ","), os.Args[3], os.Args[4], os.Args[5], os.Args[6]}
	if err := members[os.Args[1]](ctx, m); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	say("V *")
}

var saying sync.Mutex

// say prints a line with the time at which it became true.
func say(format string, args ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Printf("%d %s\n", time.Now().UnixNano(), fmt.Sprintf(format, args...))
}

// numbers lists partitions.
func numbers(partitions []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(partitions), " ", ","), "[]")
}
