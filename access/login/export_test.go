package login

// LookEachTime has every handshake look at the files.
func (c *Certificates) LookEachTime() { c.lookAfter = 0 }

// LookEachTime has every look-up look at the file.
func (f *UsersFile) LookEachTime() { f.lookAfter = 0 }
