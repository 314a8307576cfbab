package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// outputForm is a flag value: how a command writes what it found. The names of fields are those of
// JSON in every form, and are stable.
type outputForm string

const (
	asTable outputForm = "table"
	asJSON  outputForm = "json"
	asYAML  outputForm = "yaml"
)

var outputForms = []string{string(asTable), string(asJSON), string(asYAML)}

func (f *outputForm) Set(text string) error {
	if !slices.Contains(outputForms, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(outputForms, ", "))
	}
	*f = outputForm(text)
	return nil
}

func (f *outputForm) String() string { return string(*f) }
func (*outputForm) Type() string     { return "form" }

// outputFlag is the name of the flag.
const outputFlag = "output"

// addFlag adds --output.
func (f *outputForm) addFlag(cmd *cobra.Command) {
	*f = asTable
	cmd.Flags().VarP(f, outputFlag, "o", "how the answer is written: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc(outputFlag, // fails for a flag that does not exist
		cobra.FixedCompletions(outputForms, cobra.ShellCompDirectiveNoFileComp))
}

// print writes a struct, or a slice of structs, whose fields have json tags.
func (f outputForm) print(w io.Writer, found any) error {
	return f.printWith(w, found, func(w io.Writer) error { return writeTable(w, found) })
}

// printWith is print with a table of its own.
func (f outputForm) printWith(w io.Writer, found any, table func(w io.Writer) error) error {
	var text bytes.Buffer
	var err error
	switch f {
	case asJSON:
		err = encodeJSON(&text, found, "  ")
	case asYAML:
		err = encodeYAML(&text, found)
	default:
		err = table(&text)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(text.Bytes())
	return err
}

func encodeJSON(w io.Writer, found any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(found); err != nil {
		return err
	}
	return written(w.Write(escapeForYAML(text.Bytes())))
}

// notInYAML are characters that JSON has as they are, and YAML refuses, or takes for a line's end.
var notInYAML = regexp.MustCompile("[\x7f-\u009f\ufeff\ufffe\uffff]")

// escapeForYAML makes JSON be YAML: such characters are only in its strings.
func escapeForYAML(text []byte) []byte {
	return notInYAML.ReplaceAllFunc(text, func(b []byte) []byte {
		r, _ := utf8.DecodeRune(b)
		return fmt.Appendf(nil, `\u%04x`, r)
	})
}

// encodeYAML goes by way of JSON, which is YAML, so that both have the same fields in one order.
func encodeYAML(w io.Writer, found any) error {
	var text bytes.Buffer
	if err := encodeJSON(&text, found, ""); err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
		return err
	}
	inBlocks(&document)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	return encoder.Encode(&document)
}

// inBlocks drops JSON's braces and quotes where YAML needs none.
func inBlocks(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	for _, child := range n.Content {
		inBlocks(child)
	}
}

// writeTable writes a slice of structs as a table, or a struct as a line for each field. A field
// that is a slice of structs follows as a table of its own. The tag table renames a field; "-"
// leaves it out.
func writeTable(w io.Writer, found any) error {
	v := reflect.Indirect(reflect.ValueOf(found))
	if v.Kind() == reflect.Slice {
		return writeRows(w, v)
	}
	var facts [][]cell
	var tables []reflect.Value
	for field, value := range fieldsOf(v) {
		name := cell{text: field.name}
		switch {
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
			facts = append(facts, []cell{name, {text: fmt.Sprint(value.Len())}})
			if value.Len() > 0 {
				tables = append(tables, value)
			}
		case field.omitEmpty && value.IsZero():
		case value.Kind() == reflect.Map:
			keys := value.MapKeys()
			slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, key := range keys {
				facts = append(facts, []cell{name, {text: printable(fmt.Sprintf("%v=%v", key, value.MapIndex(key)))}})
			}
		default:
			facts = append(facts, []cell{name, {text: cellOf(value).text}})
		}
	}
	if err := writeCells(w, facts); err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := writeRows(w, table); err != nil {
			return err
		}
	}
	return nil
}

// fieldName is what a table calls a field.
type fieldName struct {
	name      string
	omitEmpty bool
}

// fieldsOf yields the fields of a struct that a table shows.
func fieldsOf(v reflect.Value) func(yield func(fieldName, reflect.Value) bool) {
	return func(yield func(fieldName, reflect.Value) bool) {
		for i := range v.NumField() {
			tags := v.Type().Field(i).Tag
			name, options, _ := strings.Cut(tags.Get("json"), ",")
			if other, renamed := tags.Lookup("table"); renamed {
				name = other
			}
			if v.Type().Field(i).Anonymous && name == "" {
				for field, value := range fieldsOf(v.Field(i)) {
					if !yield(field, value) {
						return
					}
				}
				continue
			}
			field := fieldName{strings.ReplaceAll(name, "_", " "), strings.Contains(options, "omitempty")}
			if name != "-" && name != "" && !yield(field, v.Field(i)) {
				return
			}
		}
	}
}

// cell is one cell of a table. Numbers stand at its right.
type cell struct {
	text  string
	right bool
}

// writeRows writes a table with a header.
func writeRows(w io.Writer, list reflect.Value) error {
	var header []cell
	for field := range fieldsOf(reflect.New(list.Type().Elem()).Elem()) {
		header = append(header, cell{text: field.name})
	}
	rows := [][]cell{header}
	for i := range list.Len() {
		var row []cell
		for _, value := range fieldsOf(list.Index(i)) {
			row = append(row, cellOf(value))
		}
		for column := range row {
			header[column].right = header[column].right || row[column].right
		}
		rows = append(rows, row)
	}
	return writeCells(w, rows)
}

// cellOf is a value as people read it: what has a String has its say, and nothing is a dash.
func cellOf(v reflect.Value) cell {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return cell{"-", true}
	}
	switch value := v.Interface().(type) {
	case *time.Time:
		return cell{text: value.Format(time.RFC3339)}
	case fmt.Stringer:
		plain := reflect.Indirect(v)
		return cell{printable(value.String()), plain.CanInt() || plain.CanFloat()}
	}
	v = reflect.Indirect(v)
	return cell{printable(fmt.Sprint(v.Interface())), v.CanInt() || v.CanUint() || v.CanFloat()}
}

// writeCells writes rows whose columns are as wide as their widest cell, two spaces apart.
func writeCells(w io.Writer, rows [][]cell) error {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch {
			case c.right:
				line.WriteString(pad + c.text)
			default:
				line.WriteString(c.text + pad)
			}
			line.WriteString("  ")
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
