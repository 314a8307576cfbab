//go:build !race

package batch_test

// poolSlack is how many allocations more a long run may make than a short one.
const poolSlack = 2
