// Package forgetting has the handlers directory follow an entry no more: what that has placed is left there, as
// anybody's, or removed.
package forgetting

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/swap"
	"github.com/andrestc/go-plugserver/internal/operator/syncdir"
	"github.com/andrestc/go-plugserver/internal/operator/syncentry"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Options say what is forgotten, and how.
type Options struct {
	Entry   string // its name, or a reference to the repository that it follows
	Entries string // the folder of entries that timers follow
	Remove  bool   // what it has placed is removed
	DryRun  bool
}

// Told is what is printed with --json: fields are added in later versions, never renamed.
type Told struct {
	Sync    string   `json:"sync"` // the name of the entry
	Ref     string   `json:"ref"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Removed []string `json:"removed"` // handlers whose files are
	Left    []string `json:"left"`    // handlers whose files stay, as anybody's
}

// Run forgets an entry.
func Run(ctx context.Context, s *cli.Session, o Options) error {
	st, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	name, err := find(st.Daemon.SyncFolder, o.Entry)
	if err != nil {
		return err
	}
	timed := filepath.Join(o.Entries, name+".conf")
	if _, err := os.Lstat(timed); err == nil && concerns(o.Entries, name, st.Daemon.SyncFolder) {
		return fmt.Errorf("%s is there: its timer would place all of it again; systemctl disable --now plugserver-sync@%s.timer, delete that file, and have it forgotten then", timed, name)
	}
	lock, err := synced.LockEntry(st.Daemon.SyncFolder, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer lock.Unlock()
	record, err := synced.Load(st.Daemon.SyncFolder, name)
	if err != nil {
		return err
	}
	if syncdir.Pending(record) {
		return fmt.Errorf("the last sync of %s was interrupted, and half of it may be in place: plugserverctl sync --name %s %s puts that right; have it forgotten then", name, name, record.Ref)
	}
	out := Told{Sync: name, Ref: record.Ref, DryRun: o.DryRun, Removed: []string{}, Left: []string{}}
	files := swap.In(st.Daemon.Handlers, name)
	if o.Remove {
		other, err := synced.LockDirectory(ctx, st.Daemon.SyncFolder)
		if err != nil {
			return err
		}
		defer other.Unlock()
		if out.Removed, err = remove(ctx, s, files, st.Daemon.Handlers, record, o.DryRun); err != nil {
			return err
		}
	}
	for _, handler := range slices.Sorted(maps.Keys(record.Placed)) {
		if _, err := os.Lstat(files.Path(handler)); err == nil && !slices.Contains(out.Removed, handler) {
			out.Left = append(out.Left, handler)
		}
	}
	if !o.DryRun {
		files.Discard()
		if err := synced.Forget(st.Daemon.SyncFolder, name); err != nil {
			return err
		}
	}
	out.tell(s)
	return nil
}

// concerns reports whether a timer's entry is followed by the daemon whose folder that is, or may be: the name can also be
// that of an instance's entry, or of the entry of the daemon that is none.
func concerns(entries, name, folder string) bool {
	e, err := syncentry.Read(entries, name)
	return err != nil || e.Instance == (folder == synced.Folder(syncentry.State(name)))
}

// find is the name of the entry that is meant.
func find(dir, entry string) (string, error) {
	records, err := synced.All(dir)
	if records[entry] != nil {
		return entry, nil
	}
	switch follow := syncentry.Following(records, entry); {
	case len(follow) == 1:
		return follow[0], nil
	case len(follow) > 1:
		return "", fmt.Errorf("several entries follow %s; name one of %s", entry, strings.Join(follow, ", "))
	case err != nil: // it may be that one
		return "", err
	case len(records) == 0:
		return "", fmt.Errorf("nothing is followed, and so no %q", entry)
	}
	return "", fmt.Errorf("nothing that is followed is %q; name one of %s", entry, strings.Join(slices.Sorted(maps.Keys(records)), ", "))
}

// remove removes what was placed and is still there, but not what was there before, and waits until nobody is served by it.
func remove(ctx context.Context, s *cli.Session, files *swap.Swap, dir string, record *synced.Record, dry bool) ([]string, error) {
	there, err := syncdir.LookAll(dir, record.Placed)
	if err != nil {
		return nil, err
	}
	syncplan.Inherit(record.Placed, there)
	names, changes := []string{}, syncplan.Changes(syncplan.Decide(syncplan.Input{Dir: dir, Placed: record.Placed, There: there, Now: time.Now()}))
	for _, a := range changes {
		names = append(names, a.Handler)
	}
	if dry || len(changes) == 0 {
		return names, nil
	}
	if err := files.Do(changes); err != nil {
		return nil, err
	}
	if _, err := deploy.Outcomes(ctx, s, names); err != nil {
		return nil, fmt.Errorf("%w; the files are removed, and the entry is not forgotten: do it again", err)
	}
	return names, nil
}

func (t *Told) tell(s *cli.Session) {
	removed, left, forgotten := "removed", "left", "forgotten"
	if t.DryRun {
		removed, left, forgotten = "to be removed", "to be left", "to be forgotten"
	}
	var text strings.Builder
	for _, of := range []struct {
		what  string
		names []string
	}{{removed, t.Removed}, {left, t.Left}} {
		if len(of.names) > 0 {
			fmt.Fprintf(&text, "%s: %s\n", of.what, terminal.Escape(strings.Join(of.names, ", ")))
		}
	}
	s.Tell(t, "%s%s: %s, which followed %s\n", text.String(), forgotten, t.Sync, terminal.Escape(t.Ref))
}
