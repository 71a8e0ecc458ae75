"""google-cloud-pubsub publishes, pulls by stream and acknowledges, with a service account over TLS."""

import json
import os
import sys
import threading

options = json.loads(sys.argv[1])
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = options["ca_file"]

from google.api_core.client_options import ClientOptions
from google.cloud import pubsub_v1
from google.auth import jwt
from google.oauth2 import service_account
from told import tell

account = {
    "type": "service_account",
    "client_email": options["email"],
    "private_key": options["key"],
    "token_uri": "https://localhost/none",
}


def credentials_for(service):
    """With the audience that the library chooses, or with the service's own, as the vendor documents both."""
    if options["audience"] == "host":
        return service_account.Credentials.from_service_account_info(account)
    audience = f"https://pubsub.googleapis.com/google.pubsub.v1.{service}"
    return jwt.Credentials.from_service_account_info(account, audience=audience)


endpoint = ClientOptions(api_endpoint=options["publish"])
publisher = pubsub_v1.PublisherClient(credentials=credentials_for("Publisher"), client_options=endpoint)
topic = publisher.topic_path(options["project"], options["topic"])
for text in options["messages"]:
    publisher.publish(topic, bytes.fromhex(text), gw="gw-1", st="foreign").result(timeout=60)

subscriber = pubsub_v1.SubscriberClient(
    credentials=credentials_for("Subscriber"), client_options=ClientOptions(api_endpoint=options["subscribe"])
)
left = len(options["messages"])
counting = threading.Lock()
done = threading.Event()


def on_message(message):
    """The library calls from several threads at once."""
    global left
    tell({"data": message.data.hex(), "attributes": dict(message.attributes)})
    message.ack()
    with counting:
        left -= 1
        if left == 0:
            done.set()


subscription = subscriber.subscription_path(options["project"], options["subscription"])
pulling = subscriber.subscribe(subscription, callback=on_message)
done.wait()
pulling.cancel()
pulling.result(timeout=60)
subscriber.close()
