package analysis

import "math"

// ratios are those of the odds that a process is the mean of.
var ratios = [...]float64{2, 4, 10, 30, 100}

// process is one e-process.
type process struct {
	logs   [len(ratios)]float64 // of what it has come to, for each ratio
	held   sample               // that is too small yet
	enough uint64               // requests that are not
}

// value is what it has come to.
func (p *process) value() (mean float64) {
	for _, log := range p.logs {
		mean += math.Exp(log) / float64(len(ratios))
	}
	return mean
}

// sample is what was seen of both versions in a time: n requests of the canary, of which bad were, and m of the incumbent, of
// which theirs were.
type sample struct{ n, m, bad, theirs uint64 }

func (s sample) and(more sample) sample {
	return sample{s.n + more.n, s.m + more.m, s.bad + more.bad, s.theirs + more.theirs}
}

const (
	// plenty of requests of each version are more than it takes, and with many more nobody waits for the others.
	plenty, many = 8, 64
	// most bounds the requests of a version in a sample, since it takes time to take them in. Who counts may say any number.
	most = 1 << 18
)

// take sees a sample, of which each bad one counts for weight, once it is large enough.
func (p *process) take(s sample, weight float64) {
	for max(s.n, s.m) > most {
		s = sample{s.n / 2, s.m / 2, s.bad / 2, s.theirs / 2}
	}
	p.held = p.held.and(s)
	s = p.held
	if s.n+s.m < p.enough && min(s.n, s.m) < many {
		return
	}
	switch {
	case s.n == 0 || s.m == 0:
		p.enough = min(2*(s.n+s.m), most)
	case s.n >= plenty && s.m >= plenty:
		p.enough /= 2
	}
	p.held = sample{}
	p.see(s, weight)
}

// see takes in a sample, of which each bad one counts for weight.
func (p *process) see(s sample, weight float64) {
	if s.bad+s.theirs == 0 || s.n == 0 || s.m == 0 {
		return // it says nothing
	}
	for i, ratio := range ratios {
		p.logs[i] += weight * (float64(s.bad)*math.Log(ratio) - s.logMean(ratio))
	}
}

// logMean is the logarithm of the mean of ratio to the power of X, where X is how many of the bad ones
// are the canary's if it is no worse: hypergeometric.
func (s sample) logMean(ratio float64) float64 {
	n, m, k := float64(s.n), float64(s.m), float64(s.bad+s.theirs)
	from, to := max(0, k-m), min(n, k)
	// Both sums are over terms of which each is a multiple of the one before; they are kept beside the largest.
	step := func(x float64) float64 { return (n - x) * (k - x) / ((x + 1) * (m - k + x + 1)) }
	return logSum(from, to, func(x float64) float64 { return ratio * step(x) }) + from*math.Log(ratio) - logSum(from, to, step)
}

// logSum is the logarithm of the sum of terms, of which the first is 1 and each other the one before times step.
func logSum(from, to float64, step func(x float64) float64) float64 {
	total, term, scale := 1., 1., 0.
	for x := from; x < to; x++ {
		term *= step(x)
		total += term
		if total > 1e200 {
			scale += math.Log(total)
			term, total = term/total, 1
		}
		if term == 0 {
			break
		}
	}
	return scale + math.Log(total)
}
