// Package api holds the types that cross the control socket. They are the
// product's stable interface: fields are added, never renamed or reused.
package api

import "time"

// The states of a handler, in the words of the life of a file.
const (
	StateSeen     = "seen"     // the file is there; it is still being written
	StateStarting = "starting" // its first version is being admitted and proved
	StateLive     = "live"     // its routes are served
	StateCrashed  = "crashed"  // its cell died and is being started again
	StateRefused  = "refused"  // its file was refused and no earlier version serves
	// It crashed too often, or an operator has rolled it back: an earlier version
	// serves.
	StateRolledBack = "rolled back"
	// It crashed too often and there is no earlier version to serve.
	StateQuarantined = "quarantined"
	StateDisabled    = "disabled" // an operator does not want its file to be served
	StateRetiring    = "retiring" // its file is gone; its cell finishes what it began
	// It has a part of the requests of the handler whose canary it is.
	StateCanary    = "canary"
	StateWithdrawn = "withdrawn" // it was a canary, and has no requests any more
	StatePromoted  = "promoted"  // it was a canary, and its handler has its version
)

// Refusal is why the newest file of a handler is not served, and the fix.
type Refusal struct {
	Reason string   `json:"reason"`
	Mend   string   `json:"mend"`         // the fix that is best on this machine
	Or     []string `json:"or,omitempty"` // what else would do, the better first
	// Promoted says that nothing is wrong: a canary was promoted, and it is the file of that, or the one
	// whose place it has taken.
	Promoted bool `json:"promoted,omitempty"`
}

// Handler is one handler as an operator sees it.
type Handler struct {
	Name     string    `json:"name"`     // the file's name without ".so"
	State    string    `json:"state"`    // one of the State constants
	Version  string    `json:"version"`  // the first 12 hex digits of the live file's SHA-256
	Patterns []string  `json:"patterns"` // as the handler gave them, sorted
	PID      int       `json:"pid"`      // its cell's; 0 while it has none
	Since    time.Time `json:"since"`    // when it entered State
	Requests int64     `json:"requests"` // served since its cell started
	InFlight int64     `json:"in_flight"`
	// Errors are the requests that it answered with 5xx, and those that were lost with
	// its process, since the daemon's start.
	Errors int64 `json:"errors"`
	// MemoryBytes is the cell's proportional set size (Pss, proc_pid_smaps(5)).
	MemoryBytes int64 `json:"memory_bytes"`
	// PrivateBytes is the memory that would be free if the cell ended; what
	// MemoryMax bounds.
	PrivateBytes int64   `json:"private_bytes"`
	Descriptors  int     `json:"descriptors"`  // that its cell has open
	Threads      int     `json:"threads"`      // of its cell
	CPUSeconds   float64 `json:"cpu_seconds"`  // user and system time of its cell
	Restarts     int     `json:"restarts"`     // of its cell after a death, since the daemon's start
	MemoryMax    int64   `json:"memory_max"`   // bytes its cell may use; 0: no limit
	LimitNOFILE  int     `json:"limit_nofile"` // descriptors its cell may have open; 0: the daemon's own limit
	// CPUQuota is how much of one processor, in percent, its cell may use, and TasksMax how many
	// processes and threads it may have; 0: no limit, or none in force.
	CPUQuota float64 `json:"cpu_quota"`
	TasksMax int     `json:"tasks_max"`
	// Replaced are the libraries that its cell runs and that were replaced on disk since: another process would run
	// the new ones.
	Replaced []string `json:"replaced,omitempty"`
	// LogDropped counts the log records of its cell that were dropped, for it wrote
	// more than it may.
	LogDropped int64 `json:"log_dropped"`
	// Cell is the name of the cell binary that runs it; empty while none does.
	Cell string `json:"cell"`
	// Group names the cell that it shares with others; empty if its cell is
	// its own.
	Group string `json:"group,omitempty"`
	// Doing is what is being done about the newest file, such as "building a
	// cell for go1.25.4"; empty if nothing is.
	Doing string `json:"doing,omitempty"`
	// Goroutines are those of its cell, the handler's own among them.
	Goroutines int `json:"goroutines"`
	// Conns is how many connections its cell has.
	Conns int `json:"conns"`
	// Refusal tells of the newest file; a live handler may carry one.
	Refusal *Refusal `json:"refusal,omitempty"`
	// GaveWay is why an earlier version serves than the last that did, where Refusal tells of a newer file.
	GaveWay *Refusal `json:"gave_way,omitempty"`
	// Earlier says that Version is an earlier one than that of the newest file.
	Earlier bool `json:"earlier,omitempty"`
	// Signed is what the signature of Version says; nil where it has none, or none is looked at.
	Signed *Signed `json:"signed,omitempty"`
	// Origin is where the newest file came from; nil where no sync has placed it.
	Origin *Origin `json:"origin,omitempty"`
	// Canary is how it does beside its incumbent; nil where it is no canary, or is not judged.
	Canary *Canary `json:"canary,omitempty"`
}

