// Package e2e tests Hawser's programs from outside, beside those of others.
package e2e
