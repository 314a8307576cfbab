package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/pflag"

	"firn.dev/kafka"
)

// limitOptions are the limits of what one Kafka client can make a node hold. Those of the memory of
// all clients stand with the others of serveOptions.
type limitOptions struct {
	connections, connectionsPerIP  int
	requestBytes, adminBytes       byteSize
	inFlight                       int
	inFlightBytes, connectionBytes byteSize
	fetchBytes                     byteSize
	strangers                      int
	login, idle, read, write       time.Duration
	drain                          time.Duration
	clientRate                     byteSize
}

func (o *limitOptions) addFlags(f *pflag.FlagSet) {
	l := kafka.Limits{}.WithDefaults()
	size := func(at *byteSize, name string, bytes int64, usage string) {
		*at = byteSize(bytes)
		f.Var(at, name, usage)
	}
	f.IntVar(&o.connections, "max-connections", l.MaxConnections, "connections of Kafka clients, Kafka's max.connections")
	f.IntVar(&o.connectionsPerIP, "max-connections-per-ip", l.MaxConnectionsPerIP, "of these, from one address")
	size(&o.requestBytes, "max-request-bytes", int64(l.MaxRequestBytes),
		"largest Produce request, Kafka's socket.request.max.bytes")
	size(&o.adminBytes, "max-admin-request-bytes", int64(l.MaxAdminRequestBytes), "largest request of any other kind")
	f.IntVar(&o.inFlight, "max-in-flight", l.MaxInFlight, "requests of one connection that are read and not answered")
	size(&o.inFlightBytes, "max-in-flight-bytes", int64(l.MaxInFlightBytes), "bytes of these; a larger request has the "+
		"connection to itself")
	size(&o.connectionBytes, "connection-bytes", l.ConnectionBytes, "memory of each connection's own for small requests, "+
		"and as much for small answers")
	size(&o.fetchBytes, "fetch-max-bytes", int64(l.FetchMaxBytes), "largest Fetch response, Kafka's fetch.max.bytes; a "+
		"first batch may be larger")
	f.IntVar(&o.strangers, "max-strangers", l.MaxStrangers,
		"connections whose clients have not yet proved who they are; one more closes the oldest")
	f.DurationVar(&o.login, "login-timeout", l.LoginTimeout, "how long that proof may take: TLS and SASL")
	f.DurationVar(&o.idle, "idle-timeout", l.IdleTimeout, "close connections that are idle for so long, Kafka's "+
		"connections.max.idle.ms")
	f.DurationVar(&o.read, "read-timeout", l.ReadTimeout, "how long a client may take for each piece of a request that "+
		"it has begun")
	f.DurationVar(&o.write, "write-timeout", l.WriteTimeout, "how long a client may take for each piece of an answer")
	f.DurationVar(&o.drain, "drain-timeout", l.DrainTimeout, "how long requests under way may take when the node stops")
	size(&o.clientRate, "min-client-rate", int64(l.MinBytesPerSecond), "bytes a second by which a client has to send and "+
		"take on the whole, once --read-timeout or --write-timeout is over")
}

func (o *limitOptions) validate(check func(flag string, err error), requestMemory, answerMemory byteSize) {
	atLeast := func(flag string, n, least int64) { check(flag, within(n, least, math.MaxInt32)) }
	atLeast("max-connections", int64(o.connections), 1)
	atLeast("max-connections-per-ip", int64(o.connectionsPerIP), 1)
	atLeast("max-request-bytes", int64(o.requestBytes), 1<<20)
	atLeast("max-admin-request-bytes", int64(o.adminBytes), 64<<10)
	atLeast("max-in-flight", int64(o.inFlight), 1)
	atLeast("max-in-flight-bytes", int64(o.inFlightBytes), 1<<10)
	atLeast("connection-bytes", int64(o.connectionBytes), 1<<10)
	atLeast("fetch-max-bytes", int64(o.fetchBytes), 1<<10)
	atLeast("max-strangers", int64(o.strangers), 1)
	atLeast("min-client-rate", int64(o.clientRate), 1)
	for _, timeout := range []struct {
		flag string
		is   time.Duration
	}{{"login-timeout", o.login}, {"idle-timeout", o.idle}, {"read-timeout", o.read}, {"write-timeout", o.write}} {
		check(timeout.flag, within(timeout.is, time.Second, 24*time.Hour))
	}
	check("drain-timeout", within(o.drain, time.Second, time.Hour))
	for _, memory := range []struct {
		flag  string
		is    byteSize
		other string
		holds byteSize
	}{
		{"request-memory", requestMemory, "max-request-bytes", o.requestBytes},
		{"request-memory", requestMemory, "max-admin-request-bytes", o.adminBytes},
		{"answer-memory", answerMemory, "max-request-bytes", o.requestBytes},
		{"answer-memory", answerMemory, "fetch-max-bytes", o.fetchBytes},
	} {
		if memory.is < memory.holds {
			check(memory.flag, fmt.Errorf("%v holds no request or answer of --%s (%v)", &memory.is, memory.other,
				&memory.holds))
		}
	}
}

// limits are what the flags say.
func (o *limitOptions) limits(requestMemory, answerMemory byteSize) kafka.Limits {
	return kafka.Limits{
		MaxConnections: o.connections, MaxConnectionsPerIP: o.connectionsPerIP,
		MaxRequestBytes: int(o.requestBytes), MaxAdminRequestBytes: int(o.adminBytes),
		MaxInFlight: o.inFlight, MaxInFlightBytes: int(o.inFlightBytes),
		ConnectionBytes: int64(o.connectionBytes), RequestMemoryBytes: int64(requestMemory),
		AnswerMemoryBytes: int64(answerMemory), FetchMaxBytes: int(o.fetchBytes),
		MaxStrangers: o.strangers, LoginTimeout: o.login, IdleTimeout: o.idle, ReadTimeout: o.read,
		WriteTimeout: o.write, DrainTimeout: o.drain, MinBytesPerSecond: int(o.clientRate),
	}
}
