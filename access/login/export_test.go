package login

// LookEachTime has every handshake look at the files.
func (c *Certificates) LookEachTime() { c.lookAfter = 0 }
