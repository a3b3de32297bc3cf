//! Writes `scripts/report_metrics.md` and its charts from the files of `scripts/k6` in `k6-results/`: those of
//! the newest run, or of the run that the argument names.

#![expect(clippy::print_stdout, reason = "a report says where it is")]

mod results;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use plotters::prelude::*;
use results::{Results, Run};

type Failure = Box<dyn Error>;

const RESULTS: &str = "k6-results";
const REPORT: &str = "scripts/report_metrics.md";
const FACTORS: [&str; 3] = ["1x", "5x", "10x"];
/// k6's name of a scenario, and its title.
const SCENARIOS: [(&str, &str); 3] = [
    ("request_link", "request a link"),
    ("create_task", "create a task"),
    ("list_tasks", "list 20 of 1000 tasks"),
];
/// k6's names of the quantiles that are drawn.
const QUANTILES: [(&str, &str); 9] = [
    ("p(10)", "10"),
    ("p(25)", "25"),
    ("med", "50"),
    ("p(75)", "75"),
    ("p(90)", "90"),
    ("p(95)", "95"),
    ("p(99)", "99"),
    ("p(99.9)", "99.9"),
    ("max", "max"),
];

/// One rate of arrivals.
struct Arrivals {
    offered: f64,
    answered: f64,
    dropped: f64,
    median: f64,
    p99: f64,
}

impl Arrivals {
    fn of(run: &Run) -> Result<Self, Failure> {
        Ok(Self {
            offered: run.offered().ok_or("no `rate`")?,
            answered: run.rate("arrive")?,
            dropped: run.figure("dropped_iterations", "count").unwrap_or(0.0),
            median: run.duration("arrive", "med")?,
            p99: run.duration("arrive", "p(99)")?,
        })
    }

    /// Whether the server answered at least 98 % of the offered requests.
    fn is_kept_up_with(&self) -> bool {
        self.answered >= 0.98 * self.offered
    }
}

fn main() -> Result<(), Failure> {
    let results = Results::open(Path::new(RESULTS), std::env::args().nth(1).as_deref())?;
    let of = |kind: &str| -> Result<Vec<Run>, Failure> {
        FACTORS.iter().map(|factor| results.read(&format!("{kind}-{factor}"))).collect()
    };
    let (api, webhooks) = (of("api")?, of("webhooks")?);
    let mut arrivals = Vec::new();
    for name in results.names().filter(|name| name.starts_with("knee-")) {
        arrivals.push(Arrivals::of(&results.read(name)?)?);
    }
    arrivals.sort_by(|one, other| one.offered.total_cmp(&other.offered));

    let mut text = String::from("# Load test report\n\nWritten by `make k6`, on:\n\n");
    machine(&mut text, api.first().ok_or("no run")?)?;
    people(&mut text, &api)?;
    deliveries(&mut text, &webhooks)?;
    knee(&mut text, &arrivals)?;
    fs::write(REPORT, text)?;
    println!("{REPORT}");
    Ok(())
}

/// Writes the machine, versions and commit that the run has recorded.
fn machine(text: &mut String, run: &Run) -> Result<(), Failure> {
    let of = |name| run.noted(name).unwrap_or_default().to_owned();
    let shared = "shared by server, Postgres, Redis and k6";
    let rows = [
        ("processor", format!("{}, {} cores, {shared}", of("processor"), of("cores"))),
        ("system", of("system")),
        ("Rust", of("rust")),
        ("Postgres", of("postgres")),
        ("k6", of("k6")),
        ("commit", of("commit")),
        ("at", of("started_at")),
        ("run", of("id")),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(text, "* {name}: {value}")?;
    }
    Ok(())
}

