package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// dialTimeout bounds one attempt to reach a server, and requestTimeout one administrative request
// with its retries.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// bootstrap is the flags that all client subcommands share.
type bootstrap struct {
	addresses []string
	login     clientLogin
}

// profileFlag is the name of the flag that names a profile.
const profileFlag = "profile"

func (b *bootstrap) addFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().String(profileFlag, "", "`name` of the profile that says what the flags of the connection do "+
		"not; none for none (default: the one in use)")
	b.addConnectionFlags(cmd.PersistentFlags())
	_ = cmd.RegisterFlagCompletionFunc(profileFlag, completeProfiles) // fails for a flag that does not exist
}

// addConnectionFlags adds what a profile may have.
func (b *bootstrap) addConnectionFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&b.addresses, "bootstrap", []string{"127.0.0.1:9092"},
		"`host:port` of one or more servers, comma-separated")
	b.login.addFlags(f)
}

// connect returns a client of a server that answers, so that a wrong address is told at once and in
// one line.
func (b *bootstrap) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	login, err := b.login.options()
	if err != nil {
		return nil, err
	}
	opts = append(login, opts...)
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.addresses...),
		kgo.ClientID("firn-cli"),
		kgo.DialTimeout(dialTimeout),
	}, opts...)...)
	if err != nil {
		return nil, usagef("--bootstrap %s: %w", strings.Join(b.addresses, ","), err)
	}
	// The first question is asked without the client's retries, which would hide for half a minute
	// that nobody is there.
	ping, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := cl.Ping(ping); err != nil {
		cl.Close()
		return nil, b.unreachable(ctx, err)
	}
	return cl, nil
}

// unreachable says in one line what to do when no server answered.
func (b *bootstrap) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	where := strings.Join(b.addresses, ",")
	if refused := new(kerr.Error); errors.As(err, &refused) {
		return fmt.Errorf("the server at %s does not let this client in (%w): look at --login-user, --login-password-file "+
			"and --login-token-file", where, err)
	}
	if op := new(net.OpError); errors.As(err, &op) && op.Op == "dial" {
		err = op.Err
	}
	return fmt.Errorf("no Kafka server answers at %s (%w): start one with 'firn serve', or name another with "+
		"--bootstrap; one that wants TLS needs --tls or --tls-ca", where, err)
}

// ask is connect for administrative requests: done closes the client, ctx ends after
// requestTimeout.
func (b *bootstrap) ask(ctx context.Context) (_ context.Context, cl *kgo.Client, done func(), err error) {
	cl, err = b.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	return ctx, cl, func() { cancel(); cl.Close() }, nil
}

// admin is ask with a client that knows such requests.
func (b *bootstrap) admin(ctx context.Context) (_ context.Context, adm *kadm.Client, done func(), err error) {
	ctx, cl, done, err := b.ask(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	return ctx, kadm.NewClient(cl), done, nil
}

// errInterrupted ends a command that a signal stopped before it was done.
var errInterrupted = errors.New("interrupted")

// explain turns a server's answer about a topic into a line that says what to do. message is the
// server's own, if it sent one.
func explain(topic string, err error, message string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("topic %q does not exist; create it with 'firn topic create %s --partitions N'", topic, topic)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return fmt.Errorf("topic %q exists already", topic)
	case message != "":
		return fmt.Errorf("topic %q: %s", topic, message)
	}
	if known := new(kerr.Error); errors.As(err, &known) {
		return fmt.Errorf("topic %q: %s", topic, known.Description)
	}
	return fmt.Errorf("topic %q: %w", topic, err)
}

// lookUp returns a topic that exists.
func lookUp(ctx context.Context, adm *kadm.Client, topic string) (kadm.TopicDetail, error) {
	topics, err := adm.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, explain(topic, err, "")
	}
	detail := topics[topic]
	if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
		return detail, fmt.Errorf("%w%s", explain(topic, detail.Err, ""), nearTopic(ctx, adm, topic))
	}
	return detail, explain(topic, detail.Err, "")
}

// nearTopic asks whether a topic was meant whose name is almost the same.
func nearTopic(ctx context.Context, adm *kadm.Client, topic string) string {
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return "" // the error about the topic says enough
	}
	return didYouMean(topic, maps.Keys(topics))
}
