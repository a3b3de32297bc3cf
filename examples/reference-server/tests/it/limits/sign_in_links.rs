//! Limits on sign-in links: beyond one the answer is the same and nothing is sent, and other clients cannot
//! keep an address from signing in.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Answer, Server, answer};

/// Counted in the process, so that tests which run at once do not share the figure in all.
const HERE: [(&str, &str); 2] = [("REDIS_URL", ""), ("TRUSTED_PROXIES", "127.0.0.1/32")];

async fn server(settings: &[(&str, &str)]) -> Server {
    Server::start_with(&[&HERE[..], settings].concat()).await
}

/// Clients at addresses of their own.
struct Clients<'s> {
    server: &'s Server,
    http: reqwest::Client,
}

impl<'s> Clients<'s> {
    fn of(server: &'s Server) -> Self {
        Self { server, http: reqwest::Client::new() }
    }

    async fn post(&self, from: &str, path: &str, body: serde_json::Value) -> Answer {
        let url = format!("{}{path}", self.server.base_url());
        let request = self.http.post(url).header("x-forwarded-for", from).json(&body);
        answer(request.send().await.unwrap()).await
    }

    /// Asks for a link, and returns its token if one was sent.
    async fn ask(&self, from: &str, email: &str) -> Option<String> {
        let asked = self.post(from, "/auth/request-link", json!({"email": email})).await;
        assert_eq!((asked.status, &asked.json()["sent"]), (202, &json!(true)), "{asked:?}");
        asked.json()["token"].as_str().map(str::to_owned)
    }

    async fn redeem(&self, from: &str, token: &str) -> u16 {
        self.post(from, "/auth/redeem", json!({"token": token})).await.status
    }
}

const VICTIM: &str = "victim@example.org";

/// The controls are the attacker, whose own network has used up its quota of mails, and the server without a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacker_in_one_network_neither_voids_links_nor_exhausts_the_address() {
    let server = server(&[("RATE_LIMIT_EMAIL_PER_HOUR", "5")]).await;
    let clients = Clients::of(&server);
    let live = clients.ask("198.51.100.1", VICTIM).await.expect("a link");
    let mut sent = 0;
    for _ in 0..100 {
        sent += u32::from(clients.ask("203.0.113.1", VICTIM).await.is_some());
    }
    assert_eq!(sent, 5);
    let another = clients.ask("198.51.100.1", VICTIM).await.expect("the network has its own");
    assert_eq!(clients.redeem("198.51.100.1", &live).await, 200, "the oldest is good");
    assert_eq!(clients.redeem("198.51.100.1", &another).await, 400, "one sign-in voids the others");
    server.stop().await;

    let server = self::server(&[]).await;
    let clients = Clients::of(&server);
    let live = clients.ask("198.51.100.1", VICTIM).await.expect("a link");
    let mut sent = 0;
    for _ in 0..100 {
        sent += u32::from(clients.ask("203.0.113.1", VICTIM).await.is_some());
    }
    assert_eq!(sent, 9, "as many live links as an address may have");
    assert_eq!(clients.redeem("198.51.100.1", &live).await, 200);
    server.stop().await;
}

/// The control is the network that the address does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attackers_in_many_networks_do_not_stop_a_network_that_the_address_signed_in_from() {
    let server = server(&[("RATE_LIMIT_EMAIL_PER_HOUR", "3")]).await;
    let clients = Clients::of(&server);
    let home = "198.51.100.1";
    let first = clients.ask(home, VICTIM).await.expect("a link");
    assert_eq!(clients.redeem(home, &first).await, 200);
    let mut sent = 0;
    for network in 0..40 {
        for _ in 0..3 {
            let from = format!("203.0.113.{network}");
            sent += u32::from(clients.ask(&from, VICTIM).await.is_some());
        }
    }
    // Twice the figure in all, of which home took one.
    assert_eq!(sent, 5);
    assert_eq!(clients.ask("192.0.2.1", VICTIM).await, None, "a network that it does not know");
    let link = clients.ask(home, VICTIM).await.expect("the network that it knows");
    // Asking proves nothing: an attacker's network is not known for having asked.
    assert_eq!(clients.redeem(home, &link).await, 200);
    assert_eq!(clients.ask("203.0.113.1", VICTIM).await, None);
    // Other addresses have figures of their own.
    assert!(clients.ask("192.0.2.1", "other@example.org").await.is_some());
    server.stop().await;
}

/// The figures of production: 600 a minute, and 20 a minute and address, of which 31 make 620. The control is the crowd
/// itself, which is refused: with one count for all it would have taken everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_one_networks_leave_quota_for_others() {
    let server = server(&[("RATE_LIMIT_LINKS_PER_MIN", "600")]).await;
    let clients = Clients::of(&server);
    let mut sent = 0;
    for round in 0..20 {
        for network in 0..31 {
            let email = format!("attacker-{round}-{network}@example.org");
            let from = format!("203.0.113.{network}");
            sent += u32::from(clients.ask(&from, &email).await.is_some());
        }
    }
    assert!((200..=31 + 3 * 75).contains(&sent), "{sent}");
    for newcomer in 0..20 {
        let from = format!("198.51.100.{newcomer}");
        let email = format!("newcomer-{newcomer}@example.org");
        assert!(clients.ask(&from, &email).await.is_some(), "{newcomer}");
    }
    assert_eq!(clients.ask("203.0.113.1", "one-more@example.org").await, None);
    server.stop().await;
}

