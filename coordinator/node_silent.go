package coordinator

import (
	"context"
	"time"

	"firn.dev/segments"
)

// silentChain is how long nothing was written behind the last object of a chain, by the store's
// clock, when other nodes consider its life over. It is twice as long as the life itself allows: a
// life that comes back after half of it looks for a seal, even one that is gone again (chain.put).
const silentChain = 2 * sealsSurely

// silentAtOnce is how many of them are sealed at once. The next snapshot goes on.
const silentAtOnce = 1000

// sealSilent ends the chains of lives that have been silent for long and are not among those
// that are known to be alive: nodes that were killed, sandboxes of functions. A recovery would
// do it, but a cluster may go on for years without one, and the last object of a chain without a
// seal stays for ever.
//
// A seal is the same whichever process puts it. Nothing that was acknowledged lies behind it,
// because it takes the place of the next object: of the life's put and this one exactly one
// succeeds. A life that thaws meets it, is fenced, and commits again in its next life, in the same
// incarnation, where it gets the answers that it got before. Three things that follow elsewhere
// from the end of an incarnation need care here:
//
//   - The life may come back when the seal itself has been deleted. It looks whether it was
//     (chain.connected), or gave itself up long before (chain.silence), so that it acknowledges
//     nothing; and snapshots go on to say that its chain is sealed, until the next incarnation, so
//     that nobody reads what it put there.
//   - This call may be slow, and the chain may have gone on meanwhile. If so, the key is free only
//     if a newer snapshot covers the object that was there: a reader of a seal with something
//     behind it begins again (loader.apply), and a recovery seals the true end.
//   - Facts that the life decided and did not journal are not lost: a node that sees them stalled
//     journals them, as it does for any node that died.
func (t *tidier) sealSilent(
	ctx context.Context, silent []*chainListing, alive map[string]bool, who string,
) (sealed int, err error) {
	now := time.Now()
	r := recovery{loader: t.loader, in: t.in, now: now, who: who + ", tidying " + segments.NewID(now).String()}
	for _, c := range silent[:min(len(silent), silentAtOnce)] {
		if alive[c.life] {
			continue
		}
		n, err := r.sealChain(ctx, c)
		if err != nil {
			return sealed, err
		}
		if n > c.last() {
			sealed++
		}
	}
	return sealed, nil
}
