//! The commands of `docs/tour.md`, run as they stand there.

use std::process::{Command, Stdio};

use mt_core::testing::TestDatabase;
use reference_server::schema;

use crate::support::process::ServerProcess;

/// The commands of the tour.
fn tour() -> &'static str {
    let page = include_str!("../../../../docs/tour.md");
    let (_, block) = page.split_once("```bash\n").expect("the tour has commands");
    block.split_once("```").expect("the commands end").0
}

fn is_installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Runs it in one shell, as often as it is asked to.
fn run(commands: &str, times: usize, base_url: &str) -> Vec<String> {
    let address = base_url.strip_prefix("http://").unwrap();
    let once = commands.replace("localhost:8000", address) + "echo; echo '-- end'\n";
    let output =
        Command::new("bash").args(["-uc", &format!("TOKEN=; {}", once.repeat(times))]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.split_terminator("-- end\n").map(str::to_owned).collect()
}

/// Whether the tour has shown what it promises.
fn shows_it(said: &str) -> bool {
    said.contains("magic-link-used")
        && said.contains("cap-reached")
        && said.contains(r#""duplicate":false"#)
        && said.contains(r#""duplicate":true"#)
        && said.contains("\"pro\"\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_works_twice_in_a_row() {
    if !["bash", "curl", "jq"].into_iter().all(is_installed) {
        return eprintln!("skipped: the tour needs bash, curl and jq");
    }
    let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let server = ServerProcess::start(&db.login_url(), &[]).await;
    let said = run(tour(), 2, &server.base_url);
    assert_eq!(said.len(), 2);
    for said in &said {
        assert!(shows_it(said), "{said}");
    }
    // The control: with an event's id that is the same each time, it works once.
    let fixed = tour().replace("evt_'$ORG'", "evt_1").replace("sub_'$ORG'", "sub_1");
    assert_ne!(fixed, tour());
    let said = run(&fixed, 2, &server.base_url);
    assert_eq!(
        said.iter().map(|said| shows_it(said)).collect::<Vec<_>>(),
        [true, false],
        "{said:?}"
    );
    assert!(server.stop().0.success());
}
