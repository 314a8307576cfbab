package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

func newProfile(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Keep where clusters are and how to log in, under names",
		Long: "Keep where clusters are and how to log in, under names. A profile is what the flags of a connection are\n" +
			"when neither the command line nor a FIRN_ variable says otherwise. --profile and FIRN_PROFILE choose one for a\n" +
			"command, 'firn profile use' for all; none is none. A profile has no secrets, but names of files with them.",
	}
	cmd.AddCommand(newProfileCreate(s), newProfileUse(s), newProfileList(s), newProfileEdit(s), newProfileDelete(s))
	onlySubcommands(cmd)
	return cmd
}

// changeProfiles reads the file of profiles, has it changed, and writes it.
func changeProfiles(change func(p *profiles) error) error {
	p, err := readProfiles()
	if err != nil {
		return err
	}
	if err := change(p); err != nil {
		return err
	}
	return p.write()
}

// settingsOf are the settings that the command line gives, not those of variables. Names of files
// become absolute: commands run anywhere.
func settingsOf(flags *pflag.FlagSet) (settings map[string]string, err error) {
	settings = map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || f.Annotations[fromVariable] != nil || profileFlags().Lookup(f.Name) == nil {
			return
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if isFile(f) && value != "" {
			absolute, wrong := filepath.Abs(value)
			if value == fromStandardInput {
				wrong = usagef("--%s -: a profile keeps names of files", f.Name)
			}
			value, err = absolute, cmp.Or(err, wrong)
		}
		settings[f.Name] = value
	})
	return settings, err
}

// isFile says whether the value of a flag names a file.
func isFile(f *pflag.Flag) bool {
	kind, _ := pflag.UnquoteUsage(f)
	return kind == "file"
}

func newProfileCreate(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a profile of the flags that are given, and use it",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if name == "" || name == noProfile || name != printable(name) || len(name) > 100 {
				return usagef("a profile cannot be called %q", name)
			}
			settings, err := settingsOf(cmd.Flags())
			if err != nil {
				return err
			}
			err = changeProfiles(func(p *profiles) error {
				if _, there := p.Profiles[name]; there {
					return fmt.Errorf("there is a profile %q already; 'firn profile edit %s' changes it", name, name)
				}
				p.Profiles[name], p.Current = settings, name
				return nil
			})
			if err != nil {
				return err
			}
			s.note("created profile %s; commands use it from now on", name)
			return nil
		},
	}
	addProfileFlags(cmd.Flags())
	return cmd
}

func newProfileUse(s streams) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Use a profile from now on; none to use none",
		Args:              exactly("NAME"),
		ValidArgsFunction: completeProfiles,
		RunE: func(_ *cobra.Command, args []string) error {
			err := changeProfiles(func(p *profiles) (err error) {
				p.Current = ""
				if args[0] != noProfile {
					p.Current = args[0]
					_, err = p.settings(args[0])
				}
				return err
			})
			if err != nil {
				return err
			}
			s.note("commands use profile %s from now on", args[0])
			return nil
		},
	}
}

// listedProfile is a profile in a list.
type listedProfile struct {
	Profile  string          `json:"profile"`
	Current  bool            `json:"current"`
	Settings profileSettings `json:"settings"`
}

type profileSettings map[string]string

func (s profileSettings) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, name+"="+s[name])
	}
	return strings.Join(parts, " ")
}

func newProfileList(s streams) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all profiles, with their settings",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			p, err := readProfiles()
			if err != nil {
				return err
			}
			list := []listedProfile{}
			for _, name := range slices.Sorted(maps.Keys(p.Profiles)) {
				list = append(list, listedProfile{name, name == p.Current, p.Profiles[name]})
			}
			return form.print(s.Out, list)
		},
	}
	form.addFlag(cmd)
	return cmd
}

func newProfileEdit(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit NAME",
		Short: "Change the settings that are given of a profile, or all of them in $VISUAL or $EDITOR",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := settingsOf(cmd.Flags())
			if err != nil {
				return err
			}
			err = changeProfiles(func(p *profiles) error {
				settings, err := p.settings(args[0])
				if err != nil {
					return err
				}
				if len(given) == 0 {
					given, err = editSettings(cmd.Context(), s, settings)
					p.Profiles[args[0]] = given
					return err
				}
				if settings == nil {
					settings = map[string]string{}
				}
				maps.Copy(settings, given)
				p.Profiles[args[0]] = settings
				return nil
			})
			if err != nil {
				return err
			}
			s.note("changed profile %s", args[0])
			return nil
		},
		ValidArgsFunction: completeProfiles,
	}
	addProfileFlags(cmd.Flags())
	return cmd
}

// editSettings has a person edit settings. What is wrong with them is an error, and changes
// nothing.
func editSettings(ctx context.Context, s streams, settings map[string]string) (map[string]string, error) {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	if editor == "" {
		return nil, usagef("give the flags to change, or set EDITOR to the editor to change them with")
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "firn-profile-*.yaml") // its mode is 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	words := append(strings.Fields(editor), f.Name())
	edit := exec.CommandContext(ctx, words[0], words[1:]...)
	edit.Stdin, edit.Stdout, edit.Stderr = s.In, s.Err, s.Err
	if err := edit.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w; nothing is changed", editor, err)
	}
	if text, err = os.ReadFile(f.Name()); err != nil {
		return nil, err
	}
	edited := map[string]string{}
	if err := yaml.Unmarshal(text, &edited); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w; nothing is changed", err)
	}
	if err := checkSettings(edited); err != nil {
		return nil, fmt.Errorf("%w; nothing is changed", err)
	}
	return edited, nil
}

func newProfileDelete(s streams) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a profile",
		Args:              exactly("NAME"),
		ValidArgsFunction: completeProfiles,
		RunE: func(_ *cobra.Command, args []string) error {
			err := changeProfiles(func(p *profiles) error {
				if _, err := p.settings(args[0]); err != nil {
					return err
				}
				delete(p.Profiles, args[0])
				if p.Current == args[0] {
					p.Current = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			s.note("deleted profile %s", args[0])
			return nil
		},
	}
}

// completeProfiles completes the name of a profile.
func completeProfiles(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	p, err := readProfiles()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(p.Profiles)), cobra.ShellCompDirectiveNoFileComp
}
