package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// A profile is settings of flags under a name: where servers are, and how to log in. Secrets are
// not in it, but the names of their files.

// noProfile is what --profile is for none.
const noProfile = "none"

// maxProfileBytes bounds the file of profiles.
const maxProfileBytes = 1 << 20

// profiles is the file of profiles.
type profiles struct {
	Current  string                       `yaml:"current,omitempty"`
	Profiles map[string]map[string]string `yaml:"profiles"`

	path string
}

// errNoDirectory is returned where the user has no configuration directory. Without one there are
// no profiles.
var errNoDirectory = errors.New("profiles are in the user's configuration directory")

// profilesPath is where the file is: in the user's configuration directory.
func profilesPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoDirectory, err)
	}
	return filepath.Join(dir, "firn", "profiles.yaml"), nil
}

// readProfiles reads the file. Without one there are no profiles.
func readProfiles() (*profiles, error) {
	path, err := profilesPath()
	if err != nil {
		return nil, err
	}
	p := &profiles{Profiles: map[string]map[string]string{}, path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the profiles: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxProfileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the profiles: %w", err)
	}
	if len(text) > maxProfileBytes {
		return nil, fmt.Errorf("the profiles in %s have more than %d bytes", path, maxProfileBytes)
	}
	return p, p.parse(text)
}

// parse reads the text of the file.
func (p *profiles) parse(text []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the profiles in %s: %w", p.path, err)
	}
	if p.Profiles == nil {
		p.Profiles = map[string]map[string]string{}
	}
	for name, settings := range p.Profiles {
		if err := checkSettings(settings); err != nil {
			return fmt.Errorf("the profile %s in %s: %w", name, p.path, err)
		}
	}
	return nil
}

// write replaces the file by one that its owner alone can read.
func (p *profiles) write() error {
	text, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	return writePrivately(p.path, text)
}

// writePrivately writes a file that its owner alone can read, all of it or nothing.
func writePrivately(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next := path + "." + rand.Text()
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}

// settings are those of a profile that exists.
func (p *profiles) settings(name string) (map[string]string, error) {
	settings, there := p.Profiles[name]
	if !there {
		return nil, fmt.Errorf("there is no profile %q%s: 'firn profile list' lists them, 'firn profile create' makes one",
			name, didYouMean(name, maps.Keys(p.Profiles)))
	}
	return settings, nil
}

// profileFlags are the flags that a profile may set.
func profileFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("profile", pflag.ContinueOnError)
	addProfileFlags(flags)
	return flags
}

func addProfileFlags(flags *pflag.FlagSet) {
	new(bootstrap).addConnectionFlags(flags)
	addURLFlag(flags, new([]string))
}

// checkSettings wants flags, with values that they can have.
func checkSettings(settings map[string]string) error {
	flags := profileFlags()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if flags.Lookup(name) == nil {
			return fmt.Errorf("there is no setting %q%s", name, didYouMean(name, flagNames(flags)))
		}
		if err := flags.Set(name, settings[name]); err != nil {
			return fmt.Errorf("setting %s: %w", name, errors.Unwrap(err))
		}
		if isFile(flags.Lookup(name)) && settings[name] == fromStandardInput {
			return fmt.Errorf("setting %s: - is no file", name)
		}
	}
	return nil
}

// flagNames yields the names of flags.
func flagNames(flags *pflag.FlagSet) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		more := true
		flags.VisitAll(func(f *pflag.Flag) { more = more && yield(f.Name) })
	}
}

// fromProfile sets the flags that neither the command line nor a variable has set, from the profile
// that --profile names, or else from the current one. The login of the current one is for its
// addresses alone: a profile in use is easily forgotten, and others would get its password.
func fromProfile(cmd *cobra.Command, warn func(string)) error {
	flag := cmd.Flags().Lookup(profileFlag)
	if flag == nil {
		return nil
	}
	name := flag.Value.String()
	if name == noProfile {
		return nil
	}
	chosen := name != ""
	p, err := readProfiles()
	switch {
	case !chosen && (errors.Is(err, errNoDirectory) || errors.Is(err, syscall.ENOTDIR)):
		return nil // the user of a container has no home, or it is /dev/null
	case !chosen && errors.Is(err, fs.ErrPermission):
		warn(err.Error() + "; this goes on without a profile, as with --profile none")
		return nil
	case err != nil:
		return err
	}
	name = cmp.Or(name, p.Current)
	if name == "" {
		return nil
	}
	settings, err := p.settings(name)
	if err != nil {
		return err
	}
	if !chosen && isElsewhere(cmd.Flags(), settings) {
		settings = withoutLogin(cmd.Flags(), settings, func() {
			warn(fmt.Sprintf("the login of profile %s is not used: the profile is of another address; --profile %s uses it",
				name, name))
		})
	}
	for flag, value := range settings {
		if f := cmd.Flags().Lookup(flag); f != nil && !f.Changed {
			if err := cmd.Flags().Set(flag, value); err != nil {
				return fmt.Errorf("profile %s: %w", name, err)
			}
		}
	}
	return nil
}

// isElsewhere says whether flags that were given name an address that is not the profile's.
func isElsewhere(flags *pflag.FlagSet, settings map[string]string) bool {
	own := profileFlags()
	for _, name := range []string{"bootstrap", "http-url"} {
		given := flags.Lookup(name)
		if given == nil || !given.Changed {
			continue
		}
		known := own.Lookup(name)
		if value, there := settings[name]; there && known.Value.Set(value) != nil {
			return true
		}
		for _, address := range given.Value.(pflag.SliceValue).GetSlice() {
			if !slices.Contains(known.Value.(pflag.SliceValue).GetSlice(), address) {
				return true
			}
		}
	}
	return false
}

// withoutLogin leaves the login out of settings, and says if it would have been used.
func withoutLogin(flags *pflag.FlagSet, settings map[string]string, leftOut func()) map[string]string {
	kept, used := maps.Clone(settings), false
	for _, name := range loginFlags {
		f := flags.Lookup(name)
		_, there := settings[name]
		used = used || there && f != nil && !f.Changed
		delete(kept, name)
	}
	if used {
		leftOut()
	}
	return kept
}
