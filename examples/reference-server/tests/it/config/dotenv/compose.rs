//! The server and Docker Compose read the same values from `.env`.
//!
//! What Compose took each line for is kept in `config/dotenv/compose.json`. Where Compose is installed it is asked again, and
//! for lines that are made up anew each time; `MT_BLESS=1` then rewrites the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use reference_server::config::Environment;
use serde_json::Value;

/// Values as they are written in a file.
const WRITTEN: [&str; 26] = [
    "",
    "a",
    "a # b",
    "a  #b",
    "a#b",
    "a=b=c",
    "postgres://u:p%40@h/d?a=b&c=d",
    "*[a-z]?!{x}(y)<z>|;~`^,",
    "''",
    "\"\"",
    "'a b' # c",
    "'a b'\t# c",
    r"'$a ${b} $$ \$ # \n \\x'",
    "'it\"s'",
    "\"it's\"",
    "\"a # b\" # c",
    r#""\"a\"""#,
    r#""\\""#,
    r#""\\n""#,
    r#""\\\"""#,
    r#""a\nb\rc\td""#,
    r#""\$a \${b} \$\$""#,
    "'\u{e9}\u{1f600}'",
    "\u{e9}",
    "\"a\tb\"",
    "$5a$",
];

/// Compose substitutes in these, and the server does not: it is why `.env.example` asks for single quotes.
const SUBSTITUTED: [(&str, &str); 4] = [
    ("$MT_UNSET", "$MT_UNSET"),
    ("a${MT_UNSET}", "a${MT_UNSET}"),
    ("a$$b", "a$$b"),
    ("\"$MT_UNSET\"", "$MT_UNSET"),
];

/// A file with these values, as `V0`, `V1` and so on; those that the server refuses are left out.
fn file_of(written: impl IntoIterator<Item = String>) -> (Vec<String>, String) {
    let is_taken = |value: &String| read(&format!("A={value}\n")).is_some();
    let taken: Vec<_> = written.into_iter().filter(is_taken).collect();
    let lines = taken.iter().enumerate().map(|(number, value)| format!("V{number}={value}\n"));
    let file = lines.collect();
    (taken, file)
}

/// Returns the values that the server reads, if it accepts the file.
fn read(file: &str) -> Option<BTreeMap<String, String>> {
    let folder = super::folder(file);
    let environment = Environment::new([], folder.path()).ok()?;
    Some(environment.file().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The command that is Compose here.
fn compose() -> Option<Vec<&'static str>> {
    let commands = [vec!["docker", "compose"], vec!["docker-compose"]];
    commands.into_iter().find(|command| {
        let version =
            Command::new(command[0]).args(&command[1..]).args(["version", "--short"]).output();
        version.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"2."))
    })
}

/// Returns the values that Compose reads.
fn read_by_compose(command: &[&str], file: &str) -> BTreeMap<String, String> {
    let folder = super::folder(file);
    let stack = "services: { one: { image: none, env_file: [.env] } }";
    std::fs::write(folder.path().join("compose.yml"), stack).unwrap();
    let output = Command::new(command[0])
        .args(&command[1..])
        // The `.env` of the project is another use of the file, which is not asked about here.
        .args(["--env-file", "/dev/null", "config", "--format", "json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{file}\n{}", String::from_utf8_lossy(&output.stderr));
    let stack: Value = serde_json::from_slice(&output.stdout).unwrap();
    let environment = stack["services"]["one"]["environment"].as_object().unwrap();
    // Its output is input again, in which `$$` is one.
    let value = |value: &Value| value.as_str().unwrap().replace("$$", "$");
    environment.iter().map(|(name, found)| (name.clone(), value(found))).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/config/dotenv/compose.json")
}

/// Values from what readers of such files treat in a way of their own.
fn made_up(runner: &mut TestRunner, count: usize) -> Vec<String> {
    let piece = r#"[a-z0-9 \t#=:'"\\$é{}@/-]{0,12}"#;
    let single = r#"'[a-z #=:"$\\{}@é-]{0,12}'( # [a-z'"]{0,5})?"#;
    let double = r#""([a-z #=:'{}@é-]|\\[\\"$nrt]){0,12}"( #[a-z'"]{0,5})?"#;
    let strategy = proptest::prop_oneof![piece, single, double];
    // A dollar sign outside of single quotes is substituted, unless it is escaped: the one difference.
    let is_alike = |value: &String| {
        value.starts_with('\'') || !value.replace(r"\\", "").replace(r"\$", "").contains('$')
    };
    let values = std::iter::repeat_with(|| strategy.new_tree(runner).unwrap().current());
    values.filter(is_alike).take(count).collect()
}

#[test]
fn server_and_compose_read_the_same_values() {
    let mut runner = TestRunner::deterministic();
    let written = WRITTEN.into_iter().map(str::to_owned).chain(made_up(&mut runner, 300));
    let (taken, file) = file_of(written);
    assert!(WRITTEN.iter().all(|value| taken.iter().any(|one| one == value)), "each is taken");
    let ours = read(&file).unwrap();
    if let Some(command) = compose() {
        let theirs = read_by_compose(&command, &file);
        assert_eq!(ours, theirs);
        if std::env::var_os("MT_BLESS").is_some() {
            let pairs: Vec<_> = taken
                .iter()
                .enumerate()
                .map(|(n, value)| (value, &theirs[&format!("V{n}")]))
                .collect();
            let lines: Vec<_> =
                pairs.iter().map(|pair| serde_json::to_string(pair).unwrap()).collect();
            std::fs::write(golden(), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        }
        let (_, file) = file_of(made_up(&mut TestRunner::default(), 300));
        assert_eq!(read(&file).unwrap(), read_by_compose(&command, &file), "{file}");
    }
    let kept: Vec<(String, String)> =
        serde_json::from_str(&std::fs::read_to_string(golden()).unwrap()).unwrap();
    assert!(kept.len() > 200, "{}", kept.len());
    for (written, theirs) in kept {
        let ours = read(&format!("A={written}\n")).map(|mut values| values.remove("A").unwrap());
        assert_eq!(ours.as_deref(), Some(theirs.as_str()), "{written:?}");
    }
}

#[test]
fn the_server_substitutes_nothing() {
    for (written, value) in SUBSTITUTED {
        let values = read(&format!("A={written}\n")).unwrap();
        assert_eq!(values["A"], value);
        // The control: Compose does, and in single quotes it does not.
        if let Some(command) = compose() {
            assert_ne!(read_by_compose(&command, &format!("A={written}\n"))["A"], value);
            let quoted = format!("A='{value}'\n");
            assert_eq!(read_by_compose(&command, &quoted), read(&quoted).unwrap());
        }
    }
}
