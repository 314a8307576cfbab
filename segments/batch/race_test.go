//go:build race

package batch_test

// poolSlack is how many allocations more a long run may make than a short one. With the race
// detector a sync.Pool drops what it is given now and then.
const poolSlack = 20
