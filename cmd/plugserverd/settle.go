package main

import (
	"context"
	"errors"

	"github.com/andrestc/go-plugserver/internal/api"
)

var errNotYet = errors.New("plugserverd cannot do that yet")

// Settle implements control.Backend.
func (*backend) Settle(context.Context, string) (api.Outcome, error) {
	return api.Outcome{}, errNotYet
}

// History implements control.Backend.
func (*backend) History(context.Context, string) (api.History, error) {
	return api.History{}, errNotYet
}

// Rollback implements control.Backend.
func (*backend) Rollback(context.Context, string, string) (api.Outcome, error) {
	return api.Outcome{}, errNotYet
}
