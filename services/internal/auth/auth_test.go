package auth

import "testing"

func TestMay(t *testing.T) {
	everywhere := Identity{Role: Editor}
	shop := Identity{Role: Editor, Namespaces: []string{"shop"}}
	for _, tc := range []struct {
		id        Identity
		role      Role
		namespace string
		want      bool
	}{
		{everywhere, Reader, "x", true}, {everywhere, Editor, "x", true}, {everywhere, Admin, "x", false},
		{shop, Editor, "shop", true}, {shop, Editor, "x", false}, {shop, Reader, "", false}, {Identity{}, Reader, "x", false},
	} {
		if got := tc.id.May(tc.role, tc.namespace); got != tc.want {
			t.Errorf("%v may %v in %q: %v", tc.id, tc.role, tc.namespace, got)
		}
	}
}

func TestSecrets(t *testing.T) {
	a, b := New(), New()
	if a == b || ID(a) == ID(b) || len(a) < MinSecret {
		t.Error("secrets repeat")
	}
	if !Matches(a, Hash(a)) || Matches(b, Hash(a)) || Matches("", Hash(a)) {
		t.Error("matching is wrong")
	}
	for _, name := range []string{"", "none", "Admin", "root"} {
		if _, err := ParseRole(name); err == nil {
			t.Errorf("role %q was accepted", name)
		}
	}
}
