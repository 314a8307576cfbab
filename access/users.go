package access

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Users knows who may log in. PLAIN, SCRAM and HTTP's Basic all check passwords against the same
// keys.
type Users interface {
	// ScramKeys returns what proves that somebody knows the user's password, or false for a user who
	// has no such keys. It is called for each login and, for a connection that stays open, about once
	// a second: other keys, or none, end the connection. It answers from memory and does not wait; it
	// is safe for concurrent use. The caller changes nothing of what it returns.
	ScramKeys(user string, mechanism ScramMechanism) (ScramKeys, bool)
}

// ScramMechanism is Kafka's ScramMechanism (KIP-554), and so are its numbers.
type ScramMechanism int8

// The mechanisms.
const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

// ScramMechanisms are all of them, the strongest first.
var ScramMechanisms = []ScramMechanism{ScramSHA512, ScramSHA256}

// String is the name that SASL gives it.
func (m ScramMechanism) String() string {
	if m == ScramSHA512 {
		return "SCRAM-SHA-512"
	}
	return "SCRAM-SHA-256"
}

// ParseScramMechanism finds the mechanism of a name, whatever its case; 0 if there is none.
func ParseScramMechanism(name string) ScramMechanism {
	for _, m := range ScramMechanisms {
		if strings.EqualFold(name, m.String()) {
			return m
		}
	}
	return 0
}

func (m ScramMechanism) hash() func() hash.Hash {
	if m == ScramSHA512 {
		return sha512.New
	}
	return sha256.New
}

// KeyBytes is the length of each of the mechanism's keys.
func (m ScramMechanism) KeyBytes() int { return m.hash()().Size() }

// Bounds of what Firn takes as a user. Kafka asks for 4,096 iterations at least and takes 16,384 at
// most: each login of a client costs as many hashes, and PLAIN costs them here.
const (
	minScramIterations     = 4096
	maxScramIterations     = 16_384
	DefaultScramIterations = 4096
	maxUserBytes           = 255
	MaxPasswordBytes       = 1024
	minSaltBytes           = 1
	maxSaltBytes           = 64
)

// ScramKeys is what is kept of a password: it proves that a client knows it, and does not tell it
// (RFC 5802).
type ScramKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// NewScramKeys makes keys of a password, with a new salt.
func NewScramKeys(m ScramMechanism, password string, iterations int) (ScramKeys, error) {
	if err := CheckPassword(password); err != nil {
		return ScramKeys{}, err
	}
	if err := checkIterations(iterations); err != nil {
		return ScramKeys{}, err // before they are all done
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	k := ScramKeysOf(m, saltPassword(m, password, salt, iterations), salt, iterations)
	return k, k.Validate(m)
}

// ScramKeysOf makes keys of a salted password, which is what AlterUserScramCredentials sends.
func ScramKeysOf(m ScramMechanism, saltedPassword, salt []byte, iterations int) ScramKeys {
	stored := m.hash()()
	stored.Write(m.hmac(saltedPassword, "Client Key"))
	return ScramKeys{Salt: salt, Iterations: iterations,
		StoredKey: stored.Sum(nil), ServerKey: m.hmac(saltedPassword, "Server Key")}
}

func checkIterations(n int) error {
	if n < minScramIterations || n > maxScramIterations {
		return fmt.Errorf("%d iterations; there must be %d to %d", n, minScramIterations, maxScramIterations)
	}
	return nil
}

// Validate says what is wrong with keys of a mechanism.
func (k ScramKeys) Validate(m ScramMechanism) error {
	switch size := m.KeyBytes(); {
	case m != ScramSHA256 && m != ScramSHA512:
		return fmt.Errorf("there is no SCRAM mechanism %d", m)
	case len(k.Salt) < minSaltBytes || len(k.Salt) > maxSaltBytes:
		return fmt.Errorf("a salt of %d bytes; it must have %d to %d", len(k.Salt), minSaltBytes, maxSaltBytes)
	case len(k.StoredKey) != size || len(k.ServerKey) != size:
		return fmt.Errorf("keys of %d and %d bytes; those of %s have %d", len(k.StoredKey), len(k.ServerKey), m, size)
	}
	return checkIterations(k.Iterations)
}

// Equal compares keys, in a time that does not depend on them.
func (k ScramKeys) Equal(other ScramKeys) bool {
	return subtle.ConstantTimeCompare(k.StoredKey, other.StoredKey) == 1 &&
		subtle.ConstantTimeCompare(k.ServerKey, other.ServerKey) == 1
}

// Match reports whether the keys are those of a password. It takes milliseconds, on purpose.
func (k ScramKeys) Match(m ScramMechanism, password string) bool {
	if CheckPassword(password) != nil {
		return false
	}
	return k.Equal(ScramKeysOf(m, saltPassword(m, password, k.Salt, k.Iterations), k.Salt, k.Iterations))
}

// saltPassword is Hi(password, salt, iterations).
func saltPassword(m ScramMechanism, password string, salt []byte, iterations int) []byte {
	salted, err := pbkdf2.Key(m.hash(), password, salt, iterations, m.KeyBytes())
	if err != nil { // only where a policy of FIPS 140 forbids such short keys
		panic(fmt.Sprintf("access: PBKDF2: %v", err))
	}
	return salted
}

func (m ScramMechanism) hmac(key []byte, text string) []byte {
	mac := hmac.New(m.hash(), key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// CheckPassword says what is wrong with a password, without telling it. HMAC cannot tell passwords
// apart that differ in zero bytes at the end.
func CheckPassword(password string) error {
	if password == "" || len(password) > MaxPasswordBytes {
		return fmt.Errorf("a password has 1 to %d bytes, not %d", MaxPasswordBytes, len(password))
	}
	if strings.ContainsRune(password, 0) {
		return errors.New("a password contains no zero bytes")
	}
	return nil
}

// CheckUserName says what is wrong with the name of a user. Kafka forbids nothing but the empty
// name; control characters would break lines of logs and files.
func CheckUserName(name string) error {
	if name == "" || len(name) > maxUserBytes {
		return fmt.Errorf("the name of a user has 1 to %d bytes, not %d", maxUserBytes, len(name))
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return fmt.Errorf("the name of a user is printable text, unlike %q", name)
		}
	}
	return nil
}
