// A gRPC service of all four kinds of calls. It takes HTTP/2: over TLS, or in the clear
// with --http2=all.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Handler serves what grpc's own server would: requests below the service's name.
func Handler() (string, http.Handler) {
	s := grpc.NewServer()
	s.RegisterService(&service, struct{}{})
	return "POST /greet.Greeter/", s
}

// service is what protoc would generate of
//
//	service Greeter {
//	  rpc One(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	  rpc Many(google.protobuf.StringValue) returns (stream google.protobuf.StringValue);
//	  rpc Collect(stream google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	  rpc Chat(stream google.protobuf.StringValue) returns (stream google.protobuf.StringValue);
//	}
var service = grpc.ServiceDesc{
	ServiceName: "greet.Greeter",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "One", Handler: one}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Many", Handler: many, ServerStreams: true},
		{StreamName: "Collect", Handler: collect, ClientStreams: true},
		{StreamName: "Chat", Handler: chat, ClientStreams: true, ServerStreams: true},
	},
}

func one(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in wrapperspb.StringValue
	if err := decode(&in); err != nil {
		return nil, err
	}
	return wrapperspb.String("Hello " + in.Value), nil
}

func many(_ any, s grpc.ServerStream) error {
	var in wrapperspb.StringValue
	if err := s.RecvMsg(&in); err != nil {
		return err
	}
	for _, greeting := range []string{"Hello", "Hallo", "Hej"} {
		if err := s.SendMsg(wrapperspb.String(greeting + " " + in.Value)); err != nil {
			return err
		}
	}
	return nil
}

func collect(_ any, s grpc.ServerStream) error {
	all := "Hello"
	for {
		var in wrapperspb.StringValue
		err := s.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			return s.SendMsg(wrapperspb.String(all))
		}
		if err != nil {
			return err
		}
		all += " " + in.Value
	}
}

func chat(_ any, s grpc.ServerStream) error {
	for {
		var in wrapperspb.StringValue
		err := s.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.SendMsg(wrapperspb.String("Hello " + in.Value)); err != nil {
			return err
		}
	}
}

func main() {}
