// Serves Google's pstest with a topic and an ordered subscription until standard input ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/protobuf/types/known/durationpb"
)

type options struct {
	Topic        string `json:"topic"`
	Subscription string `json:"subscription"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var o options
	check(json.Unmarshal([]byte(os.Args[1]), &o))
	server := pstest.NewServer()
	defer server.Close()
	ctx := context.Background()
	_, err := server.GServer.CreateTopic(ctx, &pubsubpb.Topic{Name: o.Topic})
	check(err)
	_, err = server.GServer.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name: o.Subscription, Topic: o.Topic, AckDeadlineSeconds: 60,
		MessageRetentionDuration: durationpb.New(24 * 60 * 60 * 1e9)})
	check(err)
	out := json.NewEncoder(os.Stdout)
	check(out.Encode(map[string]any{"endpoint": server.Addr}))
	_, err = io.ReadAll(os.Stdin)
	check(err)
	acks := 0
	for _, message := range server.Messages() {
		acks += message.Acks
	}
	check(out.Encode(map[string]any{"messages": len(server.Messages()), "acks": acks}))
}
