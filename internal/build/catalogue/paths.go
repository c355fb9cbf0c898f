package catalogue

import (
	"os"
	"path/filepath"
)

// SharedPath is where packages put further cells.
const SharedPath = "/usr/lib/plugserver/cells"

// PackagedPath is the cell beside this binary, where there is one, else that of the
// package.
func PackagedPath() string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "plugserver-cell")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return "/usr/lib/plugserver/plugserver-cell"
}
