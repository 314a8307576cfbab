package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firn.dev/segments"
)

// ErrSuperseded is returned instead of deleting anything when the bucket has gone on to a later
// incarnation than the one that the caller judged by. The caller keeps what it was about to delete,
// and judges again in its next life.
var ErrSuperseded = errors.New("the bucket has gone on to a later incarnation, so nothing is deleted")

// deleteBatch is how many objects are deleted at once.
const deleteBatch = 500

// Delete deletes objects that the caller found needless by the state of the incarnation judged. All
// code that deletes objects of a cluster calls it; TestDeleters, at the module's root, holds that.
//
// A node that is cut off together with an old coordinator does not hear of a recovery elsewhere,
// and takes what the later incarnation writes for garbage. So Delete looks for the newest
// incarnation in the bucket: after the judgement, which the caller has made by now, and before the
// first delete. If it is a later one, Delete deletes nothing.
//
// One look is enough, however long the deletes take and however late a frozen process or a slow
// network carries them out. A recovery that this look does not see has yet to create its
// incarnation, and lists and seals the chains only then; so its state begins with every fact that
// the caller judged by. And what a caller may judge to be needless stays needless in every later
// state: a segment that no span refers to and that is too old to be committed or merged, a journal
// object that a snapshot covers, objects that an older incarnation left behind. No key is used
// twice. So a caller may also delete in several calls what it judged once.
func Delete(ctx context.Context, store segments.Store, judged Incarnation, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := current(ctx, store, judged); err != nil {
		return err
	}
	for some := range slices.Chunk(keys, deleteBatch) {
		if err := store.Delete(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}

// CleanUploads removes what is left of uploads that began before a time by the store's clock, as
// Delete deletes objects, and returns how many there were.
func CleanUploads(ctx context.Context, store segments.Store, judged Incarnation, before time.Time) (int, error) {
	if err := current(ctx, store, judged); err != nil {
		return 0, err
	}
	return segments.Clean(ctx, store, before)
}

// current returns ErrSuperseded, with what an operator should know and do, unless an incarnation is
// the newest in the bucket.
func current(ctx context.Context, store segments.Store, in Incarnation) error {
	newest, err := newestIncarnation(ctx, store, in)
	if err != nil || newest == in {
		return err
	}
	return fmt.Errorf("%w: incarnation %d was begun %s, and this node lives in %d; "+
		"if that lasts, restart this node with the coordinator that the others use",
		ErrSuperseded, newest, begunBy(ctx, store, newest), in)
}

// begunBy says for people who began an incarnation, and when.
func begunBy(ctx context.Context, store segments.Store, in Incarnation) string {
	o, err := readIncarnation(ctx, store, in)
	if err != nil {
		return "by another process"
	}
	who, _, _ := strings.Cut(o.who, recoveryMark)
	return fmt.Sprintf("by %s, at %s", who, time.UnixMilli(o.when).UTC().Format(time.RFC3339))
}
