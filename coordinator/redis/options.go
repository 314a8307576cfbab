package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"firn.dev/coordinator"
)

// Options says where Redis is and how it is used. Zero values mean their defaults.
type Options struct {
	Addrs    []string // host:port of the server, of some of the cluster's, or of the sentinels
	Cluster  bool     // Redis Cluster
	Master   string   // the name by which sentinels know the master; empty without sentinels
	DB       int
	Username string // of an ACL
	Password string
	TLS      *tls.Config // nil: not encrypted
	TLSFiles TLSFiles    // what is put into TLS

	SentinelUsername string
	SentinelPassword string

	Prefix string // tells clusters that share a Redis apart; "default"

	PoolSize    int           // connections to each server; 16
	DialTimeout time.Duration // 2 s
	Timeout     time.Duration // of one read or write; 3 s

	// CommitDeadline is how old a segment may be when it is committed, and how long a commit
	// is remembered; 5 minutes.
	CommitDeadline time.Duration
	RetainBytes    int // of entries that the commit stream keeps; coordinator.DefaultRetainBytes

	// MaxProducers is how many idempotent producers one partition remembers; 65536. The ones that have
	// been silent for longest go first.
	MaxProducers       int
	ProducerExpiration time.Duration // how long a silent one is remembered; a day
	KeyExpiration      time.Duration // how long a request with a key is remembered; coordinator.KeyExpiration

	Calls  *prometheus.CounterVec // counts calls: see NewCalls; nil: nobody asks
	Logger *slog.Logger           // hears of TLS files that changed; nil: nobody does
	// Told, if it is not nil, is called when a call to Redis has ended, with the error if Redis did
	// not answer, or could not do it.
	Told func(call string, err error)
}

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = "default"
	}
	if o.PoolSize == 0 {
		o.PoolSize = 16
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 2 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.CommitDeadline == 0 {
		o.CommitDeadline = coordinator.DefaultCommitDeadline
	}
	if o.RetainBytes == 0 {
		o.RetainBytes = coordinator.DefaultRetainBytes
	}
	if o.MaxProducers == 0 {
		o.MaxProducers = 1 << 16
	}
	if o.ProducerExpiration == 0 {
		o.ProducerExpiration = 24 * time.Hour
	}
	if o.KeyExpiration == 0 {
		o.KeyExpiration = coordinator.KeyExpiration
	}
	return o
}

// validate says everything that is wrong with the options.
func (o Options) validate() error {
	var problems []error
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf("redis: "+format, args...))
		}
	}
	check(len(o.Addrs) == 0, "no address")
	check(o.Cluster && o.Master != "", "a cluster has no sentinels: give cluster or sentinel, not both")
	check(o.Cluster && o.DB != 0, "a cluster has database 0 only, not %d", o.DB)
	check(len(o.Addrs) > 1 && !o.Cluster && o.Master == "", "several addresses without cluster=true or sentinel")
	check(strings.ContainsAny(o.Prefix, "{}"), "prefix %q contains a brace", o.Prefix)
	check(o.CommitDeadline < 0 || o.RetainBytes < 0 || o.PoolSize < 0 || o.MaxProducers < 0, "negative sizes")
	check(o.ProducerExpiration < 0 || o.KeyExpiration < 0, "negative times")
	return errors.Join(problems...)
}

// ParseURL reads
//
//	redis[s]://[user:password@]host:port[,host:port…][/database][?option=value&…]
//
// rediss is TLS. Options are:
//
//	prefix=NAME                  tells clusters that share a Redis apart
//	cluster=true                 the addresses are of a Redis Cluster
//	sentinel=HOST:PORT,…         ask these sentinels where the master is; the URL itself then
//	                             has no address
//	master=NAME                  the name by which they know it
//	sentinel-user, sentinel-password
//	ca=FILE                      with rediss: trust these certificates (PEM) instead of the system's
//	cert=FILE, key=FILE          with rediss: the certificate that this end shows (PEM), and its key
//	server-name=NAME             with rediss: the name in the server's certificate
//	pool=N                       connections
//
// Errors do not repeat the password.
func ParseURL(text string) (Options, error) {
	text, hosts := cutHosts(text)
	u, err := url.Parse(text)
	if err != nil {
		return Options{}, errNotURL
	}
	if err := checkWhole(u, hosts); err != nil {
		return Options{}, err
	}
	o := Options{}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return Options{}, fmt.Errorf("redis: scheme %q, should be redis or rediss", u.Scheme)
	}
	if u.User != nil {
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	if hosts != "" {
		o.Addrs = addresses(hosts, "6379")
	}
	if database := strings.Trim(u.Path, "/"); database != "" {
		if o.DB, err = strconv.Atoi(database); err != nil || o.DB < 0 {
			return Options{}, fmt.Errorf("redis: database %q is not a number", database)
		}
	}
	if err := o.parseQuery(u.Query(), u.Scheme == "rediss"); err != nil {
		return Options{}, err
	}
	return o, o.withDefaults().validate()
}

var (
	errNotURL    = errors.New("redis: not a URL: it should be like redis://user:password@host:6379/0?prefix=name")
	errUnescaped = errors.New("redis: the URL comes apart in the wrong place: " +
		"in a user or password write / as %2F, ? as %3F, # as %23, @ as %40 and : as %3A")
)

