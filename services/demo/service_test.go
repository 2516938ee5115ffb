package demo

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlakyAndSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{Name: "pay", Version: "v1", Delay: 300 * time.Millisecond, FailEvery: 3}
		var codes []int
		start := time.Now()
		for range 6 {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", "/x?y=1", nil))
			codes = append(codes, w.Code)
			if w.Code == 200 {
				var a answer
				if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Service != "pay" || a.Path != "/x?y=1" {
					t.Errorf("%+v %v", a, err)
				}
			}
		}
		if time.Since(start) != 1800*time.Millisecond {
			t.Errorf("took %v", time.Since(start))
		}
		for i, c := range codes {
			want := 200
			if i == 2 || i == 5 {
				want = 503
			}
			if c != want {
				t.Errorf("request %d: %d", i, c)
			}
		}
	})
}
