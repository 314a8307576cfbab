package firn_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestPagesNameWhatIsThere holds every page of documentation against the tree: each link leads
// somewhere, and each file, folder, identifier, make target and flag in backticks exists. A page
// that names what is gone sends its reader astray.
//
// An identifier directly behind a Go file (`ingest/flush.go` `next`) has to be declared in that
// file. A file name without a folder is looked for in the folders that its paragraph names, and
// beside the page.
func TestPagesNameWhatIsThere(t *testing.T) {
	tree := readTree(t)
	for _, page := range tree.pages {
		for _, complaint := range tree.check(page) {
			t.Errorf("%s: %s", page, complaint)
		}
	}
}

// TestPageCheckerFinds holds the checker: what is wrong in these lines must be found, and what is
// right must not.
func TestPageCheckerFinds(t *testing.T) {
	tree := readTree(t)
	for text, want := range map[string]string{
		"`segments/store.go` has the `Store`":     "",
		"`segments/nowhere.go`":                   "no file segments/nowhere.go",
		"In `segments/`, `store.go` says":         "",
		"`store.go` says":                         "no file store.go",
		"`segments/store.go` `Store` is narrow":   "",
		"`segments/store.go` `Shop` is narrow":    "no Shop in segments/store.go",
		"`segments.Store`":                        "",
		"`segments.Shop`":                         "no Shop in package segments",
		"`State.Apply`":                           "",
		"`State.Unapply`":                         "no Unapply in type State",
		"`NotAnywhereInThisTree`":                 "NotAnywhereInThisTree is nowhere",
		"`make test`":                             "",
		"`make coffee`":                           "no make target coffee",
		"`--put-budget 8`":                        "",
		"`--put-on-a-hat`":                        "no flag --put-on-a-hat",
		"[design](DESIGN.md#promises)":            "",
		"[design](DESIGN.md#excuses)":             "no section excuses in DESIGN.md",
		"[design](PLAN.md)":                       "no file PLAN.md",
		"```sh\n`segments/nowhere.go`\n```\nfine": "",
	} {
		got := strings.Join(tree.checkText("ARCHITECTURE.md", text), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", text, got, want)
		}
	}
}

// tree is the repository: its files, and what its Go code declares.
type tree struct {
	files    map[string]bool            // and folders, by path from the root
	pages    []string                   // Markdown
	declared map[string]map[string]bool // by Go file: functions, methods, types, fields, variables, constants
	packages map[string]map[string]bool // by package name: what is declared at its top level
	members  map[string]map[string]bool // by type name: methods and fields
	words    map[string]bool            // of everything that is no page
	texts    strings.Builder            // all of that
	targets  map[string]bool            // of the Makefile
}

// foreign are folders that hold what others made, or what is built.
var foreign = []string{".git", "node_modules", "venv", "dist", "bin", "target", "firn-data", "data", "lib", "jars"}

// theirs are words in mixed case of programs that pages speak of and Firn does not call.
var theirs = []string{"readStream", "failOnDataLoss"} // Spark

// written are the extensions of files that people write, apart from pages.
var written = []string{".go", ".lua", ".py", ".mjs", ".js", ".java", ".sh", ".json", ".yaml", ".yml", ".tf", ".tpl",
	".html", ".xml", ".txtar", ""}

var readTree = func() func(t *testing.T) *tree {
	read := sync.OnceValues(newTree)
	return func(t *testing.T) *tree {
		t.Helper()
		tree, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.pages) < 10 {
			t.Fatalf("there are %d pages: the test looks at the wrong place", len(tree.pages))
		}
		return tree
	}
}()

func newTree() (*tree, error) {
	tr := &tree{
		files: map[string]bool{}, declared: map[string]map[string]bool{}, packages: map[string]map[string]bool{},
		members: map[string]map[string]bool{}, words: map[string]bool{}, targets: map[string]bool{},
	}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && slices.Contains(foreign, d.Name()) {
			return fs.SkipDir
		}
		tr.files[name] = true
		if d.IsDir() || !d.Type().IsRegular() {
			return nil
		}
		if path.Ext(name) == ".md" {
			tr.pages = append(tr.pages, name)
			return nil
		}
		return tr.addFile(name)
	})
	return tr, err
}