// checkWhole notices a password with characters that end the part of a URL that it stands in.
// Errors about the parts would otherwise show what is left of it.
func checkWhole(u *url.URL, hosts string) error {
	if u.Fragment != "" || u.RawFragment != "" || strings.Contains(u.Path, "@") {
		return errUnescaped
	}
	for name := range u.Query() {
		if strings.ContainsAny(name, "@:/") {
			return errUnescaped
		}
	}
	if hosts == "" {
		return nil
	}
	for _, address := range addresses(hosts, "6379") {
		if _, port, err := net.SplitHostPort(address); err != nil {
			return errNotURL
		} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return errUnescaped
		}
	}
	return nil
}

// cutHosts takes the addresses out of a URL: package url knows of one only.
func cutHosts(text string) (rest, hosts string) {
	begin := strings.Index(text, "://") + len("://")
	if begin < len("://") {
		return text, ""
	}
	end := len(text)
	if i := strings.IndexAny(text[begin:], "/?#"); i >= 0 {
		end = begin + i
	}
	begin += strings.LastIndexByte(text[begin:end], '@') + 1
	return text[:begin] + text[end:], text[begin:end]
}

func (o *Options) parseQuery(query url.Values, encrypted bool) error {
	if encrypted {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	take := func(name string) string {
		v := query.Get(name)
		query.Del(name)
		return v
	}
	var problems []error
	o.Prefix, o.Master = take("prefix"), take("master")
	o.SentinelUsername, o.SentinelPassword = take("sentinel-user"), take("sentinel-password")
	if v := take("cluster"); v != "" {
		cluster, err := strconv.ParseBool(v)
		if err != nil {
			problems = append(problems, fmt.Errorf("redis: cluster=%q should be true or false", v))
		}
		o.Cluster = cluster
	}
	if v := take("pool"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			problems = append(problems, fmt.Errorf("redis: pool=%q should be a positive number", v))
		}
		o.PoolSize = n
	}
	sentinels := take("sentinel")
	switch {
	case (sentinels == "") != (o.Master == ""):
		problems = append(problems, errors.New("redis: sentinel and master go together"))
	case sentinels != "" && len(o.Addrs) > 0:
		problems = append(problems,
			errors.New("redis: with sentinel the URL itself has no address: redis://user:password@/0?sentinel=…"))
	case sentinels != "":
		o.Addrs = addresses(sentinels, "26379")
	case len(o.Addrs) == 0:
		o.Addrs = []string{"127.0.0.1:6379"}
	}
	problems = append(problems, o.parseTLS(TLSFiles{take("ca"), take("cert"), take("key")}, take("server-name")))
	for name := range query {
		problems = append(problems, fmt.Errorf("redis: unknown option %q", name))
	}
	return errors.Join(problems...)
}

func (o *Options) parseTLS(files TLSFiles, serverName string) error {
	if o.TLS == nil {
		if files != (TLSFiles{}) || serverName != "" {
			return errors.New("redis: ca, cert, key and server-name need rediss://")
		}
		return nil
	}
	o.TLS.ServerName, o.TLSFiles = serverName, files
	_, err := files.onto(o.TLS)
	return err
}

// addresses splits a list, and adds the port where there is none.
func addresses(list, port string) []string {
	split := strings.Split(list, ",")
	for i, a := range split {
		if colon := strings.LastIndexByte(a, ':'); colon <= strings.LastIndexByte(a, ']') {
			split[i] = a + ":" + port
		}
	}
	return split
}

// setName gives a connection a name for CLIENT LIST. A server that does not allow that is as good.
func setName(ctx context.Context, connection *redis.Conn) error {
	err := connection.ClientSetName(ctx, "firn").Err()
	if _, answered := errors.AsType[redis.Error](err); answered {
		return nil
	}
	return err
}

// connect returns a client. It connects when it is used.
func (o Options) connect(poolSize int, dial dialer) redis.UniversalClient {
	u := &redis.UniversalOptions{
		Dialer: dial,
		Addrs:  o.Addrs, MasterName: o.Master, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		DisableIdentity: true, Protocol: 2, OnConnect: setName,
		MaxRetries:            -1, // a script whose reply was lost has run: see once
		DialerRetries:         1,
		ContextTimeoutEnabled: true, DialTimeout: o.DialTimeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout,
		PoolSize: poolSize, PoolTimeout: o.Timeout + time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch {
	case o.Cluster:
		cluster := u.Cluster()
		cluster.DisableRoutingPolicies = true // it would send commands elsewhere than their keys say
		return redis.NewClusterClient(cluster)
	case o.Master != "":
		return redis.NewFailoverClient(u.Failover())
	}
	return redis.NewClient(u.Simple())
}

// ACL returns the rules of a Redis user that may do what Firn needs, for one prefix, and nothing
// else: ACL SETUSER name on >password RULES.
func ACL(prefix string) string {
	return "resetkeys ~{firn:" + prefix + ":*}:* -@all" +
		" +evalsha +eval +info +time +xread" +
		" +hget +hmget +hset +hdel +hlen +hexists +hincrby +hgetall +hvals +hscan +hrandfield" +
		" +zadd +zrem +zrange +zrangebyscore +xadd +xtrim +unlink +expire" +
		" +client|setname +cluster|slots +cluster|shards +readonly +ping +select +command"
}
