"""
The tests of paho.mqtt.testing's interoperability/client_test.py, against a broker on 127.0.0.1. Its own option
parser leaves `unittest` with arguments that it does not know, so its globals are set from outside.
"""

import contextlib
import io
import json
import sys
import unittest

from told import tell

options = json.loads(sys.argv[1])
sys.path.insert(0, options["suite"])

import client_test  # noqa: E402

client_test.host, client_test.port = "127.0.0.1", options["port"]
client_test.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
client_test.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
# A filter that the broker refuses: all that begin with $.
client_test.nosubscribe_topics = ("$SYS/nosubscribe",)

printed = io.StringIO()
results = []


class Result(unittest.TestResult):
    def stopTest(self, test):
        failed = any(failed is test for failed, _ in self.failures + self.errors)
        results.append({"test": test.id().split(".")[-1], "passed": not failed})


with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
    outcome = Result()
    unittest.defaultTestLoader.loadTestsFromModule(client_test).run(outcome)
for result in results:
    tell(result)
for test, text in outcome.failures + outcome.errors:
    tell({"failed": test.id().split(".")[-1], "why": text})