var (
	word       = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// addFile takes in a file that is no page. This one is left out: its examples name what is not
// there.
func (tr *tree) addFile(name string) error {
	if !slices.Contains(written, path.Ext(name)) || name == "docs_test.go" {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for _, w := range word.FindAllString(string(text), -1) {
		tr.words[w] = true
	}
	tr.texts.Write(text)
	if name == "Makefile" {
		for _, m := range makeTarget.FindAllStringSubmatch(string(text), -1) {
			tr.targets[m[1]] = true
		}
	}
	if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	tr.addDeclarations(name, file)
	return nil
}

func (tr *tree) addDeclarations(name string, file *ast.File) {
	here := map[string]bool{}
	tr.declared[name] = here
	top := add(tr.packages, strings.TrimSuffix(file.Name.Name, "_test"))
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			here[d.Name.Name] = true
			if receiver := receiverType(d); receiver != "" {
				add(tr.members, receiver)[d.Name.Name] = true
				here[receiver+"."+d.Name.Name] = true
			} else {
				top[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				tr.addSpec(spec, here, top)
			}
		}
	}
}

func (tr *tree) addSpec(spec ast.Spec, here, top map[string]bool) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			here[n.Name], top[n.Name] = true, true
		}
	case *ast.TypeSpec:
		here[s.Name.Name], top[s.Name.Name] = true, true
		members := add(tr.members, s.Name.Name)
		ast.Inspect(s.Type, func(n ast.Node) bool {
			if field, is := n.(*ast.Field); is {
				for _, n := range field.Names {
					members[n.Name], here[n.Name], here[s.Name.Name+"."+n.Name] = true, true, true
				}
			}
			return true
		})
	}
}

func add(m map[string]map[string]bool, key string) map[string]bool {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	return m[key]
}

// receiverType is the name of the type that a method is of, or "" of a function.
func receiverType(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, is := n.(*ast.Ident); is && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

func (tr *tree) check(page string) []string {
	text, err := os.ReadFile(page)
	if err != nil {
		return []string{err.Error()}
	}
	return tr.checkText(page, string(text))
}

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	blockStart = regexp.MustCompile(`(?m)^(?:\s*(?:[-*]|\d+\.) |\||#|\s*$)`)
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan   = regexp.MustCompile("`([^`]+)`")
)

func (tr *tree) checkText(page, text string) (complaints []string) {
	text = fence.ReplaceAllString(text, "")
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		complaints = append(complaints, tr.checkLink(page, m[1])...)
	}
	starts := append(blockStart.FindAllStringIndex(text, -1), []int{len(text)})
	from := 0
	for _, start := range starts {
		if block := text[from:start[0]]; !strings.HasPrefix(block, "    ") {
			complaints = append(complaints, tr.checkBlock(page, block)...)
		}
		from = start[0]
	}
	return complaints
}

func (tr *tree) checkLink(page, target string) []string {
	if strings.Contains(target, "://") {
		return nil
	}
	file, anchor, _ := strings.Cut(target, "#")
	name := page
	if file != "" {
		name = path.Join(path.Dir(page), file)
	}
	if !tr.files[name] {
		return []string{"no file " + name}
	}
	if anchor == "" {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return []string{err.Error()}
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		if slug(heading[1]) == anchor {
			return nil
		}
	}
	return []string{fmt.Sprintf("no section %s in %s", anchor, name)}
}

