"""
azure-iot-device sends, reads its twin, reports and gets a desired property. The SDK connects to port 8883 alone:
paho's `connect`, which it calls, gets the port of the test.
"""

import json
import sys
import threading

import paho.mqtt.client as paho
from told import tell

options = json.loads(sys.argv[1])
connect = paho.Client.connect
paho.Client.connect = lambda self, host, port=1883, **rest: connect(self, host, options["port"], **rest)

from azure.iot.device import IoTHubDeviceClient, Message  # noqa: E402

with open(options["ca_file"], encoding="utf-8") as file:
    certificates = file.read()
client = IoTHubDeviceClient.create_from_connection_string(
    options["connection_string"], server_verification_cert=certificates
)
desired = threading.Event()


def on_patch(patch):
    tell({"patch": patch})
    desired.set()


client.on_twin_desired_properties_patch_received = on_patch
client.connect()
for text in options["messages"]:
    message = Message(bytes.fromhex(text), content_type="application/octet-stream")
    message.custom_properties["st"] = "foreign"
    client.send_message(message)
tell({"sent": len(options["messages"])})
client.patch_twin_reported_properties({"headgate": {"receipt": 7}})
tell({"twin": client.get_twin()})
desired.wait(60)
client.shutdown()
