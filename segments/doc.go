// Package segments is what Firn keeps in the bucket and the bucket itself: segment objects, byte
// for byte (FORMAT.md), and the Store contract with its drivers in sub-packages. It knows record
// batches (sub-package batch) but neither offsets' owners nor topics' names.
package segments
