// Package oracle holds what the gate and the cells parse by themselves to libraries that
// do the same. They may link the standard library alone; the tests here do not.
package oracle
