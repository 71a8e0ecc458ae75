"""boto3 publishes to IoT Core, reads the SQS queue that the rule fills, and updates a shadow."""

import json
import sys

import boto3
from told import tell

options = json.loads(sys.argv[1])
session = boto3.Session(
    aws_access_key_id=options["key"], aws_secret_access_key=options["secret"], region_name=options["region"]
)
iot = session.client("iot-data", endpoint_url=options["iot"], verify=options["ca_file"])
sqs = session.client("sqs", endpoint_url=options["sqs"], verify=options["ca_file"])
for topic, payload in options["messages"]:
    iot.publish(topic=topic, qos=1, payload=bytes.fromhex(payload), userProperties=[{"gw": "gw-1"}])
while True:
    answer = sqs.receive_message(QueueUrl=options["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=1)
    messages = answer.get("Messages", [])
    if not messages:
        break
    for message in messages:
        tell({"body": json.loads(message["Body"])})
    entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
    deleted = sqs.delete_message_batch(QueueUrl=options["queue"], Entries=entries)
    tell({"deleted": len(deleted["Successful"])})
update = iot.update_thing_shadow(thingName="gw-1", shadowName="x", payload=b'{"state":{"desired":{"a":1}}}')
tell({"version": json.loads(update["payload"].read())["version"]})
read = iot.get_thing_shadow(thingName="gw-1", shadowName="x")
tell({"desired": json.loads(read["payload"].read())["state"]["desired"]})
wrong = boto3.Session(aws_access_key_id=options["key"], aws_secret_access_key="wrong", region_name=options["region"])
try:
    wrong.client("iot-data", endpoint_url=options["iot"], verify=options["ca_file"]).publish(topic="a", payload=b"x")
except Exception as error:
    tell({"refused": type(error).__name__})