// Origin is where a handler's file came from.
type Origin struct {
	Sync   string    `json:"sync"`            // the name of the entry
	Ref    string    `json:"ref"`             // that it was found by
	Digest string    `json:"digest"`          // of its manifest in the registry
	File   string    `json:"file"`            // the digest of the file
	Placed time.Time `json:"placed,omitzero"` // when it came
	Agreed time.Time `json:"agreed,omitzero"` // when all that the entry names was last as the registry has it
}

// Sync is an entry: a desired state in a registry that the daemon's directory follows.
type Sync struct {
	Name     string             `json:"name"`
	Ref      string             `json:"ref"`
	Digest   string             `json:"digest,omitempty"` // of the index that Ref named last
	Handlers int                `json:"handlers"`         // that it has placed
	OK       bool               `json:"ok"`               // the last try came to an agreement
	Agreed   time.Time          `json:"agreed,omitzero"`  // when one last did
	Tried    time.Time          `json:"tried,omitzero"`
	Problem  string             `json:"problem,omitempty"` // why the last try did not
	Refused  map[string]Refusal `json:"refused,omitempty"` // handlers that were in the way of it
	// What was counted since the entry was first tried.
	Bytes    int64 `json:"bytes_pulled"`
	Refusals int64 `json:"refusals"`
	Failures int64 `json:"failures"`
}

// Canary is how a canary does that is judged beside its incumbent. Parts are of 1.
type Canary struct {
	Of        string    `json:"of"`               // the handler whose requests it has a part of
	Incumbent string    `json:"incumbent"`        // that one's version
	Weight    float64   `json:"weight"`           // its part of the requests
	Mirror    float64   `json:"mirror"`           // of how many of the safe ones it gets a copy
	Sticky    string    `json:"sticky,omitempty"` // by what a client is known whose requests all go to the same version: ip, cookie or header
	Field     string    `json:"field,omitempty"`  // the name of that cookie or header field
	Since     time.Time `json:"since"`
	Ends      time.Time `json:"ends,omitzero"` // when it is promoted, where nothing speaks against it; zero: by an operator alone
	// Awaits is what it takes to judge it, once its time is over.
	Awaits    string `json:"awaits,omitempty"`
	Promoting bool   `json:"promoting,omitempty"`
	// NotServed are patterns that it has, and its incumbent has not: nobody serves them before it is promoted.
	NotServed []string `json:"not_served,omitempty"`
	Counted   Figures  `json:"counted"` // of the canary since then
	Beside    Figures  `json:"beside"`  // of its incumbent
}

// Figures are what was counted of a version.
type Figures struct {
	Requests uint64 `json:"requests"` // that have ended
	Errors   uint64 `json:"errors"`   // of them answered with 5xx
	// P50 and P99 are those of the metric's bounds that half of the answers and 99 of 100 took at the most; 10 where they
	// took longer, and 0 where there were none.
	P50  float64 `json:"p50_seconds"`
	P99  float64 `json:"p99_seconds"`
	Open uint64  `json:"open,omitempty"` // requests that have not ended now
}

// Verdict is what became of a canary.
type Verdict struct {
	Time     time.Time `json:"time"`
	Promoted bool      `json:"promoted"` // else it was withdrawn
	Why      string    `json:"why"`
}

// Signed is what a signature says that was believed.
type Signed struct {
	Key     string    `json:"key"`               // its ID, 16 hex digits
	Version string    `json:"version,omitempty"` // that the trusted comment names
	Time    time.Time `json:"time,omitzero"`     // when it was signed
}

// Trust is whose signatures are believed.
type Trust struct {
	Keys      []string `json:"keys"`              // as minisign has them, in base64
	Revoked   []string `json:"revoked,omitempty"` // IDs of keys
	Require   bool     `json:"require"`
	Monotonic bool     `json:"monotonic"`
}

// Daemon is the supervisor itself.
type Daemon struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	GatePID   int       `json:"gate_pid"`
	Since     time.Time `json:"since"`
	Handlers  string    `json:"handlers"` // the watched directory
	Listeners []string  `json:"listeners"`
	// Certificates are those that clients get over TLS.
	Certificates []Certificate `json:"certificates,omitempty"`
	// BuildsCells says that it builds the cell for a file that none loads,
	// where it can.
	BuildsCells bool `json:"builds_cells"`
	// Goroutines and GateGoroutines are those of the supervisor and of the gate.
	Goroutines     int `json:"goroutines"`
	GateGoroutines int `json:"gate_goroutines"`
	// GateConns is how many connections the gate has.
	GateConns int `json:"gate_conns"`
	// Spares are the processes of cells that wait for what they are to run: the next
	// handler is live the sooner.
	Spares []int `json:"spares,omitempty"`
	// Unconfined is what the sandboxes of handlers do not confine, since the kernel cannot.
	Unconfined []string `json:"unconfined,omitempty"`
	// Trust is whose signatures are believed; nil where none is looked at.
	Trust *Trust `json:"trust,omitempty"`
	// SyncFolder is where plugserverctl sync keeps what it remembers, and Syncs what of it can be read.
	SyncFolder string `json:"sync_folder,omitempty"`
	Syncs      []Sync `json:"syncs,omitempty"`
	// Problem is what ails the daemon as a whole, such as an unreadable
	// directory; empty when all is well.
	Problem string `json:"problem,omitempty"`
	// Notes are what somebody may have meant otherwise, such as settings of a
	// handler that there is not; nothing is wrong.
	Notes []string `json:"notes,omitempty"`
}

