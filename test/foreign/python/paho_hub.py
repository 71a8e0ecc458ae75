"""paho publishes to an IoT hub with a token of its own making, over MQTT 3.1.1 and TLS."""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.parse

import paho.mqtt.client as mqtt
from told import tell

options = json.loads(sys.argv[1])
resource = urllib.parse.quote(f"{options['host']}/devices/{options['device']}", safe="")
expiry = int(time.time()) + 600
key = base64.b64decode(options["key"])
signed = hmac.new(key, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
token = f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signed), safe='')}&se={expiry}"
client = mqtt.Client(client_id=options["device"], protocol=mqtt.MQTTv311)
client.username_pw_set(f"{options['host']}/{options['device']}/?api-version=2021-04-12", token)
client.tls_set(ca_certs=options["ca_file"])


def on_connect(client, userdata, flags, code):
    tell({"connected": code})


client.on_connect = on_connect
client.connect("localhost", options["port"])
client.loop_start()
topic = f"devices/{options['device']}/messages/events/st=foreign"
for text in options["messages"]:
    client.publish(topic, bytes.fromhex(text), qos=1).wait_for_publish(60)
client.disconnect()
client.loop_stop()
tell({"published": len(options["messages"])})
