package states

// Change is a change of the routes.
type Change int

const (
	WentLive Change = iota
	LiveAgain
	RolledBack
	GatheredIn
	Retired
)

// Notice is what operators are told of besides.
type Notice int

const (
	NoticeRefused         Notice = iota // the newest file is not served
	NoticeHeld                          // for an operator has rolled it back, or has withdrawn it
	NoticeQuarantined                   // Version was given up, and there is none before
	NoticeNotRestarted                  // a version that has served did not start again
	NoticeNotServed                     // one is not granted its patterns
	NoticeGone                          // nothing was served, and the file was removed
	NoticeDoing                         // Text is being done
	NoticeWithdrawn                     // Version was a canary, and is none any more
	NoticeWithdrawnByHand               // by an operator
	NoticePromoted                      // it is the handler's
	NoticeSuperseded                    // a canary has taken the place of the newest file's
)
