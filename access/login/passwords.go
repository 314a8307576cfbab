package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/time/rate"

	"firn.dev/access"
)

// Bounds of what passwords may cost. A check is thousands of hashes, on purpose.
const (
	maxRemembered = 10_000 // passwords that were right
	maxAddresses  = 10_000 // addresses whose failures are counted

	checksPerSecond = 20 // from one address, that are not of a password that was right before
	checksAtOnce    = 100
)

// Passwords checks who somebody is by a password, for PLAIN and for HTTP's Basic, and begins
// exchanges of SCRAM. All know the same users.
//
// A password that was right is remembered as a keyed hash, so an honest client costs little. Others
// wait: for their address's turn, one at a time, and then for a core, of which half may check
// passwords. So many guesses from some addresses keep a client of another waiting for one of each.
type Passwords struct {
	users  access.Users
	secret []byte        // of this process
	decoys ClusterSecret // or nil
	cores  chan struct{}

	mu         sync.Mutex
	remembered map[[sha256.Size]byte]access.ScramKeys
	addresses  map[netip.Addr]*turns
}

// turns bound the checks of one address.
type turns struct {
	rate *rate.Limiter
	one  chan struct{} // has something in it while a check waits for a core, or has one
}

// NewPasswords returns a checker of the passwords of users.
func NewPasswords(users access.Users) *Passwords {
	p := &Passwords{users: users, secret: make([]byte, 32), cores: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		remembered: map[[sha256.Size]byte]access.ScramKeys{}, addresses: map[netip.Addr]*turns{}}
	rand.Read(p.secret) // never fails
	return p
}

// HideBehind has all nodes of a cluster show the same salt for a user that does not exist, so that
// a client that asks several of them cannot tell. It is called before anything else.
func (p *Passwords) HideBehind(secret ClusterSecret) { p.decoys = secret }

// decoy is the secret that the keys of users who do not exist are made of.
func (p *Passwords) decoy() []byte {
	if key := p.decoys.key("decoys"); key != nil {
		return key
	}
	return p.secret
}

// Proof is what a client has proved: who it is, and with which keys. When the keys of the user are
// others, or none, it proves nothing any more.
type Proof struct {
	User      string
	mechanism access.ScramMechanism
	keys      access.ScramKeys
}

// Holds says whether a proof is still one.
func (p *Passwords) Holds(proof Proof) bool {
	keys, exists := p.users.ScramKeys(proof.User, proof.mechanism)
	return exists && keys.Equal(proof.keys)
}

// Scram begins an exchange.
func (p *Passwords) Scram(m access.ScramMechanism) *Scram {
	return &Scram{users: p.users, mechanism: m, decoy: p.decoy()}
}

// ProofOf is what an exchange has proved that is done.
func (p *Passwords) ProofOf(s *Scram) Proof { return Proof{s.user, s.mechanism, s.keys} }

// Plain checks a message of PLAIN (RFC 4616): [authzid] NUL user NUL password.
func (p *Passwords) Plain(ctx context.Context, from netip.Addr, message []byte) (Proof, error) {
	parts := bytes.Split(message, []byte{0})
	if len(message) > maxScramMessage || len(parts) != 3 ||
		len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
		return Proof{}, ErrFailed
	}
	return p.Check(ctx, from, string(parts[1]), string(parts[2]))
}

// Check checks a password. It returns ErrFailed, or ctx's error when it had to wait for too long.
func (p *Passwords) Check(ctx context.Context, from netip.Addr, user, password string) (Proof, error) {
	if access.CheckUserName(user) != nil || access.CheckPassword(password) != nil {
		return Proof{}, ErrFailed
	}
	proof := Proof{User: user}
	exists := false
	for _, m := range access.ScramMechanisms {
		if proof.keys, exists = p.users.ScramKeys(user, m); exists {
			proof.mechanism = m
			break
		}
	}
	id := p.hash(user, password)
	if exists && p.remembers(id, proof.keys) {
		return proof, nil
	}
	if !exists { // a user that does not exist takes as long as one that does
		proof.mechanism = access.ScramMechanisms[0]
		proof.keys = decoyKeys(proof.mechanism, p.decoy(), user)
	}
	turns := p.turnsOf(from)
	if err := turns.rate.Wait(ctx); err != nil {
		return Proof{}, err
	}
	for _, place := range []chan struct{}{turns.one, p.cores} {
		select {
		case place <- struct{}{}:
			defer func() { <-place }()
		case <-ctx.Done():
			return Proof{}, ctx.Err()
		}
	}
	if right := proof.keys.Match(proof.mechanism, password); !right || !exists {
		return Proof{}, ErrFailed
	}
	p.remember(id, proof.keys)
	return proof, nil
}

// hash is what is kept of a password that was right. Its key is this process's own.
func (p *Passwords) hash(user, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write([]byte(user + "\x00" + password))
	mac.Sum(sum[:0])
	return sum
}

func (p *Passwords) remembers(id [sha256.Size]byte, keys access.ScramKeys) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, is := p.remembered[id]
	return is && known.Equal(keys)
}

func (p *Passwords) remember(id [sha256.Size]byte, keys access.ScramKeys) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dropOne(p.remembered, maxRemembered)
	p.remembered[id] = keys
}

func (p *Passwords) turnsOf(from netip.Addr) *turns {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, known := p.addresses[from]
	if !known {
		dropOne(p.addresses, maxAddresses)
		t = &turns{rate.NewLimiter(checksPerSecond, checksAtOnce), make(chan struct{}, 1)}
		p.addresses[from] = t
	}
	return t
}

// dropOne makes room in a map for one more.
func dropOne[K comparable, V any](m map[K]V, most int) {
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}

// Mechanisms are the names of SASL's mechanisms that passwords serve, as clients are told them.
func Mechanisms() []string {
	names := []string{"PLAIN"}
	for _, m := range access.ScramMechanisms {
		names = append(names, m.String())
	}
	return names
}