// Certificate is one of a TLS server.
type Certificate struct {
	File     string    `json:"file"`
	Names    []string  `json:"names"`     // that it is for
	NotAfter time.Time `json:"not_after"` // when it expires
	// SHA256 is that of the certificate itself, without its chain, in hex.
	SHA256 string `json:"sha256"`
}

// Equal reports whether both are the same certificate out of the same file.
func (c Certificate) Equal(d Certificate) bool { return c.File == d.File && c.SHA256 == d.SHA256 }

// Status answers GET /v1/status. Handlers are sorted by name.
type Status struct {
	Daemon   Daemon    `json:"daemon"`
	Handlers []Handler `json:"handlers"`
}

// Reload answers POST /v1/reload once the directory is reconciled and every
// route table acknowledged.
type Reload struct {
	Live    int                `json:"live"`
	Refused map[string]Refusal `json:"refused"` // by handler name; empty when all is well
	// RolledBack are those of which an operator wants an earlier version, and canaries that one has withdrawn: all is
	// well with them.
	RolledBack map[string]Refusal `json:"rolled_back,omitempty"`
	Problem    string             `json:"problem,omitempty"`
	Notes      []string           `json:"notes,omitempty"` // Daemon's
	// Nothing says that there was nothing to release.
	Nothing bool `json:"nothing,omitempty"`
}

// Outcome answers POST /v1/settle and POST /v1/rollback.
type Outcome struct {
	// Handler is what stands under the name now; nil if nothing does.
	Handler *Handler `json:"handler,omitempty"`
	// Problem is what kept the daemon from doing all that was asked, beyond
	// the handler's own refusal; empty when all is well.
	Problem string `json:"problem,omitempty"`
}

// History answers GET /v1/history.
type History struct {
	Name     string `json:"name"`
	Versions []Past `json:"versions"` // those that can still be served, the newest first
}

// Past is a version of a handler that has served, or serves.
type Past struct {
	Version string    `json:"version"`           // the first 12 hex digits of its file's SHA-256
	Live    time.Time `json:"live"`              // when it last went live
	Current bool      `json:"current"`           // it serves
	Bad     bool      `json:"bad"`               // it crashed too often
	Held    bool      `json:"held,omitempty"`    // an operator has rolled it back
	Verdict *Verdict  `json:"verdict,omitempty"` // what became of it as a canary; nil where that is open, or it was none
	Signed  *Signed   `json:"signed,omitempty"`
}

// Setting is one that holds for a handler.
type Setting struct {
	Key   string `json:"key"` // as plugserverd.conf(5) has it
	Value string `json:"value"`
	Where string `json:"where"` // FILE:LINE, a flag, or "default"
	// NotInForce is why it is not; empty where it is.
	NotInForce string `json:"not_in_force,omitempty"`
}

// Shown answers GET /v1/show.
type Shown struct {
	Name     string    `json:"name"`
	Settings []Setting `json:"settings"`
	// Version is the one that serves, and Signed what its signature says; empty where none does, or it has none.
	Version string  `json:"version,omitempty"`
	Signed  *Signed `json:"signed,omitempty"`
	Origin  *Origin `json:"origin,omitempty"` // Handler's
}

// Event is something that operators act on, as the log had it.
type Event struct {
	Seq     uint64            `json:"seq"` // counts from 1 at the daemon's start
	Time    time.Time         `json:"time"`
	Event   string            `json:"event"`             // its name, see plugserverd(8)
	Handler string            `json:"handler,omitempty"` // that it is about; empty if it is about none
	Level   string            `json:"level"`
	Text    string            `json:"text"`
	Fields  map[string]string `json:"fields,omitempty"` // what else the log says: reason and mend among them
}

// Events answers GET /v1/events.
type Events struct {
	Events []Event `json:"events"` // the oldest first
}

// Metrics answers GET /v1/metrics.
type Metrics struct {
	Text string `json:"text"` // in Prometheus's format
}

// Version answers GET /v1/version.
type Version struct {
	Version string `json:"version"` // of plugserverd
	Go      string `json:"go"`      // the release that built it
}

// Error is the body of every answer of 400 and above.
type Error struct {
	Message string `json:"error"`
}
