package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// isolation is a flag value: whether records of open and aborted transactions are read as well.
type isolation string

const (
	readCommitted   isolation = "read-committed"
	readUncommitted isolation = "read-uncommitted"
)

func (i *isolation) Set(text string) error {
	if level := isolation(text); level != readCommitted && level != readUncommitted {
		return fmt.Errorf("%q: it is %s or %s", text, readCommitted, readUncommitted)
	}
	*i = isolation(text)
	return nil
}

func (i *isolation) String() string { return string(*i) }
func (*isolation) Type() string     { return "isolation" }

// level is the isolation level of a Kafka client.
func (i isolation) level() kgo.IsolationLevel {
	if i == readUncommitted {
		return kgo.ReadUncommitted()
	}
	return kgo.ReadCommitted()
}
