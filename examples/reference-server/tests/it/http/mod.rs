//! HTTP on a socket: connections, limits, errors, shutdown and reverse proxies.

mod connections;
mod disconnects;
mod early_answers;
mod errors;
mod host_header;
mod in_org;
mod paths_and_methods;
mod reverse_proxies;
mod shutdown;
mod size_limits;

use mt_http::body::{self, Received};
use mt_http::fields::Email;
use reference_server::http::fields::{Description, Name, Patch};
use reference_server::http::json::Body;
use reference_server::http::problem::ApiError;
use salvo::http::{HeaderValue, StatusCode, StatusError};
use salvo::prelude::*;
use serde::Deserialize;

const JSON: &str = "content-type: application/json\r\n";
const MIB: u64 = 1024 * 1024;

#[handler]
async fn works() -> &'static str {
    "works"
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: Name,
    email: Option<Email>,
    #[serde(default)]
    note: Patch<Description>,
}

#[handler]
async fn read_form(form: Body<Form>) -> Result<String, ApiError> {
    let Form { name, email, note } = form.0;
    Ok(format!("{} {} {}", name.as_str(), email.is_some(), note.into_option().is_some()))
}

#[handler]
async fn measure(req: &mut Request) -> Result<String, ApiError> {
    Ok(read(req, MIB).await?.len().to_string())
}

/// Reads the body of `req` as bytes.
async fn read(req: &mut Request, limit: u64) -> Result<Received, ApiError> {
    let stream = req.take_body();
    let budget = req.extensions().get().cloned().unwrap_or_default();
    Ok(body::read(req.headers(), stream, &budget, limit).await?)
}

#[handler]
async fn panics(res: &mut Response) {
    res.headers_mut().insert("x-of-the-handler", HeaderValue::from_static("half done"));
    panic!("on purpose, with a secret in it")
}

#[handler]
async fn fails(req: &mut Request, res: &mut Response) {
    match req.query::<String>("how").as_deref() {
        Some("status-error") => res.render(StatusError::bad_request().brief("internals")),
        Some("html") => {
            res.status_code(StatusCode::FORBIDDEN);
            res.render(Text::Html("<h1>internals</h1>"));
        }
        Some("text") => {
            res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
            res.render(Text::Plain("internals"));
        }
        Some("teapot") => drop(res.status_code(StatusCode::IM_A_TEAPOT)),
        Some("gateway") => drop(res.status_code(StatusCode::BAD_GATEWAY)),
        _ => drop(res.status_code(StatusCode::CONFLICT)),
    }
}

fn routes() -> Router {
    Router::new()
        .push(Router::with_path("works").get(works).delete(works))
        .push(Router::with_path("items/{id}").get(works))
        .push(Router::with_path("form").post(read_form))
        .push(Router::with_path("count").post(measure))
        .push(Router::with_path("panics").get(panics))
        .push(Router::with_path("fails").get(fails))
        // No method is named, so that salvo itself would take any.
        .push(Router::with_path("anything").goal(works))
}

fn fields(count: usize) -> String {
    (0..count).fold(String::new(), |all, n| format!("{all}x-{n}: 1\r\n"))
}

mod whatever_the_body {
    use proptest::prelude::*;
    use reference_server::http::service::{ShellOptions, service};
    use salvo::test::{ResponseExt as _, TestClient};

    use super::routes;

    /// Status and body of the answer to `body`.
    fn answer(body: Vec<u8>) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let service = service(routes(), ShellOptions::default());
            let request = TestClient::post("http://x/form").body(body);
            let request = request.add_header("host", "x", true);
            let request = request.add_header("content-type", "application/json", true);
            let mut answer = request.send(&service).await;
            (answer.status_code.unwrap().as_u16(), answer.take_string().await.unwrap_or_default())
        })
    }

    /// Text that is made of what JSON is made of, so that some of it is JSON.
    const NEARLY_JSON: &str = r#"([{}\[\]:, ]|"(name|email|note|\\u0000|\\ud800|~|/)"|null|true|-?[0-9]{1,20}|1e999){0,40}"#;
    const OBJECT: &str =
        r#"\{("(name|email|note|x)":("[a@ ]{0,4}"|null|[0-9]|\[\]|\{\}),?){0,4}\}"#;

    fn assert_no_fault_of_ours(body: Vec<u8>) {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (status, text) = answer(body);
        assert!(matches!(status, 200 | 400 | 422), "{status} for {shown:?}: {text}");
        if status != 200 {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["status"], status, "{shown:?}: {text}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_cause_no_server_error(body in any::<Vec<u8>>()) {
            assert_no_fault_of_ours(body);
        }

        #[test]
        fn malformed_json_causes_no_server_error(body in NEARLY_JSON) {
            assert_no_fault_of_ours(body.into_bytes());
        }

        #[test]
        fn unexpected_objects_cause_no_server_error(body in OBJECT) {
            assert_no_fault_of_ours(body.into_bytes());
        }
    }

    /// The control: the bodies above can reach the handler.
    #[test]
    fn valid_body_is_parsed() {
        let (status, text) = answer(br#"{"name":"a"}"#.to_vec());
        assert_eq!((status, text.as_str()), (200, "a false false"));
    }
}
