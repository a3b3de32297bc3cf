//! The file `.env`: how each command reads it.

mod compose;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output};

use reference_server::config::{Environment, EnvironmentError, ReadConfig as _};
use serde_json::Value;

/// Every command that reads settings.
const COMMANDS: [&[&str]; 12] = [
    &["serve"],
    &["serve", "--print-config"],
    &["migrate"],
    &["seed"],
    &["demo"],
    &["demo", "--base-url", "http://127.0.0.1:1"],
    &["doctor"],
    &["billing", "reconcile"],
    &["orgs", "delete", "--yes", "01890000-0000-7000-8000-000000000000"],
    &["webhooks", "list"],
    &["webhooks", "show", "evt_1"],
    &["webhooks", "replay", "evt_1"],
];

fn folder(file: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), file).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str], vars: &[(&str, &OsStr)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mt-server"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(vars.iter().copied())
        .output()
        .unwrap()
}

fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    stderr
}

/// The settings that are in force in a folder, with these variables.
fn settings(folder: &Path, vars: &[(&str, &str)]) -> Value {
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
    let output = run(folder, &["serve", "--print-config", "--json"], &vars);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn invalid_line_stops_every_command_with_its_number() {
    let rest = "\nAPP_ENV=prod\nJWT_SECRET=hunter2\n";
    let bad = folder(format!("# mail\nMAIL_FROM=Acme Teams <teams@acme.example>{rest}"));
    for command in COMMANDS {
        let stderr = refusal(&run(bad.path(), command, &[]));
        assert_eq!(
            stderr, "`.env`, line 2: a value with white space must be in quotes\n",
            "{command:?}"
        );
    }
    // The control: quoted, the line is taken, and so is what follows it. Production refuses to start on that.
    let good = folder(format!("# mail\nMAIL_FROM='Acme Teams <teams@acme.example>'{rest}"));
    let stderr = refusal(&run(good.path(), &["serve"], &[]));
    assert!(stderr.contains("`JWT_SECRET` is a secret of 7 bytes"), "{stderr}");
    assert!(stderr.contains("`DATABASE_URL` is not set"), "{stderr}");
    // What reads no settings does not mind.
    for command in [&["openapi"][..], &["completions", "bash"], &["serve", "--help"]] {
        assert!(run(bad.path(), command, &[]).status.success(), "{command:?}");
    }
}

#[test]
fn all_invalid_lines_are_reported_without_values() {
    let file = "JWT_SECRET='hunter2\nADMIN_TOKEN=hunter2 hunter3\nhunter4\nSMTP_URL=\"hunter\\5\"\nhunter6=1\nhunter6=2\n";
    let stderr = refusal(&run(folder(file).path(), &["serve"], &[]));
    let lines: Vec<_> = stderr.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        ["`.env`, line 1", "`.env`, line 2", "`.env`, line 3", "`.env`, line 4", "`.env`, line 6"]
    );
    assert!(stderr.ends_with("the name is already set in line 5\n"), "{stderr}");
    assert!(!stderr.contains("hunter"), "{stderr}");
}

