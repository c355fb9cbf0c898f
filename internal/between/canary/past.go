package canary

import "time"

// Past is what a canary has of its own in the history.
type Past struct {
	// Terms are those that an operator has given the version Sum, which is judged; nil where its settings alone hold.
	Terms *Terms `json:"terms,omitempty"`
	Sum   string `json:"sum,omitempty"`
	// Verdicts are what became of those before, the newest last.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// Verdict is what became of one version.
type Verdict struct {
	Sum      string    `json:"sum"`
	At       time.Time `json:"at"`
	Promoted bool      `json:"promoted,omitempty"` // else it was withdrawn
	Why      string    `json:"why"`
	ByHand   bool      `json:"by_hand,omitempty"` // an operator has said so: nothing need be wrong with it
}

// Of is the last verdict on a version, nil if there is none.
func (p Past) Of(sum string) *Verdict {
	for i := len(p.Verdicts) - 1; i >= 0; i-- {
		if p.Verdicts[i].Sum == sum {
			return &p.Verdicts[i]
		}
	}
	return nil
}

// verdictsKept are as many as versions are remembered as bad.
const verdictsKept = 8

// With is the past with one more verdict; what an operator has set was for that version alone.
func (p Past) With(v Verdict) Past {
	all := append(p.Verdicts[:len(p.Verdicts):len(p.Verdicts)], v)
	return Past{Verdicts: all[max(0, len(all)-verdictsKept):]}
}
