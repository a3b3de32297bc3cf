//! What all guards together cost a server over sockets. `bench/throughput` runs it.
//!
//! `throughput` starts each variant as a process of its own, on the first core, and lets `wrk` call
//! them one after the other from the second, in rounds of changing order. Of each variant it prints the
//! requests a second and the processor time of a request, and both as ratios to the bare framework in the same
//! round. Bare hyper runs twice; the difference between the two is the measurement error. `throughput serve
//! FRAMEWORK VARIANT` is one of those processes, at `PORT` if that is set.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mt_bench::spread::Spread;
use mt_bench::stack::{TOKEN, all};
use mt_salvo::GuardHandler;
use mt_tower::layer::GuardLayer;
use salvo::conn::Acceptor as _;
use salvo::prelude::{Listener as _, Router, TowerLayerCompat as _, handler};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

/// Framework, variant, and the place of the bare one that it is compared with.
const SERVERS: [(&str, &str, usize); 8] = [
    ("hyper", "bare", 0),
    ("hyper", "again", 0),
    ("hyper", "guarded", 0),
    ("axum", "bare", 3),
    ("axum", "guarded", 3),
    ("salvo", "bare", 5),
    ("salvo", "guarded", 5),
    ("salvo", "compat", 5),
];

const PATH: &str = "/orgs/01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20/tasks";

/// What processor time is counted in, unless the kernel was built otherwise.
const TICKS_A_SECOND: f64 = 100.0;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", framework, variant] => serve(framework, variant),
        [rounds, seconds] => compare(rounds.parse()?, seconds.parse()?),
        _ => Err("usage: throughput ROUNDS SECONDS | throughput serve FRAMEWORK VARIANT".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(framework: &str, variant: &str) -> Result<(), Failure> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    match (framework, variant) {
        ("hyper", "guarded") => {
            let service = ServiceBuilder::new().layer(GuardLayer::new(all()));
            serve_hyper(listener, service.service(service_fn(hello_hyper))).await
        }
        ("hyper", _) => serve_hyper(listener, service_fn(hello_hyper)).await,
        ("axum", variant) => {
            let route = axum::Router::new()
                .route("/orgs/{tenant}/tasks", axum::routing::get(|| async { "hello" }));
            println!("{}", listener.local_addr()?);
            let app = if variant == "bare" { route } else { route.layer(GuardLayer::new(all())) };
            Ok(axum::serve(listener, app).await?)
        }
        (_, variant) => {
            let router = Router::with_path("orgs/{tenant}/tasks");
            let router = match variant {
                "bare" => router,
                "compat" => router.hoop(GuardLayer::new(all()).compat()),
                _ => router.hoop(GuardHandler::new(all())),
            };
            drop(listener);
            let address = format!("127.0.0.1:{port}");
            let acceptor = salvo::conn::tcp::TcpListener::new(address).bind().await;
            let address = acceptor.holdings()[0].local_addr.clone().into_std();
            println!("{}", address.ok_or("no address")?);
            salvo::Server::new(acceptor).serve(router.get(hello)).await;
            Ok(())
        }
    }
}

#[handler]
async fn hello() -> &'static str {
    "hello"
}

async fn hello_hyper(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut answer = Response::new(Full::from("hello"));
    let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, text);
    Ok(answer)
}

async fn serve_hyper<S>(listener: TcpListener, service: S) -> Result<(), Failure>
where
    S: tower::Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

/// A server process, killed when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(framework: &str, variant: &str) -> Result<Self, Failure> {
        let binary = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(binary)
            .args(["serve", framework, variant])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("taskset (util-linux) does not start: {error}"))?;
        let mut address = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// Processor time so far, in seconds: fields 14 and 15 of `proc_pid_stat(5)`.
    fn processor_time(&self) -> Result<f64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').ok_or("no name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / TICKS_A_SECOND)
    }

    /// Requests a second, and microseconds of processor time a request.
    fn measure(&self, seconds: u32) -> Result<(f64, f64), Failure> {
        let before = self.processor_time()?;
        let output = Command::new("taskset")
            .args(["-c", "1", "wrk", "-t1", "-c32", &format!("-d{seconds}s")])
            .args(["-H", &format!("authorization: Bearer {TOKEN}")])
            .arg(format!("http://{}{PATH}", self.address))
            .output()?;
        let used = self.processor_time()? - before;
        let report = String::from_utf8(output.stdout)?;
        let number = |after: &str| -> Option<f64> {
            report.split_once(after)?.1.split_whitespace().next()?.parse().ok()
        };
        if report.contains("Non-2xx") || report.contains("Socket errors") {
            return Err(format!("not every request was answered:\n{report}").into());
        }
        let rate =
            number("Requests/sec:").ok_or("wrk (Debian: apt-get install wrk) did not run")?;
        let total: f64 = report
            .lines()
            .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
            .ok_or("no total")?;
        Ok((rate, used * 1e6 / total))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn compare(rounds: usize, seconds: u32) -> Result<(), Failure> {
    let servers: Vec<Server> = SERVERS
        .iter()
        .map(|(framework, variant, _)| Server::start(framework, variant))
        .collect::<Result<_, _>>()?;
    let mut measured = Vec::new();
    for round in 0..=rounds {
        let mut results = vec![(0.0, 0.0); servers.len()];
        for turn in 0..servers.len() {
            // Another order in each round: 3 has no divisor in common with 8.
            let place = (turn * 3 + round) % servers.len();
            results[place] = servers[place].measure(seconds)?;
        }
        // The first one warms up.
        if round > 0 {
            measured.push(results);
        }
    }
    println!(
        "{rounds} rounds of {seconds} s; median (least to most), ratios to the bare framework"
    );
    for (place, (framework, variant, base)) in SERVERS.iter().enumerate() {
        let rate = Spread::of(measured.iter().map(|r| r[place].0));
        let ratio = Spread::of(measured.iter().map(|r| r[place].0 / r[*base].0));
        let time = Spread::of(measured.iter().map(|r| r[place].1));
        let more = Spread::of(measured.iter().map(|r| r[place].1 / r[*base].1));
        println!(
            "{framework:<5} {variant:<8} {:>7.0} req/s x{:.2} ({:.2} to {:.2})   \
             {:>5.2} us a request x{:.2} ({:.2} to {:.2})",
            rate.median,
            ratio.median,
            ratio.least,
            ratio.most,
            time.median,
            more.median,
            more.least,
            more.most
        );
    }
    Ok(())
}
