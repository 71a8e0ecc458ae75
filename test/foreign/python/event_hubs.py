"""azure-eventhub reads every partition from the start; prints one JSON object for each event, until `count`."""

import json
import sys
import threading

from azure.eventhub import EventHubConsumerClient
from told import tell

options = json.loads(sys.argv[1])
client = EventHubConsumerClient.from_connection_string(
    options["connection_string"],
    consumer_group="$Default",
    custom_endpoint_address=options["endpoint"],
    connection_verify=options["ca_file"],
)
properties = client.get_eventhub_properties()
tell({"hub": properties["eventhub_name"], "partitions": properties["partition_ids"]})
for partition in properties["partition_ids"]:
    found = client.get_partition_properties(partition)
    tell({"partition": found["id"], "empty": found["is_empty"]})

left = options["count"]
done = threading.Event()
lock = threading.Lock()


def on_event(context, event):
    global left
    if event is None:
        return
    text = {key.decode(): value for key, value in event.properties.items()} if event.properties else {}
    read = {key: value.decode() if isinstance(value, bytes) else value for key, value in text.items()}
    device = event.system_properties[b"iothub-connection-device-id"].decode()
    with lock:
        body = b"".join(event.body).hex()
        tell({"body": body, "device": device, "properties": read, "sequence": event.sequence_number})
        left -= 1
        if left == 0:
            done.set()


reader = threading.Thread(target=lambda: client.receive(on_event=on_event, starting_position="-1"), daemon=True)
reader.start()
done.wait()
client.close()
reader.join()
