"""dap-python, which checks each message against its own model of the protocol, drives `cutaway debug`: CUTAWAY ROOT"""

import subprocess
import sys

from dap import Client
from dap.events import ExitedEvent, InitializedEvent, OutputEvent, StoppedEvent, TerminatedEvent
from dap.base import ErrorResponse
from dap.handler import Handler
from pydantic import ValidationError

theirs = Handler.handle_response


def handle_response(handler, response):
    try:
        return theirs(handler, response)
    except ValidationError as error:
        # dap-python 0.5.0 looks for a whole response in the body of one that only acknowledges.
        missing = {problem["loc"] for problem in error.errors()}
        assert missing == {("seq",), ("request_seq",), ("success",), ("command",)}, error
        return response


Handler.handle_response = handle_response

cutaway, root = sys.argv[1:]
adapter = subprocess.Popen([cutaway, "debug"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
client = Client("cutaway", lines_start_at1=True, columns_start_at1=True)
came = []


def flush():
    adapter.stdin.write(client.send())
    adapter.stdin.flush()


def until(kind):
    """The next message of this kind; what is printed before it is passed over."""
    flush()
    while True:
        while came:
            message = came.pop(0)
            if type(message) is kind or type(message).__name__ == kind:
                return message
            if kind is StoppedEvent or kind is InitializedEvent:
                assert not isinstance(message, ErrorResponse), message
        data = adapter.stdout.read1(65536)
        assert data, f"it ended before {kind}"
        came.extend(client.receive(data))


def stopped(reason):
    event = until(StoppedEvent)
    assert event.reason == reason, event
    return event


capabilities = until("Initialized")
client.send_request("launch", {"program": "epoch-fence", "without": ["epoch-fence"], "sourceRoot": root})
until(InitializedEvent)
client.set_exception_breakpoints(["P1", "invariants"], [], [])
client.configuration_done()
event = stopped("exception")
assert event.text.startswith("P1: n2 serves without entry 3"), event

client.threads()
threads = until("ThreadsResponse").threads
assert [thread.name for thread in threads] == ["client", "n1", "n2", "n3"], threads
client.stack_trace(event.threadId)
frames = until("StackTraceResponse").stackFrames
with open(frames[0].source.path) as source:
    line = source.read().split("\n")[frames[0].line - 1]
assert "Kind::" in line, line
client.scopes(frames[0].id)
scopes = until("ScopesResponse").scopes
assert [scope.name for scope in scopes][:4] == ["Event", "State", "Log", "Disk"], scopes
client.variables(scopes[2].variablesReference)
log = until("VariablesResponse").variables
assert any(entry.value.startswith("epoch 2") for entry in log), log
client.evaluate("n3.log", context="repl")
assert "entry 3" in until("EvaluateResponse").result

client.step_back(1)
stopped("step")
client.reverse_continue(1)
stopped("step")
client.next(1)
stopped("step")
client.send_request("dance")
assert "no request `dance`" in until(ErrorResponse).message
client.continue_(1)
stopped("exception")
client.continue_(1)
stopped("pause")
client.continue_(1)
assert until(ExitedEvent).exitCode == 1
until(TerminatedEvent)
client.disconnect()
flush()
adapter.stdin.close()
assert adapter.wait() == 0
print("all of it holds")
