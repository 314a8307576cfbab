package main

import (
	"fmt"
	"iter"
)

// nearest returns the name that a misspelt one was probably meant to be: the one with the fewest
// letters to change, if those are few.
func nearest(misspelt string, names iter.Seq[string]) (name string, found bool) {
	most := max(1, min(len(misspelt)/3, 3))
	for candidate := range names {
		if d := distance(misspelt, candidate); d <= most && candidate != misspelt {
			name, found, most = candidate, true, d-1
		}
	}
	return name, found
}

// didYouMean is what an error says about a misspelt name: nothing, or a question.
func didYouMean(misspelt string, names iter.Seq[string]) string {
	if name, found := nearest(misspelt, names); found {
		return fmt.Sprintf("; did you mean %s?", name)
	}
	return ""
}

// distance is how many bytes are to be inserted, deleted, replaced or swapped with their neighbour
// to make b of a.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[(i+2)%3], rows[i%3], rows[(i+1)%3] // of a's first i-2, i-1 and i bytes
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
