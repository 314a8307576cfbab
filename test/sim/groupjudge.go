package sim

// committed is what is known of the offsets that a group committed for one partition, by one member that commits more each time.
type committed struct {
	tried    int64 // the highest that it tried to commit
	lossless int64 // the highest that it knows to be committed, since the coordinator last lost anything
}

func (j *judge) group(name string) *committed {
	c := j.groups[name]
	if c == nil {
		c = &committed{}
		j.groups[name] = c
	}
	return c
}

func (j *judge) commits(group string, offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.group(group)
	c.tried = max(c.tried, offset)
}

// committed notes that a commit was answered. losses is how often the coordinator had lost anything when it was made.
func (j *judge) committed(group string, offset int64, losses int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if losses == j.lost {
		c := j.group(group)
		c.lossless = max(c.lossless, offset)
	}
}

// loses says that the coordinator may have lost what was not journaled.
func (j *judge) loses() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lost++
	for _, c := range j.groups {
		c.lossless = 0
	}
}

func (j *judge) losses() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// fetched checks what a group was told to be committed. since is what it knew to be committed when it asked, and losses how often the coordinator had lost anything by then.
func (j *judge) fetched(who, group string, offset, since int64, losses int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if c := j.group(group); offset > c.tried {
		j.violated("P5: group %s: %s says that %d is committed, and nobody tried more than %d", group, who, offset, c.tried)
	}
	if offset < since && losses == j.lost {
		j.violated("P5: group %s: %s says that %d is committed, after %d was, and the coordinator has lost nothing", group, who, offset, since)
	}
}

func (j *judge) lossless(group string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.group(group).lossless
}
