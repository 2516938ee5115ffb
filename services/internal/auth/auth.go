package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
)

// Role is what a token may do. The order is that of power.
type Role int

// Roles.
const (
	None Role = iota
	// Reader reads resources, history and rollout.
	Reader
	// Editor also writes resources.
	Editor
	// Admin also makes tokens and reads the audit record.
	Admin
)

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	for r := Reader; r <= Admin; r++ {
		if r.String() == name {
			return r, nil
		}
	}
	return None, fmt.Errorf("%q is not one of reader, editor, admin", name)
}

func (r Role) String() string {
	return [...]string{"none", "reader", "editor", "admin"}[r]
}

// Identity is who calls, as the token proves.
type Identity struct {
	// Name of the token.
	Name string
	Role Role
	// Namespaces that the token is for; none: all.
	Namespaces []string
}

// May tells whether the identity has at least the role in a namespace.
func (id Identity) May(role Role, namespace string) bool {
	return id.Role >= role && (id.Everywhere() || slices.Contains(id.Namespaces, namespace))
}

// Everywhere tells whether the identity is for all namespaces.
func (id Identity) Everywhere() bool { return len(id.Namespaces) == 0 }

// MinSecret is the length from which a secret that somebody else made (the
// bootstrap token) is accepted, in bytes.
const MinSecret = 24

// secretPrefix lets people and scanners tell what a leaked string is.
const secretPrefix = "hwt_"

// New makes a secret.
func New() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// ID is what a secret is found by; it says nothing about the secret.
func ID(secret string) string {
	sum := sha256.Sum256([]byte("hawser token id\x00" + secret))
	return hex.EncodeToString(sum[:8])
}

// Hash is what is stored of a secret.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte("hawser token\x00" + secret))
	return sum[:]
}

// Matches compares a secret with a stored hash in constant time.
func Matches(secret string, hash []byte) bool {
	return subtle.ConstantTimeCompare(Hash(secret), hash) == 1
}
