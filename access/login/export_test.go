package login

import (
	"time"

	"firn.dev/access"
)

// LookEachTime has every handshake look at the files.
func (c *Certificates) LookEachTime() { c.settings.LookAfter = 0 }

// LookEachTime has every look-up look at the file.
func (f *UsersFile) LookEachTime() { f.users.LookAfter = 0 }

// PauseFor sets how often a key that is not there has the set read again, and how old it gets.
func (t *Tokens) PauseFor(pause, age time.Duration) { t.keys.pause, t.keys.age = pause, age }

// OneCore has one core alone check passwords. It is taken, and free frees it.
func (p *Passwords) OneCore() (free func()) {
	p.cores = make(chan struct{}, 1)
	p.cores <- struct{}{}
	return func() { <-p.cores }
}

// OfName is Of a client with a certificate of such a subject.
func (r PrincipalRules) OfName(subject string) (access.Principal, error) { return r.of(subject) }
