package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a key set and of how it is read.
const (
	maxKeySetBytes = 1 << 20
	maxKeys        = 100
	// keySetTimeout is how long the issuer may take to answer.
	keySetTimeout = 5 * time.Second
	// keySetAge is how old keys may be before they are asked for again: a key that the issuer has
	// withdrawn is good for as long.
	keySetAge = 5 * time.Minute
	// keySetPause is how often a key that is not there makes the issuer be asked: strangers choose
	// the names of keys.
	keySetPause = 10 * time.Second
)

// keySet is an issuer's keys, at a URL or in a file. They are read again when they are old, and
// when a token names a key that is not there. While they cannot be read, the old ones stay.
type keySet struct {
	file   string // or
	url    string
	client *http.Client
	logger *slog.Logger

	age, pause time.Duration

	keys atomic.Pointer[keys]

	mu      sync.Mutex
	reading chan struct{} // closed when the reading that is under way is over; nil: none is
	tried   time.Time     // when reading was last begun
}

// keys are those of one reading.
type keys struct {
	version uint64 // of the set: other keys, another version
	text    string
	list    []jose.JSONWebKey
	read    time.Time
}

// newKeySet reads a key set.
func newKeySet(ctx context.Context, where string, logger *slog.Logger) (*keySet, error) {
	s := &keySet{file: where, logger: logger, age: keySetAge, pause: keySetPause}
	s.keys.Store(&keys{})
	if u, err := url.Parse(where); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		ip := net.ParseIP(u.Hostname())
		if u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("%s: keys that others can exchange on their way prove nothing; use https", where)
		}
		s.file, s.url = "", where
		s.client = &http.Client{Timeout: keySetTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the URL of a key set redirects; name the URL that it leads to")
		}}
	} else {
		s.age, s.pause = time.Second, time.Second
	}
	err := s.readAgain(ctx)
	if err != nil && s.url != "" {
		logger.Warn("the keys of the issuer of tokens cannot be read yet", "url", s.url, "error", err)
		return s, nil
	}
	return s, err
}

// current are the keys as they are. If they are old, they are read again meanwhile.
func (s *keySet) current() *keys {
	now := s.keys.Load()
	if time.Since(now.read) > s.age {
		s.refresh()
	}
	return s.keys.Load()
}

// find returns the key of a token; nil if there is none. If the token names a key that is not
// there, it waits until the set has been read again, unless that was just now.
func (s *keySet) find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) (key any, version uint64) {
	now := s.current()
	if key := now.find(id, algorithm); key != nil {
		return key, now.version
	}
	if over := s.refresh(); over != nil {
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	now = s.keys.Load()
	return now.find(id, algorithm), now.version
}

// find returns the one key that a token may be signed with. A token that names none means the only
// one.
func (k *keys) find(id string, algorithm jose.SignatureAlgorithm) any {
	if id == "" && len(k.list) != 1 {
		return nil
	}
	for i := range k.list {
		if key := &k.list[i]; (id == "" || key.KeyID == id) && signs(key, algorithm) {
			return key.Key
		}
	}
	return nil
}

// signs says whether a key is one for a kind of signature, and strong enough.
func signs(key *jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Algorithm != "" && key.Algorithm != string(algorithm) || key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return (algorithm == jose.RS256 || algorithm == jose.PS256) && public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	}
	return false
}

// refresh has the keys read again, unless that was begun a moment ago. It returns what is
// closed when the reading under way is over; nil if none is.
func (s *keySet) refresh() (over chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading != nil || time.Since(s.tried) < s.pause {
		return s.reading
	}
	reading := make(chan struct{})
	s.reading, s.tried = reading, time.Now()
	go func() { // lives as long as keySetTimeout
		ctx, cancel := context.WithTimeout(context.Background(), keySetTimeout)
		defer cancel()
		if err := s.readAgain(ctx); err != nil {
			s.logger.Warn("the keys of the issuer of tokens cannot be read; the old ones stay in use",
				"from", s.file+s.url, "error", err)
		}
		s.mu.Lock()
		s.reading = nil
		s.mu.Unlock()
		close(reading)
	}()
	return reading
}

// readAgain reads the keys.
func (s *keySet) readAgain(ctx context.Context) error {
	read := time.Now()
	text, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	now := *s.keys.Load()
	if now.read = read; now.version == 0 || now.text != string(text) {
		if now.list, err = parseKeys(text); err != nil {
			return err
		}
		now.text = string(text)
		now.version++
	}
	s.keys.Store(&now)
	return nil
}

func (s *keySet) fetch(ctx context.Context) ([]byte, error) {
	if s.url == "" {
		return os.ReadFile(s.file)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
}

// parseKeys reads a key set. Keys that cannot sign a token here are left out, shared secrets too.
func parseKeys(text []byte) (list []jose.JSONWebKey, err error) {
	var set struct{ Keys []json.RawMessage }
	if len(text) > maxKeySetBytes {
		return nil, fmt.Errorf("a key set is longer than %d bytes", maxKeySetBytes)
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is no JSON Web Key Set: %w", err)
	}
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) != nil || !key.IsPublic() {
			continue
		}
		for _, algorithm := range algorithms {
			if signs(&key, algorithm) {
				list = append(list, key)
				break
			}
		}
	}
	if len(list) == 0 || len(list) > maxKeys {
		return nil, fmt.Errorf("there are %d keys for any of %v in it; there have to be 1 to %d",
			len(list), algorithms, maxKeys)
	}
	return list, nil
}
