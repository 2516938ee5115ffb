// Package support knows which fields of Envoy's messages this proxy supports,
// which ones are safe to ignore, and refuses all others: nothing that is
// configured is ignored silently.
//
// The tables are text, one file for each area, in the folder tables. A message
// name with a colon begins an entry; the indented lines below it list fields.
// "field=A|B" allows only these values of an enum, a bool or a number; a line
// "!field reason" names a field that changes nothing when it is ignored.
// SUPPORT.md is made of the same tables.
package support
