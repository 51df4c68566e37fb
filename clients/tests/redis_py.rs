//! redis-py: the supported part of its own test suite, from its package; and its pipeline as it comes.

#[path = "../../crates/cutaway/tests/common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::Command;

use common::Cluster;

/// Where `.ci/setup` puts the package with its tests, and a Python that has it.
fn suite() -> Option<(PathBuf, PathBuf)> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let home = cache.join("cutaway/redis-py");
    let (python, tests) = (home.join("venv/bin/python"), home.join("redis-8.1.0"));
    let there = python.exists() && tests.join("tests/conftest.py").exists();
    if !there {
        eprintln!("\n*** SKIPPED: redis-py is not in {}; .ci/setup puts it there ***\n", home.display());
    }
    there.then_some((python, tests))
}

#[test]
fn the_supported_part_of_the_suite_of_redis_py_passes() {
    let Some((python, tests)) = suite() else { return };
    let cluster = Cluster::new(&["--image-size", "64M"]);
    for protocol in ["2", "3"] {
        let output = Command::new(&python)
            .args([
                "-m",
                "pytest",
                "-q",
                "-p",
                "redis_py",
                "-p",
                "no:cacheprovider",
                "--tb=native",
                "--timeout",
                "120",
            ])
            .args([
                "-m",
                "not onlycluster and not ssl and not redismod and not fixed_client and not cp_integration",
            ])
            .args(["--redis-url", &format!("redis://127.0.0.1:{}/0", cluster.port), "--protocol", protocol])
            .args(["tests/test_commands.py", "tests/test_pipeline.py", "tests/test_encoding.py"])
            .current_dir(&tests)
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/suites"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // Warnings may stand behind the summary.
        let last = said.lines().rev().find(|line| line.contains(" passed")).unwrap_or_default().to_string();
        assert!(output.status.success(), "protocol {protocol}: {said}");
        let passed = last.split(" passed").next().and_then(|n| n.rsplit(' ').next()?.parse::<u32>().ok());
        println!("redis-py, protocol {protocol}: {last}");
        assert!(passed.is_some_and(|passed| passed >= PASSED_AT_LEAST), "{last}");
    }
}

/// Fewer would mean that something that was supported is refused now.
const PASSED_AT_LEAST: u32 = 100;

/// A program for redis-py that fails unless the pipeline that it makes by itself, a transaction, fails as a whole.
const PIPELINE: &str = "
import redis, sys
c = redis.Redis(port=int(sys.argv[1]))
c.set('k', 'before')
try:
    c.pipeline().set('k', 'after').set('l', 'after').execute()
    sys.exit('it claims to have run a transaction')
except redis.ResponseError as e:
    assert 'MULTI is not supported' in str(e), e
assert c.mget('k', 'l') == [b'before', None], c.mget('k', 'l')
assert c.pipeline(transaction=False).set('k', 'after').get('k').execute() == [True, b'after']
assert sorted(c.scan_iter(count=1)) == [b'k']
";

#[test]
fn a_pipeline_that_is_a_transaction_fails_and_nothing_of_it_stands() {
    let Some((python, _)) = suite() else { return };
    let cluster = Cluster::new(&[]);
    let output = Command::new(python).args(["-c", PIPELINE, &cluster.port.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
