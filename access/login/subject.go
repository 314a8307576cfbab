package login

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strings"
)

// attribute is one AttributeTypeAndValue of a name, with the bytes of the value.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributesSET is one RelativeDistinguishedName; encoding/asn1 knows by its name that it is a SET.
type attributesSET []attribute

// keywords are the types of attributes that RFC 2253 has names for.
var keywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O",
	"2.5.4.11": "OU", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// subjectName is the subject of a certificate as Kafka writes it, which is Java's
// X500Principal.getName(): RFC 2253, and a little more is escaped.
func subjectName(certificate *x509.Certificate) string {
	var names []attributesSET
	if rest, err := asn1.Unmarshal(certificate.RawSubject, &names); err != nil || len(rest) > 0 {
		return certificate.Subject.String() // not reached: crypto/x509 has parsed it
	}
	var out strings.Builder
	for i := len(names) - 1; i >= 0; i-- { // the last comes first
		for j, a := range names[i] {
			switch {
			case j > 0:
				out.WriteByte('+')
			case out.Len() > 0:
				out.WriteByte(',')
			}
			writeAttribute(&out, a)
		}
	}
	return out.String()
}

// writeAttribute writes one attribute: a value of a type without a name as its bytes, in hex.
func writeAttribute(out *strings.Builder, a attribute) {
	keyword, known := keywords[a.Type.String()]
	if !known {
		out.WriteString(a.Type.String() + "=#" + hex.EncodeToString(a.Value.FullBytes))
		return
	}
	out.WriteString(keyword + "=")
	value := string(a.Value.Bytes)
	inner := strings.Trim(value, " ")
	from := strings.Index(value, inner)
	for i, c := range []byte(value) {
		outside := i < from || i >= from+len(inner)
		if outside || strings.IndexByte(",=+<>#;\"\\", c) >= 0 {
			out.WriteByte('\\')
		}
		if c == 0 {
			out.WriteString(`\00`)
			continue
		}
		out.WriteByte(c)
	}
}
