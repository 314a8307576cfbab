package login

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"firn.dev/access"
)

// ClusterSecret returns what the nodes of a cluster know, and nobody else; nil while this node does
// not know it yet. It is asked each time, and does not wait.
type ClusterSecret func() []byte

// MinSecretBytes is the length of a secret at least.
const MinSecretBytes = 32

// key is a key of its own for one purpose; nil if there is no secret.
func (s ClusterSecret) key(purpose string) []byte {
	if s == nil {
		return nil
	}
	secret := s()
	if len(secret) < MinSecretBytes {
		return nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "firn "+purpose, sha256.Size)
	if err != nil { // only for keys that are longer than this
		panic(fmt.Sprintf("login: HKDF: %v", err))
	}
	return key
}

// Errors of proofs between nodes.
var (
	// ErrNoSecret is returned while this node does not know the secret of its cluster: try again.
	ErrNoSecret = errors.New("this node does not know the secret of its cluster yet")
	// ErrNotOurs is returned for a proof that was not made with this cluster's secret, or not for this
	// request. Nodes with different secret files make such proofs.
	ErrNotOurs = errors.New("no proof of a node of this cluster: all nodes need the same secret file, or none")
	// ErrStale is returned for a proof that is too old, too new, or was used before.
	ErrStale = errors.New("a proof of a node of this cluster that was used before, or the clocks of " +
		"the nodes differ by more than a minute")
)

// Bounds of a proof.
const (
	// proofWindow is how far a proof's time may be from that of the node that checks it.
	proofWindow = time.Minute
	// maxProofsSeen is how many proofs are remembered of each two windows: none of them is taken
	// twice.
	maxProofsSeen = 100_000
	proofNonce    = 16
)

// Forwarded is a request that one node of a cluster sends to another on behalf of a client.
type Forwarded struct {
	Method, URI string
	BodyHash    [sha256.Size]byte
	From, To    int32         // nodes
	Client      access.Client // as the first node has seen it
}

// Peers has the nodes of a cluster prove to each other that they are such.
type Peers struct {
	secret ClusterSecret

	mu           sync.Mutex
	seen, before map[[proofNonce]byte]struct{} // in this round of two windows, and in the one before
	turned       time.Time
}

// NewPeers returns the peers of a cluster with a secret.
func NewPeers(secret ClusterSecret) *Peers {
	return &Peers{secret: secret, seen: map[[proofNonce]byte]struct{}{}}
}

// Prove makes a proof that this node is of the cluster, for one request: its time, a nonce, the
// hash of the body, and the MAC of all of the request.
func (p *Peers) Prove(f Forwarded) (string, error) {
	key := p.secret.key("forward")
	if key == nil {
		return "", ErrNoSecret
	}
	nonce := make([]byte, proofNonce)
	rand.Read(nonce) // never fails
	millis := time.Now().UnixMilli()
	mac := f.mac(key, millis, nonce)
	return fmt.Sprintf("v1 %d %s %s %s", millis, encode(nonce), encode(f.BodyHash[:]), encode(mac)), nil
}

// Check checks a proof. It fills in the hash that the body has to have.
func (p *Peers) Check(f *Forwarded, proof string) error {
	key := p.secret.key("forward")
	if key == nil {
		return ErrNoSecret
	}
	parts := strings.Split(proof, " ")
	if len(parts) != 5 || parts[0] != "v1" {
		return ErrNotOurs
	}
	millis, err := strconv.ParseInt(parts[1], 10, 64)
	nonce, mac := decode(parts[2]), decode(parts[4])
	hash := decode(parts[3])
	if err != nil || len(nonce) != proofNonce || len(hash) != sha256.Size {
		return ErrNotOurs
	}
	f.BodyHash = [sha256.Size]byte(hash)
	if !hmac.Equal(mac, f.mac(key, millis, nonce)) {
		return ErrNotOurs
	}
	age := time.Since(time.UnixMilli(millis))
	if age > proofWindow || age < -proofWindow || !p.first([proofNonce]byte(nonce)) {
		return ErrStale
	}
	return nil
}

// first says whether a nonce comes for the first time.
func (p *Peers) first(nonce [proofNonce]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.turned) > 2*proofWindow || len(p.seen) >= maxProofsSeen {
		p.turned = now
		p.seen, p.before = map[[proofNonce]byte]struct{}{}, p.seen
	}
	_, now := p.seen[nonce]
	_, before := p.before[nonce]
	p.seen[nonce] = struct{}{}
	return !now && !before
}

// mac covers everything that a proof is about, each part with its length.
func (f *Forwarded) mac(key []byte, millis int64, nonce []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{f.Method, f.URI, string(f.BodyHash[:]),
		strconv.Itoa(int(f.From)), strconv.Itoa(int(f.To)),
		f.Client.Principal.Type, f.Client.Principal.Name, f.Client.Host, strconv.FormatInt(millis, 10), string(nonce)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode returns nil for what is no base64.
func decode(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
