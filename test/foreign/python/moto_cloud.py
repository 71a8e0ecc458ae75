"""moto as IoT data plane and SQS; what is published goes to the queue as the IoT rule of the docs puts it there."""

import base64
import json
import sys
import threading
import time

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iotdata.models import iotdata_backends
from moto.server import ThreadedMotoServer
from told import tell

options = json.loads(sys.argv[1])
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"
sqs = boto3.client(
    "sqs",
    region_name=options["region"],
    endpoint_url=endpoint,
    aws_access_key_id=options["key"],
    aws_secret_access_key=options["secret"],
)
queue = sqs.create_queue(QueueName="headgate")["QueueUrl"]


def rule():
    """Moves each publish to the queue, once."""
    published = iotdata_backends[DEFAULT_ACCOUNT_ID][options["region"]].published_payloads
    done = 0
    while True:
        while done < len(published):
            topic, payload = published[done]
            body = {"data": base64.b64encode(payload).decode(), "topic": topic, "ts": int(time.time() * 1000)}
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
            done += 1
        time.sleep(0.05)


threading.Thread(target=rule, daemon=True).start()
tell({"endpoint": endpoint, "queue": queue})
sys.stdin.read()
counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
tell({"left": sum(int(left[name]) for name in counts)})
server.stop()