fn people(text: &mut String, runs: &[Run]) -> Result<(), Failure> {
    text.push_str("\n## API requests\n\nk6 uses much of the machine: the rates show the offered load, not the server's limit.\n\n");
    text.push_str("| | users | requests/s | median ms | p95 | p99 | max | failed |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    let mut by_users = Vec::new();
    let mut distributions = Vec::new();
    for (scenario, name) in SCENARIOS {
        let mut line = Vec::new();
        for (run, factor) in runs.iter().zip(FACTORS) {
            let of = |quantile| run.duration(scenario, quantile);
            let (users, rate) = (run.users(), run.rate(scenario)?);
            let failed = run.figure(&format!("http_req_failed{{scenario:{scenario}}}"), "rate")?;
            writeln!(
                text,
                "| {name} | {users} ({factor}) | {rate:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} % |",
                of("med")?,
                of("p(95)")?,
                of("p(99)")?,
                of("max")?,
                failed * 100.0,
            )?;
            line.push((users, rate));
        }
        by_users.push((name.to_owned(), line));
        let most = runs.last().ok_or("no run")?;
        let quantiles = (0_u32..).zip(QUANTILES).map(|(place, (quantile, _))| {
            Ok((f64::from(place), most.duration(scenario, quantile)?))
        });
        distributions.push((name.to_owned(), quantiles.collect::<Result<Vec<_>, Failure>>()?));
    }
    let kept = runs.iter().all(Run::thresholds_kept);
    writeln!(text, "\nThresholds were {}kept.\n", if kept { "" } else { "**not** " })?;
    chart("throughput.svg", "Requests a second by users", "users", "requests/s", &by_users, &[])?;
    let labels = QUANTILES.map(|(_, label)| label);
    chart(
        "latency.svg",
        "Latency at 10×, by percentile",
        "percentile",
        "ms",
        &distributions,
        &labels,
    )?;
    text.push_str(
        "![throughput](../k6-results/throughput.svg)\n![latency](../k6-results/latency.svg)\n",
    );
    Ok(())
}

fn deliveries(text: &mut String, runs: &[Run]) -> Result<(), Failure> {
    text.push_str("\n## Webhooks\n\nSuccess: stored, and applied or due. Duplicate: recognised as sent before. Retry: an event that arrived\nbefore its customer was linked failed, was replayed after the link was made, and was applied once.\n\n");
    text.push_str("| users | deliveries/s | median ms | p99 | success | duplicate | retry |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for (run, factor) in runs.iter().zip(FACTORS) {
        let share = |metric| run.figure(metric, "rate").map(|rate| rate * 100.0);
        writeln!(
            text,
            "| {} ({factor}) | {:.0} | {:.1} | {:.1} | {:.1} % | {:.1} % | {:.1} % |",
            run.users(),
            run.rate("deliver")?,
            run.duration("deliver", "med")?,
            run.duration("deliver", "p(99)")?,
            share("webhook_success")?,
            share("webhook_duplicate")?,
            share("webhook_retry")?,
        )?;
    }
    let kept = runs.iter().all(Run::thresholds_kept);
    writeln!(text, "\nThresholds were {}kept.", if kept { "" } else { "**not** " })?;
    Ok(())
}

fn knee(text: &mut String, arrivals: &[Arrivals]) -> Result<(), Failure> {
    text.push_str("\n## Rising rates\n\nLists of tasks at a constant rate, on schedule whether earlier ones are answered or not.\n\n");
    text.push_str(
        "| offered/s | answered/s | dropped | median ms | p99 |\n| --- | --- | --- | --- | --- |\n",
    );
    for one in arrivals {
        let Arrivals { offered, answered, dropped, median, p99 } = one;
        writeln!(text, "| {offered:.0} | {answered:.0} | {dropped:.0} | {median:.1} | {p99:.1} |")?;
    }
    match arrivals.iter().take_while(|one| one.is_kept_up_with()).last() {
        Some(last) => {
            writeln!(text, "\nUp to {:.0} requests a second the server keeps up.", last.offered)?;
            let below = arrivals.iter().rfind(|one| one.offered <= 0.7 * last.offered);
            if let Some(Arrivals { offered, median, p99, .. }) = below {
                let (share, ratio) = (100.0 * offered / last.offered, p99 / median);
                writeln!(
                    text,
                    "At {offered:.0} a second, {share:.0} % of that, the 99th percentile is {ratio:.1} times the median."
                )?;
            }
            writeln!(text)?;
        }
        None => writeln!(text, "\nThe server keeps up with none of these rates.\n")?,
    }
    let answered = arrivals.iter().map(|one| (one.offered, one.answered)).collect();
    let ideal = arrivals.iter().map(|one| (one.offered, one.offered)).collect();
    let lines = [("answered".to_owned(), answered), ("offered".to_owned(), ideal)];
    chart("knee.svg", "Answered by offered rate", "offered/s", "requests/s", &lines, &[])?;
    text.push_str("![knee](../k6-results/knee.svg)\n");
    Ok(())
}

/// Draws a chart of lines. With `labels` the horizontal axis has these names, and the vertical axis is
/// logarithmic.
fn chart(
    file: &str,
    title: &str,
    across: &str,
    up: &str,
    lines: &[(String, Vec<(f64, f64)>)],
    labels: &[&str],
) -> Result<(), Failure> {
    let path = Path::new(RESULTS).join(file);
    let root = SVGBackend::new(&path, (720, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|(_, points)| points);
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let top = points().map(|point| point.1).fold(0.0, f64::max);
    let mut builder = ChartBuilder::on(&root);
    builder
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60);
    let name = |place: &f64| {
        let place = (0_u32..).zip(labels).find(|(at, _)| (*place - f64::from(*at)).abs() < 0.01);
        place.map_or_else(String::new, |(_, label)| (*label).to_owned())
    };
    macro_rules! draw {
        ($chart:expr, $names:expr) => {{
            let mut chart = $chart;
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(across).y_desc(up);
            if $names {
                mesh.x_labels(labels.len()).x_label_formatter(&name);
            }
            mesh.draw()?;
            for (place, (label, points)) in lines.iter().enumerate() {
                let color = Palette99::pick(place).to_rgba();
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                    .label(label)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
            }
            let mut legend = chart.configure_series_labels();
            legend.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8));
            legend.border_style(BLACK.mix(0.2)).draw()?;
        }};
    }
    if labels.is_empty() {
        draw!(builder.build_cartesian_2d(0.0..right * 1.05, 0.0..top * 1.1)?, false);
    } else {
        let bottom = points().map(|point| point.1).fold(top, f64::min).max(0.01);
        draw!(builder.build_cartesian_2d(0.0..right, (bottom * 0.8..top * 1.5).log_scale())?, true);
    }
    root.present()?;
    Ok(())
}
