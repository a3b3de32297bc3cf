//! Packages of other languages, installed from their registries below `target/` and kept there.
//!
//! Without a network, or without the language, the tests that need one say so and are skipped; with
//! `MT_REQUIRE_PACKAGES` set they fail instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `package` is installed, or why it is not.
pub(crate) fn npm(package: &str) -> Result<PathBuf, String> {
    installed("npm", package, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .args(["--fetch-retries", "0", "--fetch-timeout", "30000", "--prefix"])
            .arg(folder)
            .arg(package);
        npm
    })
}

/// Where `package` is installed, or why it is not.
pub(crate) fn pypi(package: &str) -> Result<PathBuf, String> {
    installed("pypi", package, |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-input", "--retries", "0", "--timeout", "30", "--target"])
            .arg(folder)
            .arg(package);
        pip
    })
}

fn installed(
    registry: &str,
    package: &str,
    install: impl Fn(&Path) -> Command,
) -> Result<PathBuf, String> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let folder = all.join(format!("{registry}-{package}"));
    if folder.exists() {
        return Ok(folder);
    }
    // Half an installation is never found under the name of a whole one, whoever else is at it.
    let fresh = all.join(format!("{registry}-{package}.{}", std::process::id()));
    fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
    let output = install(&fresh)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{registry} cannot be run: {error}"))?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&fresh);
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(format!("`{package}` was not installed: {told}"));
    }
    if fs::rename(&fresh, &folder).is_err() {
        // Somebody else was quicker.
        let _ = fs::remove_dir_all(&fresh);
    }
    Ok(folder)
}

/// Says that a test was skipped, where everybody can see it (`.config/nextest.toml` shows it).
#[expect(clippy::print_stdout, reason = "somebody should read it")]
pub(crate) fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("MT_REQUIRE_PACKAGES").is_none(), "{what}: {why}");
    println!("SKIPPED {what}: {why}");
}