// slug is the anchor that a forge gives a heading.
func slug(heading string) string {
	kept := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

var (
	pathLike   = regexp.MustCompile(`^\.?[\w-][\w.-]*(/[\w.-]+)*/?$`)
	fileLike   = regexp.MustCompile(`^[\w.-]+\.(go|md|lua|py|mjs|js|java|sh|json|yaml|yml|tf|html|txtar)$`)
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
	mixedCase  = regexp.MustCompile(`^([a-z]+[A-Z]\w*|[A-Z]\w*[a-z]\w*)$`)
	flagLike   = regexp.MustCompile(`^--([a-z][a-z-]*)`)
	makeLike   = regexp.MustCompile(`^make ([a-z-]+)`)
)

// checkBlock checks the code spans of one paragraph, list item or row of a table.
func (tr *tree) checkBlock(page, block string) (complaints []string) {
	folders := []string{".", path.Dir(page)}
	spans := codeSpan.FindAllStringSubmatchIndex(block, -1)
	for _, at := range spans {
		if span := block[at[2]:at[3]]; strings.Contains(span, "/") && pathLike.MatchString(span) {
			folders = append(folders, path.Clean(span), path.Dir(span))
		}
	}
	goFile, end := "", 0
	for _, at := range spans {
		span := block[at[2]:at[3]]
		if strings.TrimSpace(block[end:at[0]]) != "" {
			goFile = ""
		}
		var complaint string
		switch {
		case goFile != "" && identifier.MatchString(span) && !fileLike.MatchString(span):
			complaint, goFile = tr.inFile(goFile, span), ""
		default:
			complaint, goFile = tr.checkSpan(span, folders)
		}
		if complaint != "" {
			complaints = append(complaints, complaint)
		}
		end = at[1]
	}
	return complaints
}

func (tr *tree) inFile(file, name string) string {
	if tr.declared[file][name] {
		return ""
	}
	return fmt.Sprintf("no %s in %s", name, file)
}

// checkSpan says what is wrong with a code span, and which Go file it is, if it is one.
func (tr *tree) checkSpan(span string, folders []string) (complaint, goFile string) {
	switch {
	case strings.Contains(span, "/") && pathLike.MatchString(span):
		first, rest, _ := strings.Cut(span, "/")
		if slices.Contains(foreign, path.Clean(rest)) {
			return "", "" // made when something runs
		}
		if !tr.files[first] && !fileLike.MatchString(path.Base(span)) {
			return "", "" // a key of the bucket, a media type
		}
		return tr.find(path.Clean(span), folders[:2])
	case fileLike.MatchString(span):
		return tr.find(span, folders)
	case makeLike.MatchString(span):
		if target := makeLike.FindStringSubmatch(span)[1]; !tr.targets[target] {
			return "no make target " + target, ""
		}
	case flagLike.MatchString(span):
		if name := flagLike.FindStringSubmatch(span)[1]; !tr.mentionsFlag(name) {
			return "no flag --" + name, ""
		}
	case identifier.MatchString(span):
		return tr.checkIdentifier(span), ""
	}
	return "", ""
}

func (tr *tree) find(name string, folders []string) (complaint, goFile string) {
	for _, folder := range folders {
		if full := path.Join(folder, name); tr.files[full] {
			if path.Ext(full) == ".go" {
				goFile = full
			}
			return "", goFile
		}
	}
	return "no file " + name, ""
}

func (tr *tree) mentionsFlag(name string) bool {
	return strings.Contains(tr.texts.String(), `"`+name+`"`) || strings.Contains(tr.texts.String(), "--"+name)
}

func (tr *tree) checkIdentifier(span string) string {
	owner, name, dotted := strings.Cut(span, ".")
	switch {
	case !dotted:
		if mixedCase.MatchString(span) && !tr.words[span] && !slices.Contains(theirs, span) {
			return span + " is nowhere"
		}
	case strings.Contains(name, "."): // a config of Kafka
	case tr.packages[owner] != nil && ast.IsExported(name):
		if !tr.packages[owner][name] {
			return fmt.Sprintf("no %s in package %s", name, owner)
		}
	case tr.members[owner] != nil && (ast.IsExported(owner) || mixedCase.MatchString(name)):
		if !tr.members[owner][name] {
			return fmt.Sprintf("no %s in type %s", name, owner)
		}
	case !tr.words[owner] || !tr.words[name]:
		return span + " is nowhere"
	}
	return ""
}