#[test]
fn values_are_read_as_written() {
    let file = "\u{feff}APP_ENV=test\r\nexport APP_PORT = 1234 # here\r\n\r\nOTEL_SERVICE_NAME=$HOME${HOME}$$\r\n\
                SMTP_URL=smtp://mail\r\nMAIL_FROM=\"Acme Teams <teams@acme.example>\"\r\n\
                ADMIN_TOKEN='$#\\n'\r\nPOSTGRES_PASSWORD=x\r\n";
    let folder = folder(file);
    let found = settings(folder.path(), &[("HOME", "elsewhere")]);
    for (name, value) in [
        ("APP_ENV", "test"),
        ("APP_PORT", "1234"),
        ("OTEL_SERVICE_NAME", "$HOME${HOME}$$"),
        ("MAIL_FROM", "Acme Teams <teams@acme.example>"),
        ("ADMIN_TOKEN", "(4 bytes)"),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
}

#[test]
fn process_variables_override_the_file() {
    let folder = folder("APP_PORT=1234\nAPP_HOST=127.0.0.2\n");
    assert_eq!(settings(folder.path(), &[])["APP_PORT"], "1234");
    assert_eq!(settings(folder.path(), &[("APP_PORT", "4321")])["APP_PORT"], "4321");
    // An empty variable is an unset one, in the file too.
    let found = settings(folder.path(), &[("APP_PORT", "")]);
    assert_eq!((&found["APP_PORT"], &found["APP_HOST"]), (&"8000".into(), &"127.0.0.2".into()));
}

#[test]
fn env_file_is_read_from_the_current_directory_only() {
    for file in ["APP_PORT=1234\n", "nonsense\n"] {
        let parent = folder(file);
        let child = parent.path().join("child");
        std::fs::create_dir(&child).unwrap();
        assert_eq!(settings(&child, &[])["APP_PORT"], "8000");
    }
    // The control: where the file is, it counts.
    assert_eq!(settings(folder("APP_PORT=1234\n").path(), &[])["APP_PORT"], "1234");
}

#[test]
fn unreadable_env_file_stops_the_start() {
    let empty = || tempfile::tempdir().unwrap();
    let directory = empty();
    std::fs::create_dir(directory.path().join(".env")).unwrap();
    let dangling = empty();
    std::os::unix::fs::symlink("nowhere", dangling.path().join(".env")).unwrap();
    let long = folder(format!("# {}", "x".repeat(1024 * 1024)));
    for folder in [directory, dangling, long] {
        let stderr = refusal(&run(folder.path(), &["serve", "--print-config"], &[]));
        assert!(stderr.starts_with("`.env` in the current directory cannot be read: "), "{stderr}");
    }
    for (file, line) in [(&b"A=1\nB=\xff\n"[..], 2), (b"\xff\xfeA\0=\0", 1), (b"A\0=\x001\0", 1)] {
        let stderr = refusal(&run(folder(file).path(), &["serve", "--print-config"], &[]));
        assert!(stderr.starts_with(&format!("`.env`, line {line}: ")), "{stderr}");
    }
    // A missing one is fine.
    assert_eq!(settings(empty().path(), &[])["APP_PORT"], "8000");
}

#[test]
fn variable_that_is_not_unicode_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let value = OsStr::from_bytes(b"prod\xff");
    let stderr = refusal(&run(folder.path(), &["serve"], &[("JWT_SECRET", value)]));
    assert_eq!(stderr, "`JWT_SECRET` is not UTF-8\n");
    // The control: it is none of the server's business what others are set to.
    let output = run(folder.path(), &["serve", "--print-config"], &[("OTHER", value)]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn unknown_variables_are_reported() {
    let file = "APP_PORT=1\nPOSTGRES_PASSWORD=x\nJWT_SECRT=y\nMIIBVg==\n";
    let environment = Environment::new([], folder(file).path()).unwrap();
    environment.config().unwrap();
    assert_eq!(environment.unknown(), ["JWT_SECRT", "POSTGRES_PASSWORD"]);
    let output = run(folder(file).path(), &["migrate"], &[("LOG_FORMAT", OsStr::new("json"))]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("not settings of the server: JWT_SECRT, POSTGRES_PASSWORD"),
        "{stderr}"
    );
    let malformed = Environment::new([], folder("nonsense").path());
    assert!(matches!(malformed, Err(EnvironmentError::Malformed(_))), "{malformed:?}");
}

/// The examples in the head of `.env.example` are lines that parse, and mean what they say.
#[test]
fn the_example_shows_quoting_that_works() {
    let example = include_str!("../../../../../.env.example");
    let shown: Vec<_> = example.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let shown = shown.join("\n");
    let environment = Environment::new([], folder(shown).path()).unwrap();
    let values: Vec<_> = environment.file().collect();
    assert_eq!(
        values,
        [
            ("DOUBLE", "it's \"quoted\" \\"),
            ("PLAIN", "value#1"),
            ("SINGLE", r#"a $value # "x" \n"#),
        ]
    );
    let mut quoted = example.lines().filter_map(|line| line.strip_prefix("# MAIL_FROM="));
    let value = quoted.next_back().expect("`MAIL_FROM` is shown in quotes");
    let environment = Environment::new([], folder(format!("MAIL_FROM={value}")).path()).unwrap();
    assert_eq!(environment.get("MAIL_FROM").as_deref(), Some("Acme Teams <teams@acme.example>"));
}
