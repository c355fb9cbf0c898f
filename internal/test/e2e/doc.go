// Package e2e tests and measures the product as its users run it: real daemons, real
// plugins, real connections. A test that passes here says that the whole does what it
// promises; what a room does is for that room's own tests.
package e2e
