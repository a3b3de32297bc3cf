//! Packages of other languages, installed from their registries into `target/tmp/packages` and kept there.
//!
//! Without a network or without the language, a test that needs a package says so and is skipped. With
//! `MT_REQUIRE_PACKAGES` set it fails instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Installs an npm package and returns its folder.
///
/// # Errors
///
/// The reason why the package could not be installed.
pub fn npm(package: &str) -> Result<PathBuf, String> {
    installed("npm", package, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .args(["--fetch-retries", "0", "--fetch-timeout", "30000", "--prefix"])
            .arg(folder)
            .arg(package);
        npm
    })
}

/// Installs a Python package and returns its folder.
///
/// # Errors
///
/// The reason why the package could not be installed.
pub fn pypi(package: &str) -> Result<PathBuf, String> {
    installed("pypi", package, |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-input", "--retries", "0", "--timeout", "30", "--target"])
            .arg(folder)
            .arg(package);
        pip
    })
}

/// The folder `target/tmp/packages`. The test runs as `target/debug/deps/it-…`.
fn folder_of_packages() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(3).ok_or("the test does not run from `target`")?;
    Ok(target.join("tmp/packages"))
}

fn installed(
    registry: &str,
    package: &str,
    install: impl Fn(&Path) -> Command,
) -> Result<PathBuf, String> {
    let all = folder_of_packages()?;
    let folder = all.join(format!("{registry}-{package}"));
    if folder.exists() {
        return Ok(folder);
    }
    // An unfinished installation never has the final name, even if several processes install at once.
    let fresh = all.join(format!("{registry}-{package}.{}", std::process::id()));
    fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
    let output = install(&fresh)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {registry}: {error}"))?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&fresh);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(format!("cannot install `{package}`: {reason}"));
    }
    if fs::rename(&fresh, &folder).is_err() {
        // Another process has installed it meanwhile.
        let _ = fs::remove_dir_all(&fresh);
    }
    Ok(folder)
}

/// Reports on standard output that a test is skipped; `.config/nextest.toml` shows that output.
///
/// # Panics
///
/// If `MT_REQUIRE_PACKAGES` is set.
#[expect(clippy::print_stdout, reason = "a skipped test has to be visible")]
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("MT_REQUIRE_PACKAGES").is_none(), "{what}: {why}");
    println!("SKIPPED {what}: {why}");
}
