package words

import "testing"

func TestNear(t *testing.T) {
	known := []string{"status", "reload", "release", "rollback", "users", "PLUGSERVER_POLL", "PLUGSERVER_LISTEN", "a"}
	for name, want := range map[string]string{
		"staus": "status", "sttaus": "status", "Status": "status", "userss": "users", "user": "users", "roolback": "rollback",
		"relod": "reload", "stat": "status", "PLUGSERVER_POL": "PLUGSERVER_POLL", "PLUGSERVER_LITSEN": "PLUGSERVER_LISTEN",
		"frobnicate": "", "b": "", "": "", "xyz": "", "ls": "",
	} {
		if got := Near(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := DidYouMean("staus", known); got != "; did you mean status?" {
		t.Errorf("got %q", got)
	}
}
