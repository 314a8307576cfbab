package logins

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	xdg "github.com/xdg-go/scram"
)

// with is the TLS of a client with its certificate.
func (s *stage) with() *tls.Config {
	config := s.client.Clone()
	config.Certificates = []tls.Certificate{s.own}
	return config
}

func (s *stage) franz(t *testing.T) {
	user := scram.Auth{User: "alice", Pass: password}
	ways := map[string][]kgo.Opt{
		plainWay:    {kgo.SASL(plain.Auth{User: "alice", Pass: password}.AsMechanism())},
		scram256:    {kgo.SASL(user.AsSha256Mechanism())},
		scram512:    {kgo.SASL(user.AsSha512Mechanism())},
		oauthWay:    {kgo.SASL(oauth.Auth{Token: s.token}.AsMechanism())},
		certificate: {kgo.SeedBrokers(s.tls), kgo.DialTLSConfig(s.with())},
	}
	for way, opts := range ways {
		opts = append([]kgo.Opt{kgo.SeedBrokers(s.sasl), kgo.DialTLSConfig(s.client), kgo.ConsumeTopics(topicOf[way]),
			kgo.DefaultProduceTopic(topicOf[way])}, opts...)
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		want := "franz-go " + way
		if err := cl.ProduceSync(ctx, kgo.StringRecord(want)).FirstErr(); err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		for found := false; !found; {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Errorf("%s: %v", way, err)
				break
			}
			fetches.EachRecord(func(r *kgo.Record) { found = found || string(r.Value) == want })
		}
	}
}

// Token implements sarama.AccessTokenProvider.
func (s *stage) Token() (*sarama.AccessToken, error) { return &sarama.AccessToken{Token: s.token}, nil }

// saramaScram is SCRAM for sarama, which brings none of its own and names xdg-go/scram in its
// examples.
type saramaScram struct {
	hash xdg.HashGeneratorFcn
	*xdg.ClientConversation
}

// Begin implements sarama.SCRAMClient.
func (c *saramaScram) Begin(user, password, authorizeAs string) error {
	client, err := c.hash.NewClient(user, password, authorizeAs)
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}

func (s *stage) sarama(t *testing.T) {
	hashes := map[string]xdg.HashGeneratorFcn{scram256: xdg.SHA256, scram512: xdg.SHA512}
	for _, way := range all {
		config := sarama.NewConfig()
		config.Version = sarama.V3_6_0_0
		config.Producer.Return.Successes = true
		config.Net.TLS.Enable, config.Net.TLS.Config = true, s.client
		at := s.sasl
		switch config.Net.SASL.Enable = way != certificate; way {
		case plainWay:
			config.Net.SASL.Mechanism, config.Net.SASL.Version = sarama.SASLTypePlaintext, sarama.SASLHandshakeV1
			config.Net.SASL.User, config.Net.SASL.Password = "alice", password
		case scram256, scram512:
			config.Net.SASL.Mechanism = sarama.SASLMechanism(way)
			config.Net.SASL.User, config.Net.SASL.Password = "alice", password
			config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &saramaScram{hash: hashes[way]} }
		case oauthWay:
			config.Net.SASL.Mechanism, config.Net.SASL.TokenProvider = sarama.SASLTypeOAuth, s
		default:
			at, config.Net.TLS.Config = s.tls, s.with()
		}
		if err := s.saramaRoundTrip(t, at, config, topicOf[way], "sarama "+way); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func (s *stage) saramaRoundTrip(t *testing.T, at string, config *sarama.Config, topic, value string) error {
	client, err := sarama.NewClient([]string{at}, config)
	if err != nil {
		return err
	}
	defer client.Close()
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	defer producer.Close()
	_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, offset)
	if err != nil {
		return err
	}
	defer partition.Close()
	select {
	case r := <-partition.Messages():
		if string(r.Value) != value {
			t.Errorf("%q was read, %q was written", r.Value, value)
		}
		return nil
	case err := <-partition.Errors():
		return err
	case <-time.After(time.Minute):
		return context.DeadlineExceeded
	}
}

// firn is Firn's own command line.
func (s *stage) firn(t *testing.T) {
	for _, way := range all {
		args := []string{topicOf[way], "--bootstrap", s.sasl, "--tls-ca", s.file("ca.pem")}
		switch way {
		case oauthWay:
			args = append(args, "--login-token-file", s.file("token"))
		case certificate:
			args = append(args, "--bootstrap", s.tls, "--client-cert", s.file("client/server.pem"), "--client-key",
				s.file("client/server.key"))
			args = slices.Delete(args, 1, 3)
		default:
			args = append(args, "--login-user", "alice", "--login-password-file", s.file("password"), "--login-mechanism", way)
		}
		run(t, "firn "+way+"\n", slices.Concat([]string{s.bin, "produce"}, args)...)
		if got := run(t, "", slices.Concat([]string{s.bin, "consume"}, args)...); !strings.Contains(got, "firn "+way+"\n") {
			t.Errorf("%s: firn consume prints %s", way, got)
		}
	}
}

func (s *stage) kcat(t *testing.T) {
	for _, way := range []string{plainWay, scram256, scram512, certificate} {
		args := []string{"kcat", "-q", "-X", "ssl.ca.location=" + s.file("ca.pem"), "-t", topicOf[way], "-p", "0"}
		if way == certificate {
			args = append(args, "-b", s.tls, "-X", "security.protocol=SSL", "-X", "ssl.certificate.location="+
				s.file("client/server.pem"), "-X", "ssl.key.location="+s.file("client/server.key"))
		} else {
			args = append(args, "-b", s.sasl, "-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanism="+way,
				"-X", "sasl.username=alice", "-X", "sasl.password="+password)
		}
		run(t, "kcat "+way+"\n", append(args, "-P")...)
		if got := run(t, "", append(args, "-C", "-o", "beginning", "-e")...); !strings.Contains(got, "kcat "+way+"\n") {
			t.Errorf("%s: kcat reads %s", way, got)
		}
	}
}
