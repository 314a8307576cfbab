package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every API that kmsg knows is either served or listed with a reason, and never both.
func TestEveryAPIIsServedOrExplained(t *testing.T) {
	listed := map[kmsg.Key]string{}
	for _, group := range unserved {
		for _, key := range group.keys {
			if before, twice := listed[key]; twice {
				t.Errorf("%s is listed as %q and as %q", key.Name(), before, group.why)
			}
			listed[key] = group.why
		}
	}
	for n := range int16(kmsg.MaxKey + 1) {
		key := kmsg.Key(n)
		_, served := apis[n]
		why, explained := listed[key]
		switch {
		case served && explained:
			t.Errorf("%s is served, and listed as unserved %q", key.Name(), why)
		case !served && !explained:
			t.Errorf("%s is neither served nor listed in unserved.go", key.Name())
		}
	}
}

// Versions that are registered have to be known to kmsg, which could not decode them otherwise.
func TestVersionsAreKnown(t *testing.T) {
	for key, a := range apis {
		if most := kmsg.RequestForKey(key).MaxVersion(); a.minVersion < 0 || a.minVersion > a.maxVersion ||
			a.maxVersion > most {
			t.Errorf("%s: versions %d to %d are registered; kmsg knows up to %d", a.key.Name(), a.minVersion, a.maxVersion, most)
		}
	}
}