/// All of a site's /64 networks are one network to the limits on mails, and a second count to those of requests. The
/// control is another site.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_with_65536_networks_is_one_client() {
    let server = server(&[("RATE_LIMIT_EMAIL_PER_HOUR", "2")]).await;
    let clients = Clients::of(&server);
    let mut sent = 0;
    for network in 0..30 {
        let from = format!("2001:db8:1:{network:x}::1");
        sent += u32::from(clients.ask(&from, VICTIM).await.is_some());
    }
    assert_eq!(sent, 2);
    assert!(clients.ask("2001:db8:2::1", VICTIM).await.is_some());
    server.stop().await;

    let server = self::server(&[("RATE_LIMIT_AUTH_PER_MIN", "3")]).await;
    let clients = Clients::of(&server);
    let mut statuses = Vec::new();
    for network in 0..30 {
        let from = format!("2001:db8:1:{network:x}::1");
        let body = json!({"email": format!("ada-{network}@example.org")});
        statuses.push(clients.post(&from, "/auth/request-link", body).await);
    }
    let refused = statuses.pop().unwrap();
    crate::limits::responses::says_what_the_limit_is(&refused);
    let policies: Vec<_> = refused.headers.get_all("ratelimit-policy").iter().collect();
    assert_eq!(policies, [r#""auth";q=3;w=60"#, r#""auth-site";q=6;w=60"#]);
    assert_eq!(statuses.iter().filter(|answer| answer.status == 202).count(), 6);
    assert!(clients.ask("2001:db8:2::1", "ada@example.org").await.is_some());
    server.stop().await;
}

/// Replicas share the counts. Networks and addresses are this run's own, since tests share the Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_share_a_redis_share_the_limits() {
    let settings = [
        ("RATE_LIMIT_EMAIL_PER_HOUR", "5"),
        ("RATE_LIMIT_LINKS_PER_MIN", "600"),
        ("TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let one = Server::start_with(&settings).await;
    let two = Server::start_on(one.db.clone(), &settings).await;
    let replicas = [Clients::of(&one), Clients::of(&two)];
    let run = uuid::Uuid::new_v4().simple().to_string();
    let network = |number: u32| format!("2001:{}:{}::{number}", &run[..4], &run[4..8]);
    let victim = format!("victim-{run}@example.org");
    let mut sent = 0;
    for number in 0..20 {
        let replica = &replicas[usize::from(number % 2 == 0)];
        sent += u32::from(replica.ask(&network(number), &victim).await.is_some());
    }
    assert_eq!(sent, 5, "to one address from one network");
    for number in 0..60 {
        let replica = &replicas[usize::from(number % 2 == 0)];
        let email = format!("{number}-{run}@example.org");
        sent += u32::from(replica.ask(&network(number), &email).await.is_some());
    }
    assert_eq!(sent, 30, "from one network");
    let newcomer = format!("2001:{}:{}::1", &run[8..12], &run[12..16]);
    assert!(replicas[0].ask(&newcomer, &victim).await.is_some());
    two.stop().await;
    one.stop().await;
}

/// Everything in which two answers may differ for a client that does not get tokens.
fn seen(answer: &Answer) -> (u16, Vec<String>, serde_json::Value) {
    let mut headers = answer.headers.clone();
    for header in ["date", "x-request-id", "ratelimit", "content-length"] {
        headers.remove(header);
    }
    let mut headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("token");
    (answer.status, headers, body)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Each way in which nothing is sent, against an answer that sent something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limited_link_request_gets_the_same_answer() {
    let settings = [
        ("RATE_LIMIT_EMAIL_PER_HOUR", "12"),
        ("RATE_LIMIT_AUTH_PER_MIN", "1000"),
        ("SMTP_URL", "smtp://127.0.0.1:9"),
        ("MAIL_FROM", "mt <no-reply@example.org>"),
    ];
    let server = server(&settings).await;
    let clients = Clients::of(&server);
    let ask = async |from: &str, email: &str| {
        let began = Instant::now();
        let asked = clients.post(from, "/auth/request-link", json!({"email": email})).await;
        (began.elapsed(), asked)
    };
    let mails = "select count(*) from mt.outbox";
    let count =
        async || -> i64 { sqlx::query_scalar(mails).fetch_one(server.db.admin()).await.unwrap() };
    // Ten live links, then two that are not sent for these, then none within the limit; from elsewhere, none over it.
    let mut answers = Vec::new();
    for _ in 0..14 {
        answers.push(ask("203.0.113.1", VICTIM).await.1);
    }
    assert_eq!(count().await, 10);
    assert_eq!(answers.iter().filter(|answer| answer.json()["token"].is_string()).count(), 10);
    let first = seen(&answers[0]);
    assert!(answers.iter().all(|answer| seen(answer) == first), "{answers:?}");
    // The control: another status, header or member is seen.
    let other = clients.post("203.0.113.1", "/auth/redeem", json!({"token": "x"})).await;
    assert_ne!(seen(&other), first);

    let (mut sent, mut unsent) = (Vec::new(), Vec::new());
    for round in 0..40 {
        sent.push(ask("203.0.113.2", &format!("{round}@example.org")).await.0);
        unsent.push(ask("203.0.113.1", VICTIM).await.0);
    }
    assert_eq!(count().await, 50);
    let (sent, unsent) = (median(sent), median(unsent));
    println!("sent in {sent:?}, not sent in {unsent:?}");
    assert!(unsent * 3 > sent && sent * 3 > unsent, "sent in {sent:?}, not sent in {unsent:?}");
    server.stop().await;
}
