package coordinator

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// Generation is one opening of a coordinator: the incarnation that was opened, and a nonce that no
// other opening has. An incarnation is opened at most once, so there should be only one generation
// of each. The nonce serves to notice when there are two.
type Generation struct {
	Incarnation Incarnation
	Nonce       Nonce
}

// Nonce tells an opening from every other. The zero Nonce stands for an unknown one: older versions
// did not write it down.
type Nonce [8]byte

// NewGeneration draws the nonce of an opening.
func NewGeneration(in Incarnation) Generation {
	g := Generation{Incarnation: in}
	rand.Read(g.Nonce[:])
	return g
}

// String is the incarnation, a dot, and the nonce in hexadecimal digits.
func (g Generation) String() string { return fmt.Sprintf("%d.%x", g.Incarnation, g.Nonce[:]) }

// ParseGeneration reads what String wrote.
func ParseGeneration(text string) (Generation, error) {
	number, nonce, _ := strings.Cut(text, ".")
	in, err := strconv.ParseUint(number, 10, 64)
	g := Generation{Incarnation: Incarnation(in)}
	digits := nonce[:min(len(nonce), 2*len(g.Nonce))]
	n, bad := hex.Decode(g.Nonce[:], []byte(digits))
	if err != nil || bad != nil || n != len(g.Nonce) || len(nonce) != 2*n {
		return Generation{}, fmt.Errorf("%w: generation %q", ErrMalformed, text)
	}
	return g, nil
}

// ErrOpenedBefore refuses to open a state a second time. Between the two openings the
// coordinator may have lost what was decided after the first, and the second would give the same
// offsets to other records. Recover anew: the next incarnation begins with all that was
// acknowledged in this one.
var ErrOpenedBefore = errors.New("this state was opened before, or is not of a recovery: it has to be recovered anew")

// ErrOpening says that an opening was sent and that its reply was lost, so that it is not known
// whether it took effect. Ask Log.Generation what is open: if it returns the state's own
// Generation, the opening took effect, and stands. If not, drop the state and recover anew.
var ErrOpening = errors.New("the reply to the opening was lost")

// opening is the right to open a state, which can be used once. Copies of a state share it.
type opening struct{ used atomic.Pointer[Generation] }

// BeginOpening uses up the right to open this state, as a generation of its incarnation.
// Implementations of Log.Open call it directly before the one call that makes the state current,
// and not before: a state whose parts could not be loaded may be tried again. It returns
// ErrOpenedBefore to all but the first caller.
func (s *State) BeginOpening(g Generation) error {
	if s.opening == nil || !s.opening.used.CompareAndSwap(nil, &g) {
		return ErrOpenedBefore
	}
	return nil
}

// Generation is what the opening of this state was sent as; zero if none was sent.
func (s *State) Generation() Generation {
	if s.opening != nil {
		if g := s.opening.used.Load(); g != nil {
			return *g
		}
	}
	return Generation{}
}
