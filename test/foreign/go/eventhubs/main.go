// Reads every partition of an event hub with azeventhubs from the start, and prints a JSON object for each event.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

type options struct {
	ConnectionString string `json:"connection_string"`
	Endpoint         string `json:"endpoint"`
	CAFile           string `json:"ca_file"`
	Count            int    `json:"count"`
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
	pem, err := os.ReadFile(o.CAFile)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := azeventhubs.NewConsumerClientFromConnectionString(o.ConnectionString, "", "$Default",
		&azeventhubs.ConsumerClientOptions{CustomEndpoint: o.Endpoint, TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}})
	check(err)
	defer client.Close(ctx)
	hub, err := client.GetEventHubProperties(ctx, nil)
	check(err)
	out := json.NewEncoder(os.Stdout)
	check(out.Encode(map[string]any{"hub": hub.Name, "partitions": hub.PartitionIDs}))
	found := make(chan map[string]any)
	for _, id := range hub.PartitionIDs {
		partition, err := client.GetPartitionProperties(ctx, id, nil)
		check(err)
		check(out.Encode(map[string]any{"partition": partition.PartitionID, "empty": partition.IsEmpty}))
		earliest := true
		reader, err := client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
		check(err)
		go func() {
			for {
				events, err := reader.ReceiveEvents(ctx, 1, nil)
				check(err)
				for _, event := range events {
					found <- map[string]any{"body": hex.EncodeToString(event.Body),
						"device":     event.SystemProperties["iothub-connection-device-id"],
						"properties": event.Properties, "sequence": event.SequenceNumber}
				}
			}
		}()
	}
	for i := 0; i < o.Count; i++ {
		check(out.Encode(<-found))
	}
}
