// Package accesslog decides which streams are logged and writes their entries;
// formats are package formatter's, files are accesslog/file's.
package accesslog
